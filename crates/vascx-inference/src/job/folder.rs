//! The output folder of a job: who may write there, what is there already, and how results get there.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use super::description::differences;
use super::journal::{self, Earlier, Journal};
use super::lock::FolderLock;
use super::record::{Record, Status, Written};
use crate::error::{Error, Result};
use crate::guard::Protected;
use crate::inputs::Input;
use crate::output::{Durability, Unpublished, create_folder, remove_unfinished, sync_folder};
use crate::stamp::Stamp;

/// What to do with results that are in the output folder already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch another job's: other settings, another model or other photographs. The same
    /// job's are made anew.
    #[default]
    Refuse,
    /// Keep the same job's and do what is missing; those of other photographs stay, too. Refuse to
    /// touch those of other settings or another model.
    Resume,
    /// Make everything anew, whatever is there.
    Overwrite,
}

/// Which files a job writes.
pub(super) struct Layout {
    /// Folders inside the output folder.
    pub(super) folders: Vec<&'static str>,
    /// Of every photograph: what comes before and after its id.
    pub(super) per_photograph: Vec<(String, &'static str)>,
    /// Of the whole job, besides the journal.
    pub(super) tables: Vec<String>,
    /// Numbers per photograph in its tables.
    pub(super) predictions: usize,
    /// Cells per photograph in `summary.csv`.
    pub(super) summary: usize,
}

impl Layout {
    /// The files of a photograph, relative to the output folder.
    fn files(&self, id: &str) -> impl Iterator<Item = String> {
        let parts = self.per_photograph.iter();
        parts.map(move |(before, after)| format!("{before}{id}{after}"))
    }

    /// Whether a record says of a photograph that it is done, and all that it then must.
    fn is_complete(&self, record: &Record) -> bool {
        let numbers = record.predictions.iter().map(|text| text.parse::<f64>());
        record.status == Status::Done
            && record.predictions.len() == self.predictions
            && record.summary.len() == self.summary
            && numbers
                .into_iter()
                .all(|number| number.is_ok_and(f64::is_finite))
            && self
                .files(&record.id)
                .eq(record.outputs.iter().map(|output| output.file.clone()))
    }
}

/// What a job wants of its folder.
pub(super) struct Request<'a> {
    pub(super) out: &'a Path,
    pub(super) layout: Layout,
    pub(super) inputs: &'a [Input],
    /// Further files that no output may replace.
    pub(super) keep: &'a [PathBuf],
    pub(super) existing: Existing,
    pub(super) durability: Durability,
    /// The job's description: see [`super::description`].
    pub(super) run: Value,
}

/// What an earlier run has left to a resumed one.
#[derive(Default)]
pub(super) struct Kept {
    /// Of inputs of this job, by id; all done.
    pub(super) done: HashMap<String, Record>,
    /// Of photographs that are not among its inputs, in the order in which they were done.
    pub(super) others: Vec<Record>,
}

/// An output folder that this job alone writes to.
pub(super) struct Folder {
    out: PathBuf,
    folders: Vec<PathBuf>,
    durability: Durability,
    journal: Journal,
    /// Given back last.
    _lock: FolderLock,
}

/// The files of one photograph, not yet under their names.
pub(super) struct Made<T> {
    pub(super) record: Record,
    pub(super) files: Vec<Unpublished>,
    /// What else is known of it.
    pub(super) more: T,
}

impl Folder {
    /// Creates and locks the folder and begins its journal. Nothing that was there is touched when
    /// it may not be.
    ///
    /// # Errors
    /// When an output would replace an input, the folder holds results that may not be replaced,
    /// another process has it, or it cannot be written.
    pub(super) fn open(request: Request, warn: &mut dyn FnMut(&str)) -> Result<(Self, Kept)> {
        let Request {
            out,
            layout,
            inputs,
            keep,
            existing,
            durability,
            run,
        } = request;
        create_folder(out, durability)?;
        let lock = FolderLock::take(out, warn)?;
        let mut folders = vec![out.to_owned()];
        folders.extend(layout.folders.iter().map(|name| out.join(name)));

        let tables = layout.tables.iter().cloned();
        let tables = tables.chain([journal::FILE.to_owned()]);
        let files = inputs.iter().flat_map(|input| layout.files(&input.id));
        let outputs: Vec<PathBuf> = tables.chain(files).map(|file| out.join(file)).collect();
        let inputs_and_others = inputs.iter().map(|input| input.path.as_path());
        let protected = Protected::new(inputs_and_others.chain(keep.iter().map(PathBuf::as_path)));
        outputs
            .iter()
            .try_for_each(|output| protected.check(output))?;

        let earlier = journal::read(out)?;
        let kept = match (earlier, existing) {
            (_, Existing::Overwrite) => Kept::default(),
            (None, _) => {
                // Whatever of them exists is not ours.
                let occupied = outputs.iter().find(|path| path.symlink_metadata().is_ok());
                match occupied {
                    Some(path) => return Err(Error::Occupied(path.clone())),
                    None => Kept::default(),
                }
            }
            (Some(earlier), Existing::Refuse) => {
                refuse_others(out, &run, &earlier, inputs)?;
                Kept::default()
            }
            (Some(earlier), Existing::Resume) => {
                keep_valid(out, &run, earlier, inputs, &layout, warn)?
            }
        };

        for folder in &folders {
            create_folder(folder, durability)?;
            remove_unfinished(folder)?;
        }
        let records = kept.others.iter().chain(kept.done.values());
        let journal = Journal::begin(out, durability, &run, records)?;
        let folder = Self {
            out: out.to_owned(),
            folders,
            durability,
            journal,
            _lock: lock,
        };
        Ok((folder, kept))
    }

