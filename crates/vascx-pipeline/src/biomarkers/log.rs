//! The log file: warnings of a job, each once, with how often it happened.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use time::OffsetDateTime;

use crate::biomarkers::tables::Counts;
use crate::error::{Error, Result};

/// What every line holds after its time.
const KIND: &str = " - WARNING - ";

/// Refuses a file that holds something else than lines of a log, before hours are spent.
pub(crate) fn check(path: &Path) -> Result<()> {
    let mut beginning = Vec::new();
    match File::open(path).and_then(|file| file.take(256).read_to_end(&mut beginning)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::output(path, error)),
        Ok(_) => {}
    }
    // 2026-11-29 00:47:12,345 - WARNING - …, as the reference writes them.
    let is_log = beginning.first().is_none_or(u8::is_ascii_digit)
        && (beginning.is_empty() || beginning.windows(3).any(|three| three == b" - "));
    if is_log {
        Ok(())
    } else {
        Err(Error::NoLog(path.to_owned()))
    }
}

/// Appends the warnings, making the folder when it is missing.
pub(crate) fn append(path: &Path, counts: &Counts) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::output(folder, error))?;
    }
    let now = OffsetDateTime::now_utc();
    let (hour, minute, second, millisecond) = now.time().as_hms_milli();
    let now = format!(
        "{} {hour:02}:{minute:02}:{second:02},{millisecond:03}",
        now.date()
    );
    let mut lines = String::new();
    for (warning, count) in counts {
        let times = if *count > 1 {
            format!(" (x{count})")
        } else {
            String::new()
        };
        let _ = writeln!(lines, "{now}{KIND}{warning}{times}");
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| Error::output(path, error))
}
