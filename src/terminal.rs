//! What is said on standard error: messages and the progress bar. It is written on a thread of its own,
//! so that nothing waits for a terminal or pipe that is slow, full, closed or gone, and nothing fails
//! because of it.

use std::fmt::Display;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Messages that may wait.
const QUEUE: usize = 1024;
/// How long a message waits for a place in the queue, and the end of the program for the last of them.
const PATIENCE: Duration = Duration::from_millis(500);

enum Event {
    Line(String),
    /// Photographs in all and those that an earlier run has done.
    Bar {
        photographs: u64,
        resumed: u64,
    },
    /// The bar is to be drawn again.
    Progress,
    EndOfBar,
    Flush(SyncSender<()>),
}

/// Photographs that have come to an end.
static POSITION: AtomicU64 = AtomicU64::new(0);
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

/// Says a line. Control characters, which file names may hold, are escaped.
pub(crate) fn tell(line: impl Display) {
    send(Event::Line(escaped(&line.to_string())));
}

/// Says a message that may have several lines; those after the first are indented, so that no file
/// name can look like a message of its own.
pub(crate) fn tell_all(message: impl Display) {
    let message = message.to_string();
    let mut lines = message.lines().map(escaped);
    let first = lines.next().unwrap_or_default();
    send(Event::Line(
        lines.fold(first, |text, line| text + "\n  " + &line),
    ));
}

/// Shows a progress bar, if standard error is a terminal.
pub(crate) fn begin_bar(photographs: usize) {
    POSITION.store(0, Ordering::Relaxed);
    send(Event::Bar {
        photographs: photographs as u64,
        resumed: 0,
    });
}

/// Counts photographs that an earlier run has done, which say nothing about this one's speed.
pub(crate) fn resumed(photographs: usize, of: usize) {
    let resumed = photographs as u64;
    POSITION.store(resumed, Ordering::Relaxed);
    send(Event::Bar {
        photographs: of as u64,
        resumed,
    });
}

/// Counts a photograph.
pub(crate) fn advance() {
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
    for event in events {
        match event {
            Event::Line(line) => {
                let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
                bar.suspend(|| {
                    let mut error = std::io::stderr();
                    if left_out > 0 {
                        let _ = writeln!(error, "({left_out} messages left out)");
                    }
                    let _ = writeln!(error, "{line}");
                });
            }
            Event::Bar {
                photographs,
                resumed,
            } => {
                bar.finish_and_clear();
                bar = progress_bar(photographs).with_position(resumed);
                bar.reset_eta();
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
        let position = POSITION.load(Ordering::Relaxed);
        if position != bar.position() {
            bar.set_position(position);
        }
    }
}

/// Draws nothing when standard error is no terminal.
fn progress_bar(photographs: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(photographs), ProgressDrawTarget::stderr());
    let template = "{bar:30} {pos}/{len} photographs, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Text in which nothing can move the cursor, colour the screen or turn the direction of writing.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