    /// Gives the files of some photographs their names and records the photographs, in this order
    /// on the disk, too. A photograph whose files cannot be written has failed.
    ///
    /// # Errors
    /// When no further photograph could be written either. Those that were are recorded as far as
    /// that can be done.
    pub(super) fn publish<T>(&mut self, made: &mut [Made<T>]) -> Result<()> {
        let mut stopped = self.sync(made);
        let mut recorded = 0;
        for Made { record, files, .. } in &mut *made {
            if stopped.is_ok() {
                let published = self.publish_one(record, std::mem::take(files));
                stopped = published.or_else(|error| failed(record, error));
            }
            if stopped.is_err() {
                break;
            }
            recorded += 1;
        }
        let complete = &made[..recorded];
        if complete.iter().any(|made| !made.record.outputs.is_empty()) {
            let mut folders = self.folders.iter();
            folders.try_for_each(|folder| sync_folder(folder, self.durability))?;
        }
        self.journal.add(complete.iter().map(|made| &made.record))?;
        stopped
    }

    /// Has the content of all files on the disk; at the same time, so that it costs one wait.
    fn sync<T>(&self, made: &mut [Made<T>]) -> Result<()> {
        if self.durability == Durability::Fast {
            return Ok(());
        }
        let mut results: Vec<Result<()>> = Vec::with_capacity(made.len());
        std::thread::scope(|scope| {
            let mut waiting = Vec::with_capacity(made.len());
            for Made { files, .. } in &*made {
                let sync = || files.iter().try_for_each(Unpublished::sync);
                waiting.push((!files.is_empty()).then(|| scope.spawn(sync)));
            }
            for thread in waiting {
                let result = thread.map_or(Ok(Ok(())), std::thread::ScopedJoinHandle::join);
                results.push(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        for (made, result) in made.iter_mut().zip(results) {
            if let Err(error) = result {
                made.files.clear();
                failed(&mut made.record, error)?;
            }
        }
        Ok(())
    }

    fn publish_one(&self, record: &mut Record, files: Vec<Unpublished>) -> Result<()> {
        for mut file in files {
            let relative = file.path().strip_prefix(&self.out);
            let relative = relative.expect("outputs are in the output folder");
            // With `/` on every system.
            let parts = relative.iter().map(|part| part.to_string_lossy());
            let written = Written {
                file: parts.collect::<Vec<_>>().join("/"),
                stamp: file.stamp()?,
            };
            file.publish()?;
            record.outputs.push(written);
        }
        Ok(())
    }
}

/// Records that a photograph failed, unless all others would fail for the same reason.
fn failed(record: &mut Record, error: Error) -> Result<()> {
    if error.concerns_one_file() {
        record.fail(error.to_string());
        Ok(())
    } else {
        Err(error)
    }
}

/// Whether the folder holds results of another job.
fn refuse_others(out: &Path, run: &Value, earlier: &Earlier, inputs: &[Input]) -> Result<()> {
    let other = |reason: String| {
        Err(Error::OtherJob {
            folder: out.to_owned(),
            reason,
        })
    };
    match &earlier.run {
        None => return other("its journal cannot be read".into()),
        Some(before) if before != run => return other(differences(before, run)),
        Some(_) => {}
    }
    let by_id: HashMap<&str, &Input> = inputs.iter().map(|i| (i.id.as_str(), i)).collect();
    let is_other = |record: &&Record| {
        by_id.get(record.id.as_str()).is_none_or(|input| {
            let now = Record::begin(input);
            now.path != record.path && !record.is_of(&now)
        })
    };
    let others: Vec<&Record> = earlier.records.iter().filter(is_other).collect();
    match others.first() {
        Some(first) => {
            let count = others.len();
            other(format!("{count} other photographs, such as {}", first.path))
        }
        None => Ok(()),
    }
}

/// What of an earlier run can be believed.
fn keep_valid(
    out: &Path,
    run: &Value,
    earlier: Earlier,
    inputs: &[Input],
    layout: &Layout,
    warn: &mut dyn FnMut(&str),
) -> Result<Kept> {
    let Some(before) = &earlier.run else {
        warn("the journal of the earlier run is damaged: everything is done again");
        return Ok(Kept::default());
    };
    if before != run {
        return Err(Error::OtherJob {
            folder: out.to_owned(),
            reason: differences(before, run),
        });
    }
    let (order, mut by_id) = journal::last_of_each(earlier.records);
    let fates: Vec<Fate> = inputs
        .par_iter()
        .map(|input| match by_id.get(&input.id) {
            Some(record) => Fate::of(out, layout, record, Some(&Record::begin(input))),
            None => Fate::Unknown,
        })
        .collect();
    let mut done = HashMap::new();
    for (input, fate) in inputs.iter().zip(&fates) {
        let record = by_id.remove(&input.id);
        if let (Fate::Valid { path, modified }, Some(mut record)) = (fate, record) {
            record.path.clone_from(path);
            record.modified = *modified;
            done.insert(input.id.clone(), record);
        }
    }
    let ids = inputs.iter().map(|input| input.id.as_str());
    tell(ids.zip(&fates), "is done again", "are done again", warn);

    let others = order.iter().filter_map(|id| by_id.remove(id));
    let others: Vec<Record> = others.collect();
    let fates: Vec<Fate> = others
        .par_iter()
        .map(|record| match record.status {
            Status::Done => Fate::of(out, layout, record, None),
            Status::Failed(_) => Fate::of_failed(record),
        })
        .collect();
    let ids = others.iter().map(|record| record.id.as_str());
    let again = "not among the inputs now, is left out of the tables";
    tell(
        ids.zip(&fates),
        again,
        "not among the inputs now, are left out of the tables",
        warn,
    );
    let others = others.iter().zip(&fates);
    let others = others.filter(|(_, fate)| matches!(fate, Fate::Valid { .. }));
    Ok(Kept {
        done,
        others: others.map(|(record, _)| record.clone()).collect(),
    })
}

/// What a resumed run thinks of an earlier record.
enum Fate {
    /// There is none, or it says that the photograph failed: nothing was said to be done.
    Unknown,
    Valid {
        /// Where the photograph is now.
        path: String,
        modified: Option<u64>,
    },
    /// Was done, but is so no more, for this reason.
    Invalid(&'static str),
}

impl Fate {
    fn of(out: &Path, layout: &Layout, record: &Record, now: Option<&Record>) -> Self {
        if record.status != Status::Done {
            return Self::Unknown;
        }
        if !layout.is_complete(record) {
            return Self::Invalid("whose record is damaged");
        }
        if now.is_some_and(|now| !record.is_of(now)) {
            return Self::Invalid("whose photograph has changed since");
        }
        for Written { file, stamp } in &record.outputs {
            match Stamp::at(&out.join(file)) {
                None => return Self::Invalid("whose results are missing"),
                Some(found) if found != *stamp => {
                    return Self::Invalid("whose results have changed since");
                }
                Some(_) => {}
            }
        }
        Self::of_failed(now.unwrap_or(record))
    }

    fn of_failed(record: &Record) -> Self {
        Self::Valid {
            path: record.path.clone(),
            modified: record.modified,
        }
    }
}

/// Says which photographs were done and are not any more, a line per reason.
fn tell<'a>(
    fates: impl Iterator<Item = (&'a str, &'a Fate)>,
    one: &str,
    several: &str,
    warn: &mut dyn FnMut(&str),
) {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut reasons = HashSet::new();
    for (id, fate) in fates {
        if let Fate::Invalid(reason) = fate {
            if reasons.insert(*reason) {
                by_reason.push((reason, Vec::new()));
            }
            let entry = by_reason.iter_mut().find(|(known, _)| known == reason);
            entry.expect("just added").1.push(id);
        }
    }
    for (reason, ids) in by_reason {
        let named = ids.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if ids.len() > 3 { ", …" } else { "" };
        warn(&match ids.len() {
            1 => format!("{named}, {reason}, {one}"),
            count => format!("{count} photographs {reason} {several}: {named}{more}"),
        });
    }
}
