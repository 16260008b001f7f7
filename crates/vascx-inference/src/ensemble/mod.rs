//! The kinds of ensemble. What they share is [`runner`]'s (a model on its devices), [`plan`]'s (models that answer the same inputs), [`stream`]'s
//! (chunks in order), [`worker`]'s (a chunk within a device's memory) and [`engine`]'s (images through
//! a backend); each kind adds how members become answers, as an implementation of [`FromMembers`] for
//! its answer.

mod answer;
mod backoff;
mod classification;
mod embedding;
mod engine;
mod grey_map;
mod heatmap;
mod landmarks;
mod overlaps;
mod plan;
mod regression;
mod runner;
mod segmentation;
mod stream;
mod undo;
mod values;
mod worker;

pub use answer::{Answer, TaskAnswer};
pub use backoff::{OutOfMemory, notice_panic};
pub use classification::Classification;
pub use embedding::Embedding;
pub use heatmap::Keypoints;
pub use landmarks::Landmarks;
pub use overlaps::Overlaps;
pub(crate) use plan::{Call, Plan};
pub use regression::Regression;
pub(crate) use runner::{Runner, Settings};
pub use segmentation::Segmentation;
pub(crate) use stream::{Answered, Computed, Pace, Stream, Together};
pub(crate) use values::{Values, largest};
pub(crate) use worker::Wanted;

use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_format::{Model, ModelManifest, Task};
use vascx_models::Precision;

use crate::control::{Cancel, Warnings};
use crate::decode::DecodeLimits;
use crate::device::Devices;
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::preprocess::PreprocessMode;
use crate::source::{Source, Sources};
use engine::Pass;
use values::{Combined, Reduced};

/// What a caller may decide differently from the model's defaults, per call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PredictOptions {
    /// Photographs per chunk, when not the model's. Results do not depend on it, memory does.
    pub batch_size: Option<BatchSize>,
    /// Windows per forward pass; at least 1.
    pub window_batch_size: Option<usize>,
    /// Test-time augmentation on or off; on with the model's flips, or all three if it has none.
    pub tta: Option<bool>,
    /// How photographs are brought to the network's square; as the model was trained when not given.
    /// `Simple` and `Resize` are vascx_simplify's, and so are the weights of overlapping windows then;
    /// otherwise these are retinalysis-inference's, a thousandth at least.
    pub preprocess: Option<PreprocessMode>,
    /// Whether answers keep their probability maps or heat maps.
    pub keep_maps: bool,
    /// How large photographs may be that are read from files.
    pub limits: DecodeLimits,
    /// How the members' heat maps become keypoints.
    pub keypoints: KeypointRule,
    /// Stops the call: inputs that are not begun have [`Error::Cancelled`] for a result.
    pub cancel: Cancel,
    /// Where warnings of the call go.
    pub warnings: Warnings,
}

/// How the members' heat maps become keypoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeypointRule {
    /// The maximum of their sum, as vascx_simplify does.
    #[default]
    ArgmaxOfSum,
    /// The mean of their maxima, as retinalysis-inference does.
    MeanOfArgmax,
}

impl KeypointRule {
    /// Name as in `--keypoints`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArgmaxOfSum => "argmax_of_sum",
            Self::MeanOfArgmax => "mean_of_argmax",
        }
    }
}

/// How many photographs are computed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// This many; at least 1.
    Photographs(usize),
    /// As many as the memory of a GPU holds, windows per pass included; the model's on the CPU,
    /// where larger batches gain nothing.
    Auto,
}

/// An ensemble on a device, or on several, that answers photographs with an `A`; see the aliases
/// [`SegmentationEnsemble`], [`OverlapsEnsemble`], [`ClassificationEnsemble`],
/// [`RegressionEnsemble`], [`HeatmapEnsemble`], [`KeypointsEnsemble`] and [`EmbeddingEnsemble`], and
/// [`AnyEnsemble`] for whichever of these a model is.
///
/// A clone shares the weights. Several threads may predict with one ensemble at the same time.
#[derive(Clone, Debug)]
pub struct TaskEnsemble<A> {
    pub(crate) runner: Arc<Runner>,
    answer: PhantomData<fn() -> A>,
}

