//! What a run has done so far, line by line, so that a killed run can be resumed.
//!
//! `journal.jsonl` holds the run's description and then a record per photograph, written after all
//! outputs of that photograph are under their final names, and with [`Durability::Full`] on the disk.
//! It stays in the folder: a later run with `resume` starts from it. A line that cannot be read costs
//! its photograph only.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::Record;
use crate::error::{Error, Result};
use crate::inputs::ids::problem;
use crate::output::{Durability, write_whole};

pub(super) const FILE: &str = "journal.jsonl";

/// The open journal of a run.
pub(super) struct Journal {
    path: PathBuf,
    file: BufWriter<File>,
    durability: Durability,
}

impl Journal {
    /// Starts a journal with what is already done; replaces an older one only when it is whole.
    pub(super) fn begin<'a>(
        out: &Path,
        durability: Durability,
        run: &Value,
        done: impl Iterator<Item = &'a Record>,
    ) -> Result<Self> {
        let path = out.join(FILE);
        write_whole(&path, durability, |mut file| {
            writeln!(file, "{run}")?;
            done.into_iter()
                .try_for_each(|record| write_line(&mut file, record))
        })?;
        let file = File::options().append(true).open(&path);
        let file = file.map_err(|error| Error::output(&path, error))?;
        Ok(Self {
            path,
            file: BufWriter::new(file),
            durability,
        })
    }

    /// Adds records, so that they survive whatever their outputs survive.
    pub(super) fn add<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> Result<()> {
        let add = || -> io::Result<()> {
            for record in records {
                write_line(&mut self.file, record)?;
            }
            self.file.flush()?;
            match self.durability {
                Durability::Full => self.file.get_ref().sync_data(),
                Durability::Fast => Ok(()),
            }
        };
        add().map_err(|error| Error::output(&self.path, error))
    }
}

fn write_line(file: &mut impl Write, record: &Record) -> io::Result<()> {
    writeln!(file, "{}", serde_json::to_string(record)?)
}

/// An earlier run's journal.
pub(super) struct Earlier {
    /// The run's description; none where it cannot be read.
    pub(super) run: Option<Value>,
    /// Records that can be read, in the order in which they were written.
    pub(super) records: Vec<Record>,
}

/// The journal in a folder; none if there is none.
pub(super) fn read(out: &Path) -> Result<Option<Earlier>> {
    let path = out.join(FILE);
    let failed = |error: io::Error| Error::input(&path, error);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Not `lines`, which ends at the first that is not UTF-8.
    let mut lines = BufReader::new(file).split(b'\n');
    let run = lines.next().transpose().map_err(failed)?;
    let run = run.and_then(|line| serde_json::from_slice(&line).ok());
    let mut records = Vec::new();
    for line in lines {
        let record = serde_json::from_slice::<Record>(&line.map_err(failed)?);
        // An id that is no name of a file was never one of ours.
        records.extend(record.ok().filter(|record| problem(&record.id).is_none()));
    }
    Ok(Some(Earlier { run, records }))
}

/// The last record of every photograph, which counts, and their ids in the order in which they were
/// begun.
pub(super) fn last_of_each(
    records: impl IntoIterator<Item = Record>,
) -> (Vec<String>, HashMap<String, Record>) {
    let mut order = Vec::new();
    let mut by_id = HashMap::new();
    for record in records {
        let id = record.id.clone();
        if by_id.insert(id.clone(), record).is_none() {
            order.push(id);
        }
    }
    (order, by_id)
}
