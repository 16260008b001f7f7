//! What is said on standard error: messages and the progress bar. It is written on a thread of its own,
//! so that nothing waits for a terminal or pipe that is slow, full, closed or gone, and nothing fails
//! because of it.

use std::fmt::{Display, Write as _};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anstyle::{AnsiColor, Style};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};

/// Messages that may wait.
const QUEUE: usize = 1024;
/// How long a message waits for a place in the queue, and the end of the program for the last of them.
const PATIENCE: Duration = Duration::from_millis(500);

enum Event {
    Line(String),
    /// Photographs in all.
    Bar(u64),
    /// The bar is to be drawn again.
    Progress,
    EndOfBar,
    Flush(SyncSender<()>),
}

/// What a message is; its name stands before it, or in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing stands before it.
    Info,
    Note,
    Warning,
    Error,
    Hint,
    /// Of a photograph.
    Done,
    Failed,
    /// At the end, of all photographs; an object only.
    Finished,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Hint => "hint",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }
}

/// Whether messages are objects in JSON.
static OBJECTS: AtomicBool = AtomicBool::new(false);
/// Photographs that have come to an end.
static POSITION: AtomicU64 = AtomicU64::new(0);
/// Those of them that an earlier run has done.
static RESUMED: AtomicU64 = AtomicU64::new(0);
/// Those of them that failed.
static FAILED: AtomicU64 = AtomicU64::new(0);
/// Messages that found no place.
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);
/// Whether the last one did not.
static STALLED: AtomicBool = AtomicBool::new(false);

fn queue() -> &'static SyncSender<Event> {
    static QUEUE_: OnceLock<SyncSender<Event>> = OnceLock::new();
    QUEUE_.get_or_init(|| {
        let (sender, events) = sync_channel(QUEUE);
        thread::spawn(move || write(&events));
        sender
    })
}

/// From now on messages are objects in JSON, one a line, and there is no progress bar.
pub(crate) fn say_objects() {
    OBJECTS.store(true, Ordering::Relaxed);
}

pub(crate) fn says_objects() -> bool {
    OBJECTS.load(Ordering::Relaxed)
}

/// Says a message. Control characters, which file names may hold, are escaped.
pub(crate) fn tell(kind: Kind, message: impl Display) {
    tell_with(kind, message, json!({}));
}

/// Says a message; an object has these members, too.
pub(crate) fn tell_with(kind: Kind, message: impl Display, members: Value) {
    let message = message.to_string();
    send(Event::Line(if says_objects() {
        object(kind, &message, members)
    } else if kind == Kind::Info {
        escaped(&message)
    } else {
        format!("{}: {}", kind.name(), escaped(&message))
    }));
}

/// Says a message that may have several lines; those after the first are indented, so that no file
/// name can look like a message of its own.
pub(crate) fn tell_all(kind: Kind, message: impl Display) {
    if says_objects() {
        return tell(kind, message);
    }
    let message = message.to_string();
    let mut lines = message.lines().map(escaped);
    let first = format!("{}: {}", kind.name(), lines.next().unwrap_or_default());
    send(Event::Line(
        lines.fold(first, |text, line| text + "\n  " + &line),
    ));
}

