//! Signals: requests to stop, and limits that would end the process without a word.

use std::sync::OnceLock;

use vascx::inference::Cancel;

use crate::commands::{Failure, Result};
use crate::terminal::{Kind, flush, tell};

/// Exit code after a signal to stop at once, as shells have it for ^C.
const STOPPED: i32 = 130;

/// Cancelled once the user has asked to stop (^C, a termination signal, the end of the terminal): what is
/// begun is finished, the rest is left. A second request stops at once.
pub(crate) fn interrupt() -> Result<Cancel> {
    static INTERRUPT: OnceLock<Cancel> = OnceLock::new();
    let cancel = INTERRUPT.get_or_init(Cancel::default);
    watch(|| {
        if cancel.is_cancelled() {
            std::process::exit(STOPPED);
        }
        cancel.cancel();
        tell(
            Kind::Info,
            "stopping after what is begun; once more to stop at once",
        );
    })?;
    Ok(cancel.clone())
}

/// At a request to stop, does something and ends the process.
pub(crate) fn at_interrupt(clear: fn()) -> Result<()> {
    watch(move || {
        clear();
        flush();
        std::process::exit(STOPPED);
    })
}

/// Calls `stop` at each request. Only the first call of a process does anything.
fn watch(stop: impl Fn() + Send + 'static) -> Result<()> {
    static WATCHING: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let watching = WATCHING.get_or_init(|| system::watch(stop).map_err(|error| error.to_string()));
    match watching {
        Ok(()) => Ok(()),
        Err(reason) => Err(Failure::Other(format!("cannot watch for ^C: {reason}"))),
    }
}

/// From now on a file beyond the limit of `ulimit -f` is an error of the write, not the end.
pub(crate) fn make_limits_errors() {
    system::make_limits_errors();
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::Arc;
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    pub(super) fn watch(stop: impl Fn() + Send + 'static) -> io::Result<()> {
        let mut signals = vec![SIGINT, SIGTERM];
        // `nohup` has it ignored, for the run to outlive the terminal.
        if !is_ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        let mut signals = Signals::new(signals)?;
        thread::spawn(move || signals.forever().for_each(|_| stop()));
        Ok(())
    }

    pub(super) fn make_limits_errors() {
        // Any handler will do: the write then fails.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }

    /// As the system tells it; where it does not, as by default.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn watch(stop: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(stop)
    }

    pub(super) fn make_limits_errors() {}
}