/// Segments photographs: artery/vein, vessels, disc; with or without a halo around windows.
pub type SegmentationEnsemble = TaskEnsemble<Segmentation>;
/// Segments photographs into classes that may overlap.
pub type OverlapsEnsemble = TaskEnsemble<Overlaps>;
/// Classifies photographs, e.g. by image quality.
pub type ClassificationEnsemble = TaskEnsemble<Classification>;
/// Regresses values from photographs.
pub type RegressionEnsemble = TaskEnsemble<Regression>;
/// Locates keypoints such as the fovea by heat maps.
pub type HeatmapEnsemble = TaskEnsemble<Keypoints>;
/// Locates keypoints by numbers.
pub type KeypointsEnsemble = TaskEnsemble<Landmarks>;
/// Turns photographs into vectors that other programs go on with.
pub type EmbeddingEnsemble = TaskEnsemble<Embedding>;
/// Does whichever task the model is for.
pub type AnyEnsemble = TaskEnsemble<Answer>;

/// What numbers become answers by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) task: Task,
    /// Classes, keypoints or values.
    pub(crate) answers: usize,
    pub(crate) normalised_keypoints: bool,
    pub(crate) keep_maps: bool,
}

/// How an answer is made of the members' predictions.
trait FromMembers: Sized {
    /// What answers are made of.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B>;

    /// On a GPU: less than that, where the answer needs no more.
    fn reduce<B: Backend>(combined: Tensor<B, 4>, _geometries: &[&Geometry]) -> Reduced<B> {
        Reduced::Numbers(combined)
    }

    /// The answer for one photograph, from its part of what was taken to the host.
    fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self;
}

/// Probabilities or heat maps of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maps {
    /// Number of maps, height, width.
    pub shape: [usize; 3],
    /// In row-major order, map after map.
    pub values: Vec<f32>,
}

/// The members' logits or heat maps for one input, on the network input's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// Mean over members `[C, H, W]` for segmentation, sum over members `[K, H, W]` for heat maps,
    /// every member's `[M, D]` otherwise.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

impl<A: TaskAnswer> TaskEnsemble<A> {
    /// Loads a model onto a [`Device`](crate::Device), or onto several, over which the chunks of a call
    /// are spread. Results stay in input order and do not depend on their number.
    ///
    /// # Errors
    /// When the model is for another task, its weights do not fit, or this build or machine lacks the
    /// device.
    pub fn load(model: &Model, devices: impl Into<Devices>) -> Result<Self> {
        Self::check(model)?;
        Ok(Self::new(Runner::load(model, &devices.into())?))
    }

    /// Loads a model onto devices of a burn backend of the caller's.
    ///
    /// # Errors
    /// When the model is for another task, its weights do not fit or there are no devices.
    pub fn load_backend<B: Backend>(model: &Model, devices: &[B::Device]) -> Result<Self> {
        Self::check(model)?;
        Ok(Self::new(Runner::load_backend::<B>(model, devices)?))
    }

    fn check(model: &Model) -> Result<()> {
        let found = model.manifest().task;
        match A::TASK {
            Some(expected) if expected != found => Err(Error::WrongTask { expected, found }),
            _ => Ok(()),
        }
    }

    fn new(runner: Runner) -> Self {
        Self {
            runner: Arc::new(runner),
            answer: PhantomData,
        }
    }