/// A message as an object on a line of its own.
fn object(kind: Kind, message: &str, mut object: Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = now.map_or(0.0, |time| time.as_millis() as f64 / 1000.0);
    object["time"] = seconds.into();
    object["kind"] = kind.name().into();
    object["message"] = message.into();
    let text = object.to_string();
    // Whatever JSON leaves as it is, though a terminal would not.
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Shows a progress bar, if standard error is a terminal.
pub(crate) fn begin_bar(photographs: usize) {
    for count in [&POSITION, &RESUMED, &FAILED] {
        count.store(0, Ordering::Relaxed);
    }
    send(Event::Bar(photographs as u64));
}

/// Counts a photograph that an earlier run has done, which says nothing about this one's speed.
pub(crate) fn resumed() {
    RESUMED.fetch_add(1, Ordering::Relaxed);
    count();
}

/// Counts a photograph.
pub(crate) fn advance(failed: bool) {
    FAILED.fetch_add(failed.into(), Ordering::Relaxed);
    count();
}

fn count() {
    POSITION.fetch_add(1, Ordering::Relaxed);
    // If there is no place, the next one draws it.
    let _ = queue().try_send(Event::Progress);
}

pub(crate) fn end_bar() {
    send(Event::EndOfBar);
}

/// Waits until all is said, but not for long.
pub(crate) fn flush() {
    let (done, waiting) = sync_channel(1);
    send(Event::Flush(done));
    let _ = waiting.recv_timeout(PATIENCE);
}

fn send(mut event: Event) {
    let begun = Instant::now();
    loop {
        match queue().try_send(event) {
            Ok(()) => {
                STALLED.store(false, Ordering::Relaxed);
                return;
            }
            Err(TrySendError::Disconnected(_)) => return,
            Err(TrySendError::Full(back)) => {
                if STALLED.load(Ordering::Relaxed) || begun.elapsed() > PATIENCE {
                    STALLED.store(true, Ordering::Relaxed);
                    LEFT_OUT.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                event = back;
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn write(events: &Receiver<Event>) {
    let mut bar = ProgressBar::hidden();
    let mut resumed = 0;
    for event in events {
        match event {
            Event::Line(line) => {
                let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
                bar.suspend(|| {
                    let mut error = anstream::stderr();
                    if left_out > 0 {
                        let left_out = format!("{left_out} messages left out");
                        let _ = if says_objects() {
                            writeln!(error, "{}", object(Kind::Note, &left_out, json!({})))
                        } else {
                            writeln!(error, "({left_out})")
                        };
                    }
                    let (style, word, rest) = styled(&line);
                    let _ = writeln!(error, "{style}{word}{style:#}{rest}");
                });
            }
            Event::Bar(photographs) => {
                bar.finish_and_clear();
                bar = progress_bar(photographs);
                bar.tick();
            }
            Event::Progress => {}
            Event::EndOfBar => {
                bar.finish_and_clear();
                bar = ProgressBar::hidden();
            }
            Event::Flush(done) => {
                let _ = done.send(());
            }
        }
        // Work begins after the last of them.
        if resumed != RESUMED.load(Ordering::Relaxed) {
            resumed = RESUMED.load(Ordering::Relaxed);
            bar.reset_elapsed();
        }
        let position = POSITION.load(Ordering::Relaxed);
        if position != bar.position() {
            let failed = FAILED.load(Ordering::Relaxed);
            if failed > 0 {
                bar.set_message(format!(", {failed} failed"));
            }
            bar.set_position(position);
        }
    }
}

/// A line's first word and how it is shown, where it says what kind of message this is. Colours are
/// left out where standard error is no terminal or `NO_COLOR` is set.
fn styled(line: &str) -> (Style, &str, &str) {
    let kinds = [
        ("error:", AnsiColor::Red),
        ("failed:", AnsiColor::Red),
        ("warning:", AnsiColor::Yellow),
        ("note:", AnsiColor::Cyan),
        ("hint:", AnsiColor::Green),
    ];
    for (word, colour) in kinds {
        if let Some(rest) = line.strip_prefix(word) {
            return (colour.on_default().bold(), word, rest);
        }
    }
    (Style::new(), "", line)
}

/// Draws nothing when standard error is no terminal. Pace and time left are those of this run, which
/// the photographs that an earlier one has done, and the bar's own estimate of them, would flatter.
fn progress_bar(photographs: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(photographs), ProgressDrawTarget::stderr());
    // The bar takes what a narrow terminal leaves.
    let template = "{wide_bar} {pos}/{len}, {pace}{elapsed} gone{left}{msg}";
    let per_second = |state: &ProgressState| {
        let resumed = RESUMED.load(Ordering::Relaxed);
        let done = state.pos().saturating_sub(resumed);
        (done > 0).then(|| done as f64 / state.elapsed().as_secs_f64())
    };
    let pace = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        if let Some(pace) = per_second(state) {
            let _ = write!(text, "{pace:.1}/s, ");
        }
    };
    let left = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        if let Some(pace) = per_second(state) {
            let left = photographs.saturating_sub(state.pos()) as f64 / pace;
            let left = Duration::try_from_secs_f64(left.ceil()).unwrap_or(Duration::MAX);
            let _ = write!(text, ", {:#} left", HumanDuration(left));
        }
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("pace", pace).with_key("left", left));
    }
    bar
}

/// Text in which nothing can move the cursor, colour the screen or turn the direction of writing.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Control characters and those that turn the direction of writing.
fn is_unseen(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}
