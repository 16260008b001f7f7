//! What has been measured so far, line by line; the tables are made from it.
//!
//! `journal.jsonl` holds the job's description and then a record per eye. A line that a kill has
//! torn is cut off when the job goes on; any other damaged line costs its eye. Only the holder of the
//! folder's lock opens a journal.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
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
    /// What its maps were known by; see [`super::cohort::Cohort::stamp`].
    #[serde(default)]
    pub(crate) maps: String,
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
    /// Where each eye's record begins, and what its maps were known by.
    places: HashMap<String, (u64, String)>,
    /// Where the next record goes.
    end: u64,
}

impl Journal {
    /// Begins the journal of a report.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn begin(report: &Path, description: &Map<String, Value>) -> Result<Self> {
        let path = report.join(FILE);
        let output = |error: io::Error| Error::output(&path, error);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(output(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        // Never through a link that came there in the meantime.
        let file = options.read(true).write(true).create_new(true).open(&path);
        let mut file = file.map_err(output)?;
        let line = format!("{}\n", serde_json::Value::from(description.clone()));
        let written = file.write_all(line.as_bytes());
        written.and_then(|()| file.sync_data()).map_err(output)?;
        Ok(Self {
            path,
            file,
            places: HashMap::new(),
            end: line.len() as u64,
        })
    }

    /// Opens the journal of a report with what a job of the same description has done. Eyes that
    /// failed are not counted as done.
    ///
    /// # Errors
    /// The file cannot be read or written, or it is another job's.
    pub(crate) fn go_on(report: &Path, description: &Map<String, Value>) -> Result<Self> {
        let path = report.join(FILE);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let mut file = file.map_err(|error| Error::output(&path, error))?;
        let Some((places, end)) = scan(&path, &file, description)? else {
            return Self::begin(report, description);
        };
        let cut = file.set_len(end).and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(|error| Error::output(&path, error))?;
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

    /// What the maps of an eye that is done were known by.
    pub(crate) fn stamp(&self, id: &str) -> Option<&String> {
        self.places.get(id).map(|(_, maps)| maps)
    }

    /// Takes eyes for not done.
    pub(crate) fn forget(&mut self, ids: &[&str]) {
        for id in ids {
            self.places.remove(*id);
        }
    }

    /// Adds records and waits until they are on the disk.
    pub(crate) fn add(&mut self, records: &[Record]) -> Result<()> {
        let mut lines = Vec::new();
        for record in records {
            let place = (self.end + lines.len() as u64, record.maps.clone());
            self.places.insert(record.id.clone(), place);
            serde_json::to_writer(&mut lines, record).map_err(|error| self.output(error.into()))?;
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines);
        written.map_err(|error| self.output(error))?;
        self.end += lines.len() as u64;
        self.file.sync_data().map_err(|error| self.output(error))
    }

    fn output(&self, error: io::Error) -> Error {
        Error::output(&self.path, error)
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
            let Some(&(place, _)) = self.places.get(id) else {
                continue;
            };
            // A seek would throw the buffer away; records mostly follow one another.
            reader.seek_relative(place as i64 - at)?;
            let mut line = String::new();
            at = place as i64 + reader.read_line(&mut line)? as i64;
            each(serde_json::from_str(&line).map_err(io::Error::from)?)?;
        }
        Ok(())
    }
}

/// Whether a folder holds the journal of a report; that of another command is an error.
pub(crate) fn is_there(report: &Path) -> Result<bool> {
    let path = report.join(FILE);
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::input(&path, error)),
        Ok(metadata) if !metadata.is_file() => return Err(Error::ForeignJournal(path)),
        Ok(_) => {}
    }
    let mut first = Vec::new();
    File::open(&path)
        .and_then(|file| {
            BufReader::new(file.take(LONGEST_DESCRIPTION)).read_until(b'\n', &mut first)
        })
        .map_err(|error| Error::input(&path, error))?;
    let description = serde_json::from_slice::<Map<String, Value>>(&first);
    // It is empty if a loss of power came before the description.
    if first.is_empty() || description.is_ok_and(|found| found.contains_key("feature_set")) {
        Ok(true)
    } else {
        Err(Error::ForeignJournal(path))
    }
}

/// Most bytes of a description; longer than any path in it.
const LONGEST_DESCRIPTION: u64 = 64 << 10;

/// Ids of all records of a journal that can be read.
pub(crate) fn ids(report: &Path) -> Result<Vec<String>> {
    let path = report.join(FILE);
    let input = |error| Error::input(&path, error);
    let mut ids = Vec::new();
    for line in BufReader::new(File::open(&path).map_err(input)?).split(b'\n') {
        if let Ok(record) = serde_json::from_slice::<Record>(&line.map_err(input)?) {
            ids.push(record.id);
        }
    }
    Ok(ids)
}

/// Finds the whole records of a journal and where the last whole line ends; nothing in an empty file.
#[allow(clippy::type_complexity)]
fn scan(
    path: &Path,
    file: &File,
    description: &Map<String, Value>,
) -> Result<Option<(HashMap<String, (u64, String)>, u64)>> {
    let input = |error| Error::input(path, error);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| {
        line.clear();
        reader.read_until(b'\n', line).map_err(input)
    };
    let mut end = next(&mut line)? as u64;
    if end == 0 {
        return Ok(None);
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
        if !line.ends_with(b"\n") {
            return Ok(Some((places, end)));
        }
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) if record.failure.is_none() => {
                places.insert(record.id, (end, record.maps));
            }
            _ => {}
        }
        end += length;
    }
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
        let mut journal = Journal::begin(folder.path(), &description).unwrap();
        journal
            .add(&[record("b", None), record("x", Some("no map"))])
            .unwrap();
        journal.add(&[record("a", None)]).unwrap();
        drop(journal);
        let path = folder.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"damaged\n").unwrap();
        serde_json::to_writer(&file, &record("c", None)).unwrap();
        file.write_all(b"\n{\"id\":\"torn").unwrap();
        let mut journal = Journal::go_on(folder.path(), &description).unwrap();
        assert!(journal.holds("c"), "a damaged line costs its eye alone");
        assert!(journal.holds("a") && journal.holds("b") && !journal.holds("x"));
        journal.add(&[record("x", None)]).unwrap();
        let mut seen = Vec::new();
        let wanted = ["a", "b", "none", "x"].into_iter();
        journal
            .read(wanted, |record| {
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
        let error = Journal::go_on(folder.path(), &description).err().unwrap();
        assert!(error.to_string().contains("naming"), "{error}");
        assert!(is_there(folder.path()).unwrap());
        assert_eq!(ids(folder.path()).unwrap(), ["b", "x", "a", "c", "x"]);
    }

    #[test]
    fn other_files_are_no_journals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert!(!is_there(folder.path()).unwrap());
        for text in ["{\"model\":\"a\"}\n", "torn", "my notes\n"] {
            fs::write(&path, text).unwrap();
            assert!(is_there(folder.path()).is_err(), "{text}");
        }
        #[cfg(unix)]
        {
            fs::write(folder.path().join("mine"), "").unwrap();
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("mine", &path).unwrap();
            assert!(is_there(folder.path()).is_err());
        }
    }
}
