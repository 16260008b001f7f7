//! What has been measured so far, line by line; the tables are made from it.
//!
//! `journal.jsonl` holds the job's description and then a record per eye. A line that a kill has
//! torn is cut off when the job goes on. The file is locked while a process writes it; the lock
//! ends with the process.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Name of the journal in the report's folder.
pub(crate) const FILE: &str = "journal.jsonl";

/// What became of an eye.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// Why it could not be measured at all.
    pub(crate) failure: Option<String>,
    /// What the user should know although it could.
    pub(crate) warnings: Vec<String>,
    pub(crate) seconds: f64,
    /// Values as they are printed, in the order of the set; empty where undefined.
    pub(crate) values: Vec<String>,
    /// Why values are undefined: their index and the reason.
    pub(crate) reasons: Vec<(usize, String)>,
    /// Rows of segments.csv, if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) segments: Vec<Vec<String>>,
    /// Rows of bifurcations.csv, if asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) bifurcations: Vec<Vec<String>>,
}

/// The open journal of a job.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Where each eye's record begins.
    places: HashMap<String, u64>,
    /// Where the next record goes.
    end: u64,
}

impl Journal {
    /// Opens the journal of a report, empty or, to go on, with what a job with the same
    /// description has done. Eyes that failed are not counted as done.
    ///
    /// # Errors
    /// The file cannot be written, another process writes it, or it is another job's.
    pub(crate) fn open(
        report: &Path,
        description: &Map<String, Value>,
        resume: bool,
    ) -> Result<Self> {
        let path = report.join(FILE);
        let output = |error| Error::output(&path, error);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(output)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(path)),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(output(error)),
        }
        let mut places = HashMap::new();
        let mut end = 0;
        if resume {
            (places, end) = scan(&path, &file, description)?;
        }
        file.set_len(end).map_err(output)?;
        file.seek(SeekFrom::End(0)).map_err(output)?;
        if end == 0 {
            let mut line =
                serde_json::to_vec(description).map_err(|error| Error::output(&path, error))?;
            line.push(b'\n');
            file.write_all(&line).map_err(output)?;
            end = line.len() as u64;
        }
        Ok(Self {
            path,
            file,
            places,
            end,
        })
    }

    /// Whether an eye is done.
    pub(crate) fn holds(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// Adds records and waits until they are on the disk.
    pub(crate) fn add(&mut self, records: &[Record]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            self.places
                .insert(record.id.clone(), self.end + lines.len() as u64);
            serde_json::to_writer(&mut lines, record)
                .map_err(|error| Error::output(&self.path, error))?;
            lines.push(b'\n');
        }
        self.file
            .write_all(&lines)
            .map_err(|error| Error::output(&self.path, error))?;
        self.end += lines.len() as u64;
        self.file
            .sync_data()
            .map_err(|error| Error::output(&self.path, error))
    }

    /// Calls `each` with the records of these eyes, in this order, one after the other.
    pub(crate) fn read<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
        mut each: impl FnMut(Record) -> csv::Result<()>,
    ) -> csv::Result<()> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut at = 0;
        for id in ids {
            let Some(&place) = self.places.get(id) else {
                continue;
            };
            // A seek would throw the buffer away; records mostly follow one another.
            reader.seek_relative(place as i64 - at)?;
            let mut line = String::new();
            at = place as i64 + reader.read_line(&mut line)? as i64;
            each(serde_json::from_str(&line).map_err(std::io::Error::from)?)?;
        }
        Ok(())
    }
}

/// Finds the whole records of a journal and where they end.
fn scan(
    path: &Path,
    file: &File,
    description: &Map<String, Value>,
) -> Result<(HashMap<String, u64>, u64)> {
    let input = |error| Error::input(path, error);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        reader.read_until(b'\n', line).map_err(input)
    };
    let mut end = next(&mut line)? as u64;
    if !line.ends_with(b"\n") {
        return Ok((HashMap::new(), 0));
    }
    let found: Map<String, Value> =
        serde_json::from_slice(&line).map_err(|error| Error::input(path, error))?;
    let differs = |key: &&String| found.get(*key) != description.get(*key);
    if let Some(key) = description.keys().chain(found.keys()).find(differs) {
        let value =
            |map: &Map<String, Value>| map.get(key).map_or("unset".into(), Value::to_string);
        let difference = format!("{key}: {} then, {} now", value(&found), value(description));
        return Err(Error::OtherJob {
            journal: path.to_owned(),
            difference,
        });
    }
    let mut places = HashMap::new();
    loop {
        let length = next(&mut line)? as u64;
        let Ok(record) = serde_json::from_slice::<Record>(&line) else {
            break;
        };
        if !line.ends_with(b"\n") {
            break;
        }
        if record.failure.is_none() {
            places.insert(record.id, end);
        }
        end += length;
    }
    Ok((places, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, failure: Option<&str>) -> Record {
        Record {
            id: id.into(),
            failure: failure.map(Into::into),
            ..Record::default()
        }
    }

    #[test]
    fn whole_records_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut description = Map::new();
        description.insert("feature_set".into(), "full_v3".into());
        let mut journal = Journal::open(folder.path(), &description, false).unwrap();
        journal
            .add(&[record("b", None), record("x", Some("no map"))])
            .unwrap();
        journal.add(&[record("a", None)]).unwrap();
        assert!(matches!(
            Journal::open(folder.path(), &description, true),
            Err(Error::Busy(_))
        ));
        drop(journal);
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":\"torn").unwrap();
        let mut journal = Journal::open(folder.path(), &description, true).unwrap();
        assert!(journal.holds("a") && journal.holds("b") && !journal.holds("x"));
        journal.add(&[record("x", None)]).unwrap();
        let mut seen = Vec::new();
        let ids = ["a", "b", "none", "x"].into_iter();
        journal
            .read(ids, |record| {
                seen.push(record);
                Ok(())
            })
            .unwrap();
        assert_eq!(
            seen,
            [record("a", None), record("b", None), record("x", None)]
        );
        drop(journal);
        description.insert("naming".into(), "canonical".into());
        let error = Journal::open(folder.path(), &description, true)
            .err()
            .unwrap();
        assert!(error.to_string().contains("naming"), "{error}");
    }
}
