//! Preprocessing without a model: squares, their local contrast, and where they lie.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use image::RgbImage;
use serde_json::json;

use super::folder::{Existing, Folder, Layout, Made, Request};
use super::record::Record;
use super::{Outcome, Summary, tables};
use crate::budget::{Budget, Need, Share};
use crate::control::{Cancel, Warnings};
use crate::decode::DecodeLimits;
use crate::error::{Error, Result, alone};
use crate::geometry::Size;
use crate::inputs::Input;
use crate::output::{Durability, Unpublished, png, write_json};
use crate::photograph::Photograph;
use crate::preprocess::{Bounds, PreprocessMode, Preprocessed, preprocess};

/// What to preprocess and how.
#[derive(Clone, Debug)]
pub struct PreprocessJob {
    /// Photographs, with distinct ids.
    pub inputs: Vec<Input>,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// How photographs are brought to a square.
    pub mode: PreprocessMode,
    /// Side of the square in pixels.
    pub size: usize,
    /// How large photographs may be.
    pub limits: DecodeLimits,
    /// What to do with results that are in the output folder already.
    pub existing: Existing,
    /// Whether results survive a loss of power.
    pub durability: Durability,
    /// Files that no output may replace; see [`Job::keep`](super::Job::keep).
    pub keep: Vec<PathBuf>,
    /// Bytes that photographs may take; see [`Job::memory`](super::Job::memory).
    pub memory: Option<u64>,
    /// Which build of the program runs; see [`Job::build`](super::Job::build).
    pub build: String,
    /// Stops the job after what is begun.
    pub cancel: Cancel,
    /// Where warnings go that concern the whole job.
    pub warnings: Warnings,
}

