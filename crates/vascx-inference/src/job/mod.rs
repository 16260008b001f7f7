//! The main job: photographs in, files out.

mod description;
mod folder;
mod journal;
mod lock;
mod outputs;
mod preprocess;
mod record;

pub use folder::Existing;
pub use lock::FolderLock;
pub use preprocess::PreprocessJob;
pub use record::Status;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use vascx_convert::{ModelManifest, Task};

use crate::budget::{Budget, Need, Share};
use crate::ensemble::{
    Answer, AnyEnsemble, Computed, PredictOptions, Reading, Runner, Stream, Together, Wanted,
};
use crate::error::{Error, Result, alone, panic_message};
use crate::inputs::{Input, LeftOut};
use crate::output::Durability;
use crate::preprocess::Bounds;
use crate::source::Source;
use folder::{Folder, Kept, Made, Request};
use record::Record;

/// What to write where.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Photographs, with distinct ids.
    pub inputs: Vec<Input>,
    /// What was found beside them and not taken; for `run.json`.
    pub left_out: LeftOut,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// How the ensemble is run; `keep_maps` writes class probabilities and heat maps as
    /// safetensors.
    pub options: PredictOptions,
    /// Whether to draw answers on the photographs, `overlays/<id>.png`.
    pub overlay: bool,
    /// What to do with results that are in the output folder already.
    pub existing: Existing,
    /// Whether results survive a loss of power.
    pub durability: Durability,
    /// Files that no output may replace, such as the lists that the photographs stand in. The
    /// photographs need not be among them.
    pub keep: Vec<PathBuf>,
    /// Bytes that photographs may take while they are under way, from before they are decoded until
    /// their results are written; half of what this process may still take when there is none. One that
    /// takes more alone fails. The network and its feature maps are not part of it.
    pub memory: Option<u64>,
    /// Which build of the program runs, beyond the version; part of what `run.json` compares.
    pub build: String,
}

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
    /// Its answer, where it was predicted now.
    pub answer: Option<&'a Answer>,
    /// What the user should know although it worked, such as a field of view that was not found.
    pub warning: Option<&'a str>,
    /// Whether an earlier run has done it.
    pub resumed: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

/// What travels with a photograph through the pipeline.
struct Ticket<'a> {
    input: &'a Input,
    record: Record,
    /// Its part of the memory; none of one that never fits.
    share: Option<Share<'a>>,
}

/// How files are made of what a network gave.
#[derive(Clone, Copy)]
struct MadeHow<'a> {
    reading: Reading,
    /// Goes on every picture.
    notice: Option<&'a str>,
}

/// What goes with a photograph until its files are published.
struct Rest<'a> {
    input: &'a Input,
    answer: Option<Answer>,
    _share: Option<Share<'a>>,
}

/// Chunks of at most so many inputs as there is memory for. To begin a chunk waits for memory; to
/// fill it does not, for the chunk itself may have it.
fn in_chunks<'a>(
    inputs: impl Iterator<Item = &'a Input>,
    chunk_size: usize,
    budget: &'a Budget,
    need: Need,
) -> impl Iterator<Item = Together<'a, Ticket<'a>>> {
    let mut inputs = inputs.fuse().peekable();
    std::iter::from_fn(move || {
        let mut chunk = Vec::new();
        while chunk.len() < chunk_size
            && let Some(&input) = inputs.peek()
        {
            let (bytes, size) = need.of(&input.path);
            let mut source = Ok(Source::Path(Cow::Borrowed(&*input.path)));
            let share = match budget.try_take(bytes) {
                Some(share) => Some(share),
                None if bytes > budget.total() => {
                    source = Err(budget.refusal(&input.path, bytes, size));
                    None
                }
                None if chunk.is_empty() => budget.take(bytes),
                None => break,
            };
            inputs.next();
            let record = Record::begin(input);
            let ticket = Ticket {
                input,
                record,
                share,
            };
            chunk.push((ticket, source));
        }
        (!chunk.is_empty()).then_some(chunk)
    })
}

