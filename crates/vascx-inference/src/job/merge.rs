//! Folders of results after the fact: their tables anew, several of them as one.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::description::differences;
use super::journal::{self, Journal};
use super::lock::FolderLock;
use super::outputs::write_description;
use super::record::{Record, Status};
use super::tables::Tables;
use crate::error::{Error, Result};
use crate::output::{Durability, create_folder, sync_folder};
use crate::stamp::Stamp;

/// What [`merge`] brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Merged {
    /// Photographs that are done.
    pub done: usize,
    /// Photographs that failed.
    pub failed: usize,
}

/// A folder of results by its journal.
struct Results {
    folder: PathBuf,
    run: Value,
    tables: Tables,
    /// The last of every photograph, in the order in which they were begun.
    records: Vec<Record>,
}

/// Writes the tables of a folder of results anew, with what its journal holds; also while a job writes
/// there. Tells how many photographs they hold.
///
/// # Errors
/// When the folder has no journal of a job that has tables, or they cannot be written.
pub fn write_tables(out: &Path, durability: Durability) -> Result<usize> {
    loop {
        let results = Results::read(out)?;
        results.tables.write(out, durability, &results.records)?;
        // A job may have ended meanwhile, and what it wrote must not be replaced by less.
        let now = Results::read(out)?;
        if now.records.len() == results.records.len() {
            return Ok(results.records.len());
        }
    }
}

/// Makes one folder of the results of several jobs that differ in nothing but their photographs, such
/// as shards: files are linked, or copied where that is not possible, and journal and tables are those
/// of all. The folder is created, and must hold nothing of the kind; the parts stay as they are.
///
/// # Errors
/// When the jobs differ, one of them is still running, two have the same photograph, a result has
/// changed since it was written, or the folder cannot be written.
pub fn merge(out: &Path, parts: &[PathBuf], durability: Durability) -> Result<Merged> {
    let Some(first) = parts.first() else {
        return Err(Error::NoPhotographs);
    };
    // Nobody writes to a part while it is read.
    let lock = |part: &PathBuf| FolderLock::take(part, &mut |_| {});
    let _locks = parts.iter().map(lock).collect::<Result<Vec<_>>>()?;
    let read = |part: &PathBuf| Results::read(part);
    let parts = parts.iter().map(read).collect::<Result<Vec<_>>>()?;
    let run = &parts[0].run;
    for part in &parts[1..] {
        if part.run != *run {
            return Err(Error::OtherJob {
                folder: part.folder.clone(),
                reason: format!(
                    "compared with {}: {}",
                    first.display(),
                    differences(run, &part.run)
                ),
            });
        }
    }
    let mut seen: HashMap<&str, &Results> = HashMap::new();
    for part in &parts {
        for record in &part.records {
            if let Some(other) = seen.insert(&record.id, part) {
                let reason = format!("`{}` is in {} as well", record.id, other.folder.display());
                return Err(Error::input(&part.folder, reason));
            }
        }
    }
    create_folder(out, durability)?;
    let _lock = FolderLock::take(out, &mut |_| {})?;
    let tables = &parts[0].tables;
    for file in tables.files().into_iter().chain([journal::FILE.to_owned()]) {
        if out.join(&file).symlink_metadata().is_ok() {
            return Err(Error::input(
                &out.join(file),
                "it is there already; choose another folder for all parts together",
            ));
        }
    }
    let mut folders = HashSet::new();
    for part in &parts {
        for record in &part.records {
            take_files(out, part, record, durability, &mut folders)?;
        }
    }
    folders
        .iter()
        .try_for_each(|folder| sync_folder(folder, durability))?;
    let records = parts.iter().flat_map(|part| &part.records);
    let records: Vec<Record> = records.cloned().collect();
    drop(Journal::begin(out, durability, run, records.iter())?);
    tables.write(out, durability, &records)?;
    let folders: Vec<_> = parts
        .iter()
        .map(|part| part.folder.to_string_lossy())
        .collect();
    write_description(out, durability, run, &json!({ "merged": folders }))?;
    let done = records
        .iter()
        .filter(|record| record.status == Status::Done)
        .count();
    Ok(Merged {
        done,
        failed: records.len() - done,
    })
}

/// Links the files of a photograph into the folder.
fn take_files(
    out: &Path,
    part: &Results,
    record: &Record,
    durability: Durability,
    folders: &mut HashSet<PathBuf>,
) -> Result<()> {
    for written in &record.outputs {
        let (from, to) = (part.folder.join(&written.file), out.join(&written.file));
        if Stamp::at(&from).as_ref() != Some(&written.stamp) {
            let reason = "it is missing or has changed since it was written; run that job again with \
                          --resume, which makes it anew";
            return Err(Error::input(&from, reason));
        }
        let folder = to.parent().unwrap_or(out);
        if folders.insert(folder.to_owned()) {
            create_folder(folder, durability)?;
        }
        let linked = fs::hard_link(&from, &to).or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            // Another file system, or one without links.
            _ => copy_new(&from, &to),
        });
        linked.map_err(|error| Error::output(&to, error))?;
    }
    Ok(())
}

/// Copies to a file that must not be there.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut target = fs::File::options().write(true).create_new(true).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.sync_data()
}

impl Results {
    fn read(folder: &Path) -> Result<Self> {
        let wrong = |reason: &str| Err(Error::input(&folder.join(journal::FILE), reason));
        let Some(earlier) = journal::read(folder)? else {
            return wrong("there is no journal; name a folder that a job has written to");
        };
        let Some(run) = earlier.run else {
            return wrong("its first line cannot be read, without which no table can be made");
        };
        let tables = run
            .get("tables")
            .cloned()
            .map(serde_json::from_value::<Tables>);
        let Some(Ok(tables)) = tables else {
            return wrong("the job has no tables, or another version of this program wrote it");
        };
        if !tables.stay_in_their_folder() {
            return wrong("it names tables outside of the folder, as no job of this program does");
        }
        let stays = |record: &Record| record.outputs.iter().all(|file| is_inside(&file.file));
        let records = earlier.records.into_iter();
        let whole = records.filter(|record| tables.fit(record) && stays(record));
        let (order, mut by_id) = journal::last_of_each(whole);
        Ok(Self {
            folder: folder.to_owned(),
            run,
            tables,
            records: order.iter().filter_map(|id| by_id.remove(id)).collect(),
        })
    }
}

/// Whether a path of a journal leads to somewhere below the folder.
fn is_inside(file: &str) -> bool {
    let mut components = Path::new(file).components();
    !file.is_empty() && components.all(|component| matches!(component, Component::Normal(_)))
}
