//! The main job: photographs in, files out.

mod journal;
mod outputs;
mod preprocess;
mod record;

pub use preprocess::PreprocessJob;
pub use record::Status;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use burn::tensor::backend::Backend;
use rayon::prelude::*;

use crate::ensemble::{Answer, AnyEnsemble, Computed, PredictOptions, Reading, Stream, Wanted};
use crate::error::{Error, Result};
use crate::inputs::Input;
use crate::preprocess::Bounds;
use crate::source::Source;
use journal::Journal;
use record::Record;

/// What to write where.
#[derive(Clone, Debug)]
pub struct Job {
    /// Photographs, with distinct ids.
    pub inputs: Vec<Input>,
    /// Output folder; created when missing.
    pub out: PathBuf,
    /// How the ensemble is run; `keep_maps` writes class probabilities and heat maps as
    /// safetensors.
    pub options: PredictOptions,
    /// Whether to draw answers on the photographs, `overlays/<id>.png`.
    pub overlay: bool,
    /// Whether to leave out what an earlier run of the same model with the same settings has done.
    pub resume: bool,
    /// Device name as reported in `run.json`.
    pub device: String,
}

/// What became of one photograph.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The photograph.
    pub input: &'a Input,
    /// How it ended.
    pub status: &'a Status,
    /// Its answer, where it was predicted now.
    pub answer: Option<&'a Answer>,
    /// What the user should know although it worked, such as a field of view that was not found.
    pub warning: Option<&'a str>,
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
}

impl Job {
    /// Predicts all inputs and writes, into the output folder: per photograph `<id>.png` (class
    /// map) or a row of `predictions.csv`; `manifest.csv` with the status of each; `run.json` with
    /// model and settings. Photographs are decoded ahead and results are written behind while the
    /// device computes.
    ///
    /// `each` sees every outcome in input order, `warn` what concerns the whole job. When
    /// `interrupt` becomes true, no further chunk is begun and the tables are completed with what
    /// is done. A photograph that cannot be read is recorded as failed and the rest go on.
    ///
    /// # Errors
    /// When there are no inputs or the output folder cannot be written.
    pub fn run<B: Backend>(
        &self,
        ensemble: &AnyEnsemble<B>,
        interrupt: &AtomicBool,
        mut each: impl FnMut(Outcome) + Send,
        warn: impl FnMut(&str),
    ) -> Result<Summary> {
        if self.inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        let runner = &ensemble.runner;
        // Photographs wait for their answers only where they are drawn on; that is most of the memory.
        let wanted = Wanted::answers(self.options.keep_maps);
        let call = runner.run(&self.options, wanted, self.overlay)?;
        let settings = &call.settings;
        self.create_folders()?;
        let run = outputs::run_description(self, runner, settings);
        let done = if self.resume {
            journal::done(&self.out, &run)?
        } else {
            HashMap::new()
        };
        let (done, todo) = self.divide(done);
        outputs::write_run(&self.out, &run, settings, None)?;
        let journal = Journal::begin(&self.out, &run, done.values())?;
        for input in &self.inputs {
            if let Some(record) = done.get(&input.id) {
                let status = &record.status;
                each(Outcome {
                    input,
                    status,
                    answer: None,
                    warning: None,
                });
            }
        }

        let reading = runner.reading(&self.options);
        let chunk_size = settings.batch_size;
        let (finished, answers) = sync_channel(chunk_size);
        let (order, mut stream) = Stream::new(runner.workers(), warn);
        let records = thread::scope(|scope| {
            let inputs = todo
                .into_iter()
                .take_while(|_| !interrupt.load(Ordering::Relaxed));
            let inputs = inputs.map(|input| {
                let source = Source::Path(Cow::Borrowed(&input.path));
                let record = Record::begin(input);
                (Ticket { input, record }, source)
            });
            runner.start(scope, inputs, &call, order);
            let writer = scope
                .spawn(move || self.write_behind(reading, chunk_size, &answers, journal, each));
            for computed in stream.by_ref() {
                // The writer stops early only when it cannot write; its error is returned below.
                if finished.send(computed).is_err() {
                    break;
                }
            }
            drop(finished);
            let pace = stream.pace();
            // What was not asked for yet is not computed any more.
            drop(stream);
            writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                .map(|records| (records, pace))
        });
        let (records, pace) = records?;
        if pace.first_chunk.is_some() {
            outputs::write_run(&self.out, &run, settings, Some(&pace))?;
        }
        let summary = Summary {
            first_chunk: pace.first_chunk,
            per_photograph: pace.per_input(),
            ..Summary::default()
        };
        self.finish(&runner.manifest, done, records, summary)
    }

