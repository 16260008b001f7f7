//! Jobs: photographs in, files out. What they share is [`pipeline`]'s.

mod cohort;
mod description;
mod folder;
mod journal;
mod lock;
mod merge;
mod outputs;
mod pipeline;
mod predict;
mod preprocess;
mod record;
mod stages;
mod tables;

pub use cohort::{CohortJob, Models, Role};
pub use folder::Existing;
pub use lock::FolderLock;
pub use merge::{Merged, merge, write_tables};
pub use predict::Job;
pub use preprocess::PreprocessJob;
pub use record::Status;
pub use stages::Stages;

use std::time::Duration;

use crate::ensemble::Answer;
use crate::error::{Error, Result};
use crate::inputs::Input;
use folder::Kept;
use record::Record;

/// What became of one photograph.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The photograph.
    pub input: &'a Input,
    /// How it ended.
    pub status: &'a Status,
    /// How long it took by itself: to be read and prepared, its part of its chunk's time on the
    /// device, and to make its results. Photographs are worked on side by side, so that all of them
    /// together take less than the sum. None of one that failed.
    pub seconds: Option<f64>,
    /// Its answer, where it was predicted now, by one model.
    pub answer: Option<&'a Answer>,
    /// What the user should know although it worked, such as a field of view that was not found.
    pub warning: Option<&'a str>,
    /// Whether an earlier run has done it.
    pub resumed: bool,
}

impl<'a> Outcome<'a> {
    /// Of a photograph that was worked on now.
    fn of(input: &'a Input, record: &'a Record, answer: Option<&'a Answer>) -> Self {
        Self {
            input,
            status: &record.status,
            seconds: record.seconds,
            answer,
            warning: record.warning.as_deref(),
            resumed: false,
        }
    }
}

impl Kept {
    /// Tells what an earlier run has done, and which photographs are left.
    fn tell<'a>(&self, inputs: &'a [Input], each: &mut impl FnMut(Outcome)) -> Vec<&'a Input> {
        let mut todo = Vec::new();
        for input in inputs {
            match self.done.get(&input.id) {
                None => todo.push(input),
                Some(record) => each(Outcome {
                    warning: None,
                    resumed: true,
                    ..Outcome::of(input, record, None)
                }),
            }
        }
        todo
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Photographs with all their outputs written.
    pub succeeded: usize,
    /// Photographs without, as the manifest says.
    pub failed: usize,
    /// Photographs among the succeeded that an earlier run had done.
    pub resumed: usize,
    /// Photographs that were not begun because the job was interrupted.
    pub left: usize,
    /// Time on the device of the first chunk that was computed, with whatever had to be compiled
    /// and tuned for it; none when nothing was.
    pub first_chunk: Option<Duration>,
    /// Time per photograph after it and the chunks that were begun together with it; none when there
    /// were no more.
    pub per_photograph: Option<Duration>,
    /// Where the time went.
    pub stages: Stages,
}

impl Summary {
    /// Itself, or why the job ended before its time.
    fn unless_stopped(self, ended: Result<()>) -> Result<Self> {
        match ended {
            Ok(()) => Ok(self),
            Err(error) => Err(Error::Stopped {
                done: self.succeeded,
                source: Box::new(error),
            }),
        }
    }
}

/// Counts, and all records in the order of the tables: those of other photographs first, then in
/// input order.
fn summarise(
    inputs: &[Input],
    kept: Kept,
    records: Vec<Record>,
    mut summary: Summary,
) -> (Summary, Vec<Record>) {
    summary.resumed = kept.done.len();
    let mut by_id = kept.done;
    let records = records.into_iter();
    by_id.extend(records.map(|record| (record.id.clone(), record)));
    let mut ordered = kept.others;
    for input in inputs {
        match by_id.remove(&input.id) {
            Some(record) => {
                match record.status {
                    Status::Done => summary.succeeded += 1,
                    Status::Failed(_) => summary.failed += 1,
                }
                ordered.push(record);
            }
            None => summary.left += 1,
        }
    }
    (summary, ordered)
}
