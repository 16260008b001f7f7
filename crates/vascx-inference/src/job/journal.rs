//! What a run has done so far, line by line, so that a killed run can be resumed.
//!
//! `journal.jsonl` holds the run's description and then a record per photograph, written after all
//! outputs of that photograph. It stays in the folder: a later run with `resume` starts from it. A
//! line that a kill has torn is ignored.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{Record, Status};
use crate::error::{Error, Result};
use crate::output::write_whole;

const FILE: &str = "journal.jsonl";

/// The open journal of a run.
pub(super) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Journal {
    /// Starts a journal with what is already done; replaces an older one only when it is whole.
    pub(super) fn begin<'a>(
        out: &Path,
        run: &Value,
        done: impl Iterator<Item = &'a Record>,
    ) -> Result<Self> {
        let path = out.join(FILE);
        write_whole(&path, |file| -> std::io::Result<()> {
            writeln!(file, "{run}")?;
            for record in done {
                writeln!(file, "{}", serde_json::to_string(record)?)?;
            }
            Ok(())
        })?;
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|error| Error::output(&path, error))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
        })
    }

    pub(super) fn add(&mut self, record: &Record) -> Result<()> {
        let line =
            serde_json::to_string(record).map_err(|error| Error::output(&self.path, error))?;
        writeln!(self.file, "{line}").map_err(|error| Error::output(&self.path, error))
    }

    /// Hands the lines to the operating system, so that they survive a kill.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.file
            .flush()
            .map_err(|error| Error::output(&self.path, error))
    }
}

/// What an earlier run with the same description has done in this folder.
pub(super) fn done(out: &Path, run: &Value) -> Result<HashMap<String, Record>> {
    let path = out.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(Error::input(&path, error)),
    };
    let mut lines = BufReader::new(file).lines();
    let description = lines.next().and_then(std::result::Result::ok);
    let same = description.and_then(|line| serde_json::from_str::<Value>(&line).ok());
    if same.as_ref() != Some(run) {
        return Ok(HashMap::new());
    }
    let records = lines
        .map_while(std::result::Result::ok)
        .filter_map(|line| serde_json::from_str::<Record>(&line).ok())
        .filter(|record| record.status == Status::Done);
    Ok(records.map(|record| (record.id.clone(), record)).collect())
}
