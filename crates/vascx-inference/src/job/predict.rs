//! One model on photographs.

use std::path::PathBuf;

use serde_json::Value;
use vascx_format::{ModelManifest, Task};

use super::folder::{Existing, Request};
use super::outputs;
use super::pipeline::{Pipeline, Products};
use super::record::{self, Record};
use super::tables::Tables;
use super::{Outcome, Summary};
use crate::budget::Need;
use crate::ensemble::{
    Answer, Answered, AnyEnsemble, Computed, Plan, PredictOptions, Reading, Runner, Wanted,
};
use crate::error::Result;
use crate::inputs::{Input, LeftOut};
use crate::output::{Durability, Unpublished};
use crate::preprocess::Bounds;

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
    /// input, or it holds what [`Existing`] says must stay. [`Error::Stopped`](crate::Error::Stopped) when the job ended
    /// before its time, because the disk is full, say; what is done is then recorded.
    pub fn run(&self, ensemble: &AnyEnsemble, each: impl FnMut(Outcome) + Send) -> Result<Summary> {
        let runner = &ensemble.runner;
        // Photographs wait for their answers only where they are drawn on; that is most of the memory.
        let wanted = Wanted::answers(self.options.keep_maps);
        let plan = Plan::of(runner, &self.options, wanted, self.overlay)?;
        let predictions = Predictions {
            job: self,
            runner,
            reading: runner.reading(&self.options),
            description: outputs::run_description(self, &plan.calls[0]),
            plan: &plan,
        };
        let pipeline = Pipeline {
            request: Request {
                out: &self.out,
                layout: outputs::layout(self, &runner.manifest),
                inputs: &self.inputs,
                keep: &self.keep,
                existing: self.existing,
                durability: self.durability,
                run: predictions.description.clone(),
            },
            plan: &plan,
            need: self.need(runner),
            memory: self.memory,
            cancel: &self.options.cancel,
            warnings: &self.options.warnings,
        };
        pipeline.run(&predictions, each)
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
}

/// What one model's answers become.
struct Predictions<'j> {
    job: &'j Job,
    runner: &'j Runner,
    reading: Reading,
    plan: &'j Plan,
    description: Value,
}

impl Products for Predictions<'_> {
    fn make(
        &self,
        id: &str,
        computed: Computed,
        record: &mut Record,
    ) -> Result<(Vec<Unpublished>, Option<Answer>)> {
        let Computed { answers, about, .. } = computed;
        let answered = answers.into_iter().next().expect("of one model");
        let Answered {
            values,
            geometry,
            bounds,
        } = answered;
        let answer = Answer::from_values(values, &geometry, self.reading);
        let size = geometry.photograph();
        let photograph = about.photograph.as_deref();
        let notice = self.runner.manifest.notice.as_deref();
        let files = outputs::make(self.job, id, photograph, &answer, notice)?;
        let field = bounds.as_ref().and_then(Bounds::field_of_view);
        record.complete(size, field, about.note);
        record.predictions = record::prediction_columns(&answer);
        Ok((files, Some(answer)))
    }

    fn write_tables(&self, records: &[Record]) -> Result<()> {
        let Job {
            out, durability, ..
        } = self.job;
        Tables::of_model(&self.runner.manifest).write(out, *durability, records)
    }

    fn write_run(&self, summary: Option<&Summary>) -> Result<()> {
        let settings = &self.plan.calls[0].run.settings;
        outputs::write_run(self.job, &self.description, settings, summary)
    }
}