impl PreprocessJob {
    /// Writes, into the output folder, `rgb/<id>.png` and (except for `resize`) the local contrast
    /// `ce/<id>.png`; `bounds.json`, by id; `manifest.csv`. As many photographs are in memory as
    /// there are threads. `each` sees every outcome as soon as it is there, in any order.
    ///
    /// # Errors
    /// When there are no inputs, the size is 0 or beyond 16384, or the folder may not be used or
    /// cannot be written; see [`Job::run`](super::Job::run).
    pub fn run(&self, mut each: impl FnMut(Outcome) + Send) -> Result<Summary> {
        if self.inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        if !(1..=16_384).contains(&self.size) {
            return Err(Error::SquareSize(self.size));
        }
        let (folder, kept) =
            Folder::open(self.request(), &mut |warning| self.warnings.warn(warning))?;
        let todo = kept.tell(&self.inputs, &mut each);
        let stop = AtomicBool::new(false);
        let go_on = || !self.cancel.is_cancelled() && !stop.load(Ordering::Relaxed);
        let at_once = rayon::current_num_threads();
        let budget = Budget::new(self.memory);
        let need = Need {
            limits: self.limits,
            per_pixel: 0,
            // The square, its contrast, and what they are made of.
            fixed: 24 * (self.size * self.size) as u64,
        };
        let (sender, finished) = sync_channel(at_once);
        let mut records = Vec::new();
        let written = &mut records;
        let (ended, folder) = thread::scope(|scope| {
            let stop = &stop;
            let writer = scope.spawn(move || {
                let mut folder = folder;
                let ended = write_behind(&finished, at_once, &mut folder, written, each);
                stop.store(true, Ordering::Relaxed);
                (ended, folder)
            });
            let (feed, next) = sync_channel::<(&Input, Result<Share>)>(0);
            let next = Arc::new(Mutex::new(next));
            // Not rayon's threads: to wait for memory there could be to wait for oneself.
            for _ in 0..at_once {
                let (sender, next) = (sender.clone(), next.clone());
                scope.spawn(move || {
                    let take = || next.lock().ok()?.recv().ok();
                    while let Some((input, share)) = take() {
                        // The writer is gone only when it cannot write; its error is returned below.
                        if sender.send(self.make(input, share)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop((sender, next));
            for input in todo.into_iter().take_while(|_| go_on()) {
                let (bytes, size) = need.of(&input.path);
                let share = budget.take(bytes);
                let share = share.ok_or_else(|| budget.refusal(&input.path, bytes, size));
                if feed.send((input, share)).is_err() {
                    break;
                }
            }
            drop(feed);
            writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let (summary, ordered) = super::summarise(&self.inputs, kept, records, Summary::default());
        let finished = self.write_tables(&ordered);
        drop(folder);
        summary.unless_stopped(ended.and(finished))
    }

    fn enhances(&self) -> bool {
        self.mode != PreprocessMode::Resize
    }

    fn request(&self) -> Request<'_> {
        let mut layout = Layout {
            folders: vec!["rgb"],
            per_photograph: vec![("rgb/".into(), ".png")],
            tables: vec!["bounds.json".into(), "manifest.csv".into()],
            predictions: 0,
            summary: 0,
        };
        if self.enhances() {
            layout.folders.push("ce");
            layout.per_photograph.push(("ce/".into(), ".png"));
        }
        Request {
            out: &self.out,
            layout,
            inputs: &self.inputs,
            keep: &self.keep,
            existing: self.existing,
            durability: self.durability,
            run: json!({
                "vascx_version": env!("CARGO_PKG_VERSION"),
                "build": self.build,
                "task": "preprocess",
                "preprocess": self.mode.name(),
                "size": self.size,
            }),
        }
    }

    fn make<'a>(
        &self,
        input: &'a Input,
        share: Result<Share<'a>>,
    ) -> Result<Made<(&'a Input, Option<Share<'a>>)>> {
        let started = Instant::now();
        let mut record = Record::begin(input);
        let (share, files) = match share {
            Ok(share) => (
                Some(share),
                alone(&input.path, || self.files(input, &mut record)),
            ),
            Err(error) => (None, Err(error)),
        };
        let files = match files {
            Ok(files) => files,
            Err(error) if error.concerns_one_file() => {
                record.fail(error.to_string());
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        record.seconds = (!files.is_empty()).then(|| started.elapsed().as_secs_f64());
        Ok(Made {
            record,
            files,
            more: (input, share),
        })
    }

    fn files(&self, input: &Input, record: &mut Record) -> Result<Vec<Unpublished>> {
        let photograph = Photograph::open_within(&input.path, self.limits)?;
        let Preprocessed {
            rgb,
            enhanced,
            bounds,
        } = preprocess(&photograph, self.mode, self.size, self.enhances());
        let mut files = vec![self.picture("rgb", &input.id, &rgb)?];
        if let Some(enhanced) = enhanced {
            files.push(self.picture("ce", &input.id, &enhanced)?);
        }
        let note = photograph.note().map(str::to_owned);
        record.complete(Size::of(&photograph), bounds.field_of_view(), note);
        record.bounds = Some(bounds);
        Ok(files)
    }

    fn picture(&self, folder: &str, id: &str, image: &RgbImage) -> Result<Unpublished> {
        let path = self.out.join(folder).join(format!("{id}.png"));
        png(path, image)
    }

    fn write_tables(&self, records: &[Record]) -> Result<()> {
        let bounds = records.iter().filter_map(|record| {
            let bounds: &Bounds = record.bounds.as_ref()?;
            Some((&record.id, bounds))
        });
        let bounds: BTreeMap<_, _> = bounds.collect();
        write_json(&self.out.join("bounds.json"), self.durability, &bounds)?;
        tables::write_manifest(&self.out, self.durability, records)
    }
}

/// A photograph whose squares are made.
type Finished<'a> = Made<(&'a Input, Option<Share<'a>>)>;

/// Publishes what is finished, several at a time.
fn write_behind(
    finished: &Receiver<Result<Finished<'_>>>,
    at_once: usize,
    folder: &mut Folder,
    records: &mut Vec<Record>,
    mut each: impl FnMut(Outcome),
) -> Result<()> {
    while let Ok(first) = finished.recv() {
        let waiting = finished.try_iter().take(at_once - 1);
        let made = std::iter::once(first).chain(waiting);
        let mut made = made.collect::<Result<Vec<_>>>()?;
        folder.publish(&mut made)?;
        for Made { record, more, .. } in made {
            each(Outcome::of(more.0, &record, None));
            records.push(record);
        }
    }
    Ok(())
}
