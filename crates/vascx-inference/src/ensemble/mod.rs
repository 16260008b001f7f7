//! The four kinds of ensemble. What they share (chunks, preprocessing, windows, augmentation) is
//! [`Runner`]'s and [`stream`]'s; each kind adds how members become answers, as an implementation
//! of [`FromMembers`] for its answer.

mod any;
mod backoff;
mod classification;
mod heatmap;
mod regression;
mod segmentation;
mod stream;

pub use any::{Answer, AnyEnsemble};
pub use backoff::OutOfMemory;
pub use classification::Classification;
pub use heatmap::{Heatmaps, Keypoints};
pub use regression::Regression;
pub use segmentation::Segmentation;
pub(crate) use stream::{Computed, Stream, channel, prepare_ahead};

use std::marker::PhantomData;
use std::thread;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use vascx_convert::{InferenceSettings, Model, ModelManifest, Task};
use vascx_models::{Ensemble, Precision, Prediction};

use crate::augment::{flip_maps, mean_over_flips};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::preprocess::PreprocessMode;
use crate::source::{Loaded, Recipe, Source, Sources};
use crate::window::WindowPlan;

/// What a caller may decide differently from the model's defaults, per call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PredictOptions {
    /// Photographs per chunk; at least 1. Results do not depend on it, memory does.
    pub batch_size: Option<usize>,
    /// Windows per forward pass; at least 1.
    pub window_batch_size: Option<usize>,
    /// Test-time augmentation on or off; on with the model's flips, or all three if it has none.
    pub tta: Option<bool>,
    /// How photographs are brought to the network's square.
    pub preprocess: Option<PreprocessMode>,
    /// Whether answers keep their probability maps or heat maps.
    pub keep_maps: bool,
}

/// An ensemble on a device that answers photographs with an `A`; see the four aliases
/// [`SegmentationEnsemble`], [`ClassificationEnsemble`], [`RegressionEnsemble`] and
/// [`HeatmapEnsemble`].
#[derive(Debug)]
pub struct TaskEnsemble<B: Backend, A> {
    runner: Runner<B>,
    answer: PhantomData<fn() -> A>,
}

/// Segments photographs: artery/vein, vessels, disc.
pub type SegmentationEnsemble<B> = TaskEnsemble<B, Segmentation>;
/// Classifies photographs, e.g. by image quality.
pub type ClassificationEnsemble<B> = TaskEnsemble<B, Classification>;
/// Regresses values from photographs.
pub type RegressionEnsemble<B> = TaskEnsemble<B, Regression>;
/// Locates keypoints such as the fovea.
pub type HeatmapEnsemble<B> = TaskEnsemble<B, Keypoints>;

/// How an answer is made of the members' predictions; implemented by the four answers.
pub trait FromMembers: Sized {
    /// The task whose models give this answer.
    const TASK: Task;

    /// What is taken to the host: `[n, K, H, W]` for maps, `[n, M, D, 1]` for vectors.
    #[doc(hidden)]
    fn combine<B: Backend>(pass: &Pass<B>, images: Tensor<B, 4>) -> Tensor<B, 4>;

    /// The answer for one photograph, from its part of what `combine` gave.
    #[doc(hidden)]
    fn from_values(values: Values, geometry: &Geometry, keep_maps: bool) -> Self;
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

impl<B: Backend, A: FromMembers> TaskEnsemble<B, A> {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// When the model is for another task or its weights do not fit.
    pub fn load(model: &Model, device: &B::Device) -> Result<Self> {
        let found = model.manifest().task;
        if found != A::TASK {
            return Err(Error::WrongTask {
                expected: A::TASK,
                found,
            });
        }
        Ok(Self {
            runner: Runner::load(model, device)?,
            answer: PhantomData,
        })
    }