    /// The same ensemble computing in another element type. Inputs, blending, softmax and answers
    /// remain f32.
    ///
    /// # Errors
    /// When the device does not compute in it.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        let runner = Arc::unwrap_or_clone(self.runner);
        Ok(Self::new(runner.with_precision(precision)?))
    }

    /// The model's description.
    pub fn manifest(&self) -> &ModelManifest {
        &self.runner.manifest
    }

    /// One result per input, in input order, with the model's defaults. Inputs are a photograph, a
    /// path, a tensor `[C, H, W]`, a list of one of these, or a tensor `[N, C, H, W]`; photographs
    /// may differ in size. An input that cannot be read has its error in its place.
    ///
    /// # Errors
    /// When there are no inputs.
    pub fn predict<'a>(&self, inputs: impl Into<Sources<'a>>) -> Result<Vec<Result<A>>> {
        self.predict_with(inputs, &PredictOptions::default())
    }

    /// Like [`Self::predict`], with options for this call.
    ///
    /// # Errors
    /// When there are no inputs or a batch size is 0.
    pub fn predict_with<'a>(
        &self,
        inputs: impl Into<Sources<'a>>,
        options: &PredictOptions,
    ) -> Result<Vec<Result<A>>> {
        let reading = self.runner.reading(options);
        let wanted = Wanted::answers(options.keep_maps);
        let plan = Plan::of(&self.runner, options, wanted, false)?;
        plan.collect(inputs.into(), options, |computed| read(computed, reading))
    }

    /// Results one by one in input order, each with the key that the caller gave its input: the next
    /// inputs are prepared while the device computes, and memory does not grow with their number.
    /// Dropping the iterator stops the call.
    ///
    /// # Errors
    /// When a batch size is 0.
    pub fn predict_iter<K, S, I>(
        &self,
        inputs: I,
        options: &PredictOptions,
    ) -> Result<Answers<K, A>>
    where
        K: Send + 'static,
        S: Into<Source<'static>>,
        I: IntoIterator<Item = (K, S)>,
        I::IntoIter: Send + 'static,
    {
        let wanted = Wanted::answers(options.keep_maps);
        let plan = Plan::of(&self.runner, options, wanted, false)?;
        let (order, stream) = Stream::new(plan.workers(), options.warnings.clone());
        let inputs = inputs.into_iter();
        let cancel = options.cancel.clone();
        thread::spawn(move || {
            thread::scope(|scope| {
                let inputs = inputs.map(|(key, input)| (key, input.into()));
                let inputs = stream::chunked(inputs, plan.batch_size, cancel);
                plan.start(scope, inputs, order);
            });
        });
        Ok(Answers {
            stream,
            reading: self.runner.reading(options),
            answer: PhantomData,
        })
    }

    /// The combined logits of every input, before softmax and without undoing any geometry.
    ///
    /// # Errors
    /// When there are no inputs or a batch size is 0.
    pub fn logits<'a>(
        &self,
        inputs: impl Into<Sources<'a>>,
        options: &PredictOptions,
    ) -> Result<Vec<Result<Logits>>> {
        let logits = |computed: Computed| {
            let Values::Numbers { shape, data } = computed.into_answer().values else {
                unreachable!("logits are not reduced")
            };
            let is_map = self.runner.manifest.task.is_spatial();
            let axes = if is_map { 3 } else { 2 };
            Logits {
                shape: shape[..axes].to_vec(),
                values: data,
            }
        };
        let plan = Plan::of(&self.runner, options, Wanted::Logits, false)?;
        plan.collect(inputs.into(), options, logits)
    }
}

/// Results with their keys as they are ready; see [`TaskEnsemble::predict_iter`].
///
/// A panic of the caller's iterator, of a decoder or of the network goes on in [`Self::next`].
pub struct Answers<K, A> {
    stream: Stream<'static, K>,
    reading: Reading,
    answer: PhantomData<fn() -> A>,
}

impl<K, A: TaskAnswer> Iterator for Answers<K, A> {
    type Item = (K, Result<A>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, computed) = self.stream.next()?;
        let answer = computed.map(|computed| read(computed, self.reading));
        Some((key, answer))
    }
}

/// The answer that was computed, of an ensemble whose task is that of `A`.
fn read<A: TaskAnswer>(computed: Computed, reading: Reading) -> A {
    let Answered {
        values, geometry, ..
    } = computed.into_answer();
    let answer = Answer::from_values(values, &geometry, reading);
    A::from_answer(answer).expect("the model's task was checked")
}

#[cfg(test)]
mod tests;