    fn create_folders(&self) -> Result<()> {
        let overlays = self.overlay.then(|| self.out.join("overlays"));
        for folder in std::iter::once(self.out.clone()).chain(overlays) {
            fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
        }
        Ok(())
    }

    /// What an earlier run has done and is still valid, and what is left to do.
    fn divide(&self, mut done: HashMap<String, Record>) -> (HashMap<String, Record>, Vec<&Input>) {
        let mut valid = HashMap::new();
        let mut todo = Vec::new();
        for input in &self.inputs {
            match done.remove(&input.id) {
                Some(record) if record.is_still_valid(input) => {
                    valid.insert(input.id.clone(), record);
                }
                _ => todo.push(input),
            }
        }
        (valid, todo)
    }

    /// Brings answers back to the photographs' pixels and writes them, several at a time; returns
    /// the records in input order.
    fn write_behind<'a>(
        &self,
        reading: Reading,
        at_once: usize,
        answers: &Receiver<(Ticket<'a>, Result<Computed<'a>>)>,
        mut journal: Journal,
        mut each: impl FnMut(Outcome),
    ) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut started = Instant::now();
        while let Ok(first) = answers.recv() {
            let waiting = answers.try_iter().take(at_once - 1);
            let chunk: Vec<_> = std::iter::once(first).chain(waiting).collect();
            let count = chunk.len() as f64;
            let written: Vec<Result<_>> = chunk
                .into_par_iter()
                .map(|(ticket, computed)| self.write_one(reading, ticket, computed))
                .collect();
            let seconds = started.elapsed().as_secs_f64() / count;
            started = Instant::now();
            for written in written {
                let (Ticket { input, mut record }, answer) = written?;
                record.seconds = Some((seconds * 1000.0).round() / 1000.0);
                journal.add(&record)?;
                each(Outcome {
                    input,
                    status: &record.status,
                    answer: answer.as_ref(),
                    warning: record.warning.as_deref(),
                });
                records.push(record);
            }
            journal.flush()?;
        }
        Ok(records)
    }

    fn write_one<'a>(
        &self,
        reading: Reading,
        mut ticket: Ticket<'a>,
        computed: Result<Computed<'a>>,
    ) -> Result<(Ticket<'a>, Option<Answer>)> {
        let Computed {
            values,
            geometry,
            bounds,
            note,
            photograph,
        } = match computed {
            Ok(computed) => computed,
            Err(error) => {
                ticket.record.status = Status::Failed(error.to_string());
                return Ok((ticket, None));
            }
        };
        let answer = Answer::from_values(values, &geometry, reading);
        let size = geometry.photograph();
        outputs::write(self, &ticket.input.id, size, photograph.as_deref(), &answer)?;
        let field = bounds.as_ref().and_then(Bounds::field_of_view);
        ticket.record.complete(size, field, note);
        ticket.record.predictions = record::prediction_columns(&answer);
        Ok((ticket, Some(answer)))
    }

    /// Writes the tables in input order.
    fn finish(
        &self,
        manifest: &vascx_convert::ModelManifest,
        done: HashMap<String, Record>,
        records: Vec<Record>,
        mut summary: Summary,
    ) -> Result<Summary> {
        summary.resumed = done.len();
        let mut by_id = done;
        by_id.extend(
            records
                .into_iter()
                .map(|record| (record.id.clone(), record)),
        );
        let mut ordered = Vec::with_capacity(by_id.len());
        for input in &self.inputs {
            match by_id.remove(&input.id) {
                Some(record) if record.status == Status::Done => {
                    summary.succeeded += 1;
                    ordered.push(record);
                }
                Some(record) => {
                    summary.failed += 1;
                    ordered.push(record);
                }
                None => summary.left += 1,
            }
        }
        outputs::write_tables(&self.out, manifest, &ordered)?;
        Ok(summary)
    }
}