    /// The same ensemble computing in another element type. Inputs, blending, softmax and answers
    /// remain f32.
    ///
    /// # Errors
    /// When the device does not compute in it.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        Ok(Self {
            runner: self.runner.with_precision(precision)?,
            ..self
        })
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
        let answer =
            |Computed {
                 values, geometry, ..
             }: Computed| { A::from_values(values, &geometry, options.keep_maps) };
        self.runner
            .collect(inputs.into(), options, Numbers::Answers, answer)
    }

    /// Results one by one, as they are ready: the next inputs are prepared while the device
    /// computes, and memory does not grow with their number. Warnings, such as that memory ran out
    /// and smaller chunks are tried, go to `warn`.
    ///
    /// # Errors
    /// When a batch size is 0.
    pub fn predict_iter<I>(
        &self,
        inputs: I,
        options: &PredictOptions,
        warn: impl FnMut(&str) + 'static,
    ) -> Result<Answers<'_, B, A>>
    where
        I: IntoIterator<Item: Into<Source<'static>>>,
        I::IntoIter: Send + 'static,
    {
        let settings = self.runner.settings(options)?;
        let recipe = self.runner.recipe(&settings, false);
        let (sender, chunks) = channel();
        let (inputs, chunk_size) = (inputs.into_iter(), settings.batch_size);
        thread::spawn(move || {
            let inputs = inputs.map(|input| ((), input.into()));
            prepare_ahead(inputs, &recipe, chunk_size, &sender);
        });
        let stream = Stream::new(&self.runner, settings, Numbers::Answers, chunks, warn);
        Ok(Answers {
            stream,
            keep_maps: options.keep_maps,
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
        let logits = |Computed {
                          values: Values { shape, data },
                          ..
                      }: Computed| Logits {
            shape: if A::TASK.is_spatial() {
                shape.to_vec()
            } else {
                shape[..2].to_vec()
            },
            values: data,
        };
        self.runner
            .collect(inputs.into(), options, Numbers::Logits, logits)
    }
}

/// Results as they are ready; see [`TaskEnsemble::predict_iter`].
pub struct Answers<'e, B: Backend, A> {
    stream: Stream<'e, 'static, B, ()>,
    keep_maps: bool,
    answer: PhantomData<fn() -> A>,
}

impl<B: Backend, A: FromMembers> Iterator for Answers<'_, B, A> {
    type Item = Result<A>;

    fn next(&mut self) -> Option<Self::Item> {
        let ((), computed) = self.stream.next()?;
        Some(computed.map(
            |Computed {
                 values, geometry, ..
             }| { A::from_values(values, &geometry, self.keep_maps) },
        ))
    }
}

/// Settings of one call.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) inference: InferenceSettings,
    pub(crate) batch_size: usize,
    pub(crate) mode: PreprocessMode,
}

/// Which numbers a call is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Those the answers are made of.
    Answers,
    /// Those before any softmax.
    Logits,
}

/// One image's numbers on the host. Public only because [`FromMembers`] names it; not exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// The last three axes of what [`FromMembers::combine`] gave.
    pub(crate) shape: [usize; 3],
    pub(crate) data: Vec<f32>,
}

/// What is the same for all tasks.
#[derive(Debug)]
pub(crate) struct Runner<B: Backend> {
    ensemble: Ensemble<B>,
    pub(crate) manifest: ModelManifest,
    /// Element type that the weights are stored in.
    pub(crate) weights: String,
    device: B::Device,
}

impl<B: Backend> Runner<B> {
    fn load(model: &Model, device: &B::Device) -> Result<Self> {
        Ok(Self {
            ensemble: model.load(device)?,
            manifest: model.manifest().clone(),
            weights: model.stored_dtype(),
            device: device.clone(),
        })
    }

    fn with_precision(self, precision: Precision) -> Result<Self> {
        if !precision.is_supported::<B>(&self.device) {
            return Err(Error::Precision(precision));
        }
        Ok(Self {
            ensemble: self.ensemble.with_precision(precision),
            ..self
        })
    }

    pub(crate) fn precision(&self) -> Precision {
        self.ensemble.precision()
    }

    pub(crate) fn settings(&self, options: &PredictOptions) -> Result<Settings> {
        let mut inference = self.manifest.inference.clone();
        let batch_size = options.batch_size.unwrap_or(inference.batch_size);
        if let Some(windows) = options.window_batch_size {
            inference.window_batch_size = windows;
        }
        if batch_size == 0 || inference.window_batch_size == 0 {
            return Err(Error::ZeroBatchSize);
        }
        match options.tta {
            Some(false) => inference.tta_flips.clear(),
            Some(true) if inference.tta_flips.is_empty() => {
                inference.tta_flips = vec![vec![2], vec![3], vec![2, 3]];
            }
            _ => {}
        }
        let auto = PreprocessMode::auto(&self.manifest.preprocessing);
        Ok(Settings {
            inference,
            batch_size,
            mode: options.preprocess.unwrap_or(auto),
        })
    }