impl Job {
    /// Predicts all inputs and writes, into the output folder: per photograph `<id>.png` (class
    /// map) or a row of `predictions.csv`; `manifest.csv` with the status of each; `run.json` with
    /// model and settings. Photographs are decoded ahead and results are written behind while the
    /// device computes.
    ///
    /// `each` sees every outcome in input order; warnings that concern the whole job go where
    /// [`PredictOptions::warnings`] says. After [`PredictOptions::cancel`] no further chunk is begun and
    /// the tables are completed with what is done. A photograph that cannot be read, computed or written is recorded as failed and the
    /// rest go on.
    ///
    /// No input is ever written over, and no other process or job can write to the folder meanwhile.
    ///
    /// # Errors
    /// When there are no inputs or the folder may not be used: an output would be written over an
    /// input, or it holds what [`Existing`] says must stay. [`Error::Stopped`] when the job ended
    /// before its time, because the disk is full, say; what is done is then recorded.
    pub fn run(
        &self,
        ensemble: &AnyEnsemble,
        mut each: impl FnMut(Outcome) + Send,
    ) -> Result<Summary> {
        if self.inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        let runner = &*ensemble.runner;
        // Photographs wait for their answers only where they are drawn on; that is most of the memory.
        let wanted = Wanted::answers(self.options.keep_maps);
        let call = runner.run(&self.options, wanted, self.overlay)?;
        let settings = &call.settings;
        let run = outputs::run_description(self, runner, settings);
        let request = Request {
            out: &self.out,
            layout: outputs::layout(self, &runner.manifest),
            inputs: &self.inputs,
            keep: &self.keep,
            existing: self.existing,
            durability: self.durability,
            run: run.clone(),
        };
        let PredictOptions {
            cancel, warnings, ..
        } = &self.options;
        let (folder, kept) = Folder::open(request, &mut |warning| warnings.warn(warning))?;
        outputs::write_run(self, &run, settings, None)?;
        for input in &self.inputs {
            if let Some(record) = kept.done.get(&input.id) {
                each(Outcome {
                    input,
                    status: &record.status,
                    seconds: record.seconds,
                    answer: None,
                    warning: None,
                    resumed: true,
                });
            }
        }

        let made_how = MadeHow {
            reading: runner.reading(&self.options),
            notice: runner.manifest.notice.as_deref(),
        };
        let chunk_size = settings.batch_size;
        let (finished, answers) = sync_channel(chunk_size);
        let (order, mut stream) = Stream::new(runner.workers(), warnings.clone());
        let todo: Vec<&Input> = self
            .inputs
            .iter()
            .filter(|input| !kept.done.contains_key(&input.id))
            .collect();
        let budget = Budget::new(self.memory);
        let need = self.need(runner);
        let mut records = Vec::new();
        let written = &mut records;
        let (ended, pace, folder) = thread::scope(|scope| {
            let inputs = todo.into_iter().take_while(|_| !cancel.is_cancelled());
            let chunks = in_chunks(inputs, chunk_size, &budget, need);
            runner.start(scope, chunks, &call, order);
            let writer = scope.spawn(move || {
                let mut folder = folder;
                let ended =
                    self.write_behind(made_how, chunk_size, &answers, &mut folder, written, each);
                (ended, folder)
            });
            let streamed = catch_unwind(AssertUnwindSafe(|| {
                for computed in stream.by_ref() {
                    // The writer stops early only when it cannot write; its error is returned below.
                    if finished.send(computed).is_err() {
                        break;
                    }
                }
            }));
            drop(finished);
            let pace = stream.pace();
            // What was not asked for yet is not computed any more.
            drop(stream);
            let (ended, folder) = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let streamed = streamed.map_err(|panic| {
                Error::Device(format!("computing failed: {}", panic_message(&*panic)))
            });
            (ended.and(streamed), pace, folder)
        });
        let summary = Summary {
            first_chunk: pace.first_chunk,
            per_photograph: pace.per_input(),
            ..Summary::default()
        };
        let (summary, ordered) = summarise(&self.inputs, kept, records, summary);
        // Also when the job could not go on, as far as possible.
        let finished = outputs::write_tables(self, &runner.manifest, &ordered).and_then(|()| {
            if pace.first_chunk.is_some() {
                outputs::write_run(self, &run, settings, Some(&pace))?;
            }
            Ok(())
        });
        drop(folder);
        match ended.and(finished) {
            Ok(()) => Ok(summary),
            Err(error) => Err(Error::Stopped {
                done: summary.succeeded,
                source: Box::new(error),
            }),
        }
    }

