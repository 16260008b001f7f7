//! The log file: warnings of a job, each once, with how often it happened.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use time::OffsetDateTime;

use crate::biomarkers::tables::Counts;
use crate::error::{Error, Result};

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
        let _ = writeln!(lines, "{now} - WARNING - {warning}{times}");
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|error| Error::output(path, error))
}