    pub(crate) fn recipe(&self, settings: &Settings, keep_photographs: bool) -> Recipe {
        Recipe {
            preprocessing: self.manifest.preprocessing.clone(),
            mode: settings.mode,
            keep_photographs,
        }
    }

    fn collect<R>(
        &self,
        inputs: Sources,
        options: &PredictOptions,
        numbers: Numbers,
        finish: impl Fn(Computed) -> R,
    ) -> Result<Vec<Result<R>>> {
        let settings = self.settings(options)?;
        if inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        let recipe = self.recipe(&settings, false);
        let chunk_size = settings.batch_size;
        let (sender, chunks) = channel();
        Ok(thread::scope(|scope| {
            scope.spawn(move || {
                let inputs = inputs.into_iter().map(|input| ((), input));
                prepare_ahead(inputs, &recipe, chunk_size, &sender);
            });
            let warn = |warning: &str| eprintln!("warning: {warning}");
            let stream = Stream::new(self, settings, numbers, chunks, warn);
            stream.map(|((), computed)| computed.map(&finish)).collect()
        }))
    }

    /// Runs images of one size through the ensemble; one result per image.
    fn compute(
        &self,
        images: &[&Loaded],
        settings: &Settings,
        windows: usize,
        numbers: Numbers,
    ) -> Vec<Values> {
        let size = images[0].geometry.input;
        let shape = [
            images.len(),
            self.manifest.preprocessing.channels(),
            size.height,
            size.width,
        ];
        let mut values = Vec::with_capacity(shape.iter().product());
        for image in images {
            values.extend_from_slice(&image.values);
        }
        let mut inference = settings.inference.clone();
        inference.window_batch_size = windows;
        let pass = Pass {
            ensemble: &self.ensemble,
            inference: &inference,
            numbers,
        };
        let images = Tensor::from_data(TensorData::new(values, shape), &self.device);
        let combine = match self.manifest.task {
            Task::Segmentation => Segmentation::combine,
            Task::Classification => Classification::combine,
            Task::Regression => Regression::combine,
            Task::Heatmap => Keypoints::combine,
        };
        let combined = combine(&pass, images);
        let [count, shape @ ..] = combined.dims();
        let data = combined.into_data().convert::<f32>();
        let data: Vec<f32> = data.to_vec().expect("just converted to f32");
        let per_image = data.len() / count;
        data.chunks_exact(per_image)
            .map(|data| Values {
                shape,
                data: data.to_vec(),
            })
            .collect()
    }
}

/// One run of an ensemble over images of one size. Public for the same reason.
#[derive(Debug)]
pub struct Pass<'a, B: Backend> {
    ensemble: &'a Ensemble<B>,
    inference: &'a InferenceSettings,
    numbers: Numbers,
}

impl<B: Backend> Pass<'_, B> {
    /// Maps of images `[n, C, H, W]`: windows blended, flips averaged. `combine` reduces the member
    /// axis of `[M, n, K, h, w]` (or keeps it); it must be linear, because it is applied to every
    /// window so that member maps need not be held for whole images.
    fn maps(
        &self,
        images: Tensor<B, 4>,
        combine: impl Fn(Tensor<B, 5>) -> Tensor<B, 5>,
    ) -> Tensor<B, 5> {
        let [_, _, height, width] = images.dims();
        let plan = WindowPlan::new([height, width], self.inference);
        let network = |windows: Tensor<B, 4>| match self.ensemble.forward(windows) {
            Prediction::Spatial(maps) => combine(maps),
            Prediction::Vector(_) => unreachable!("a manifest's task and network agree"),
        };
        let flips = &self.inference.tta_flips;
        mean_over_flips(images, flips, |images| plan.run(images, network), flip_maps)
    }

    /// Vectors `[n, M, D, 1]` of images `[n, C, H, W]`; `per_member` is applied to `[M, n, D]`
    /// before flips are averaged.
    fn vectors(
        &self,
        images: Tensor<B, 4>,
        per_member: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>,
    ) -> Tensor<B, 4> {
        let network = |images: Tensor<B, 4>| match self.ensemble.forward(images) {
            Prediction::Vector(vectors) => per_member(vectors),
            Prediction::Spatial(_) => unreachable!("a manifest's task and network agree"),
        };
        let flips = &self.inference.tta_flips;
        mean_over_flips(images, flips, network, |vectors, _| vectors)
            .swap_dims(0, 1)
            .unsqueeze_dim(3)
    }
}

#[cfg(test)]
mod tests;