    /// What a photograph takes while it is under way.
    fn need(&self, runner: &Runner) -> Need {
        let ModelManifest {
            preprocessing,
            architecture,
            task,
            ..
        } = &runner.manifest;
        let (outputs, float) = (architecture.outputs() as u64, size_of::<f32>() as u64);
        let mut per_pixel = 0;
        if matches!(task, Task::Segmentation | Task::Overlaps) {
            // Its class, and the probabilities as they are written.
            per_pixel += 1 + float * outputs * u64::from(self.options.keep_maps);
        }
        if self.overlay {
            // The photograph's own pixels are counted already.
            per_pixel += 3;
        }
        let maps = if task.is_spatial() { 2 * outputs } else { 0 };
        let side = preprocessing.input_size() as u64;
        Need {
            limits: self.options.limits,
            per_pixel,
            fixed: side * side * float * (preprocessing.channels() as u64 + maps),
        }
    }

    /// Brings answers back to the photographs' pixels and writes them, several at a time; adds their
    /// records in input order.
    fn write_behind<'a>(
        &self,
        made_how: MadeHow,
        at_once: usize,
        answers: &Receiver<(Ticket<'a>, Result<Computed<'a>>)>,
        folder: &mut Folder,
        records: &mut Vec<Record>,
        mut each: impl FnMut(Outcome),
    ) -> Result<()> {
        while let Ok(first) = answers.recv() {
            let waiting = answers.try_iter().take(at_once - 1);
            let chunk: Vec<_> = std::iter::once(first).chain(waiting).collect();
            let mut made = chunk
                .into_par_iter()
                .map(|(ticket, computed)| self.make(made_how, ticket, computed))
                .collect::<Result<Vec<_>>>()?;
            folder.publish(&mut made)?;
            for Made { record, more, .. } in made {
                let answer = more.answer.as_ref();
                each(Outcome {
                    input: more.input,
                    status: &record.status,
                    seconds: record.seconds,
                    answer: answer.filter(|_| record.status == Status::Done),
                    warning: record.warning.as_deref(),
                    resumed: false,
                });
                records.push(record);
            }
        }
        Ok(())
    }

    fn make<'a>(
        &self,
        made_how: MadeHow,
        ticket: Ticket<'a>,
        computed: Result<Computed<'a>>,
    ) -> Result<Made<Rest<'a>>> {
        let Ticket {
            input,
            mut record,
            share,
        } = ticket;
        let started = Instant::now();
        let mut make = |computed: Computed| {
            let Computed {
                values,
                geometry,
                bounds,
                note,
                photograph,
                elapsed,
            } = computed;
            let answer = Answer::from_values(values, &geometry, made_how.reading);
            let size = geometry.photograph();
            let files = outputs::make(
                self,
                &input.id,
                size,
                photograph.as_deref(),
                &answer,
                made_how.notice,
            )?;
            let field = bounds.as_ref().and_then(Bounds::field_of_view);
            record.complete(size, field, note);
            record.predictions = record::prediction_columns(&answer);
            record.seconds = Some((elapsed + started.elapsed()).as_secs_f64());
            Ok((files, Some(answer)))
        };
        let made = computed.and_then(|computed| alone(&input.path, || make(computed)));
        let (files, answer) = match made {
            Ok(made) => made,
            // Told of photographs and tensors alike, it names none.
            Err(error @ Error::NotFinite(_)) => {
                record.fail(format!("{}: {error}", input.path.display()));
                (Vec::new(), None)
            }
            Err(error) if error.concerns_one_file() => {
                record.fail(error.to_string());
                (Vec::new(), None)
            }
            Err(error) => return Err(error),
        };
        let more = Rest {
            input,
            answer,
            _share: share,
        };
        Ok(Made {
            record,
            files,
            more,
        })
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
    by_id.extend(
        records
            .into_iter()
            .map(|record| (record.id.clone(), record)),
    );
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
