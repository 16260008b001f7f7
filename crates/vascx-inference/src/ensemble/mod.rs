//! The four kinds of ensemble. What they share (chunks, preprocessing, windows, augmentation) is
//! [`Runner`]'s; each kind adds how members become answers, as an implementation of
//! [`FromMembers`] for its answer.

mod any;
mod classification;
mod heatmap;
mod regression;
mod segmentation;

pub use any::{Answer, AnyEnsemble};
pub use classification::Classification;
pub use heatmap::Keypoints;
pub use regression::Regression;
pub use segmentation::Segmentation;

use std::marker::PhantomData;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;
use vascx_convert::{Model, ModelManifest, Task};
use vascx_models::{Ensemble, Prediction};

use crate::augment::{flip_maps, mean_over_flips};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::photograph::Photograph;
use crate::preprocess::{PreprocessMode, prepare};
use crate::window::WindowPlan;

/// What a caller may decide differently from the model's defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnsembleOptions {
    /// Photographs per chunk; at least 1.
    pub batch_size: Option<usize>,
    /// How photographs are brought to the network's square.
    pub preprocess: Option<PreprocessMode>,
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

    /// One answer per photograph of the chunk.
    #[doc(hidden)]
    fn from_members<B: Backend>(runner: &Runner<B>, chunk: Chunk<B>) -> Vec<Self>;
}

impl<B: Backend, A: FromMembers> TaskEnsemble<B, A> {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// When the model is for another task, its weights do not fit, or the batch size is 0.
    pub fn load(model: &Model, device: &B::Device, options: EnsembleOptions) -> Result<Self> {
        let found = model.manifest().task;
        if found != A::TASK {
            return Err(Error::WrongTask {
                expected: A::TASK,
                found,
            });
        }
        Ok(Self {
            runner: Runner::load(model, device, options)?,
            answer: PhantomData,
        })
    }

    /// The model's description.
    pub fn manifest(&self) -> &ModelManifest {
        &self.runner.manifest
    }

    /// One answer per photograph, in input order. Photographs may differ in size; they are
    /// processed in chunks of at most the batch size.
    ///
    /// # Errors
    /// When there are no photographs.
    pub fn predict(&self, photographs: &[Photograph]) -> Result<Vec<A>> {
        self.runner.predict(photographs)
    }
}

/// What is the same for all tasks. Public only because [`FromMembers`] names it; not exported.
#[derive(Debug)]
pub struct Runner<B: Backend> {
    ensemble: Ensemble<B>,
    manifest: ModelManifest,
    mode: PreprocessMode,
    batch_size: usize,
    device: B::Device,
}

/// A chunk of photographs as network input. Public for the same reason.
#[derive(Debug)]
pub struct Chunk<B: Backend> {
    /// `[n, C, S, S]`.
    images: Tensor<B, 4>,
    /// One per image.
    geometries: Vec<Geometry>,
}

impl<B: Backend> Runner<B> {
    fn load(model: &Model, device: &B::Device, options: EnsembleOptions) -> Result<Self> {
        let manifest = model.manifest().clone();
        let batch_size = options.batch_size.unwrap_or(manifest.inference.batch_size);
        if batch_size == 0 {
            return Err(Error::ZeroBatchSize);
        }
        let auto = PreprocessMode::auto(&manifest.preprocessing);
        Ok(Self {
            ensemble: model.load(device)?,
            mode: options.preprocess.unwrap_or(auto),
            manifest,
            batch_size,
            device: device.clone(),
        })
    }

    fn predict<A: FromMembers>(&self, photographs: &[Photograph]) -> Result<Vec<A>> {
        if photographs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        Ok(photographs
            .chunks(self.batch_size)
            .flat_map(|chunk| A::from_members(self, self.prepare(chunk)))
            .collect())
    }

    fn prepare(&self, photographs: &[Photograph]) -> Chunk<B> {
        let preprocessing = &self.manifest.preprocessing;
        let prepared: Vec<_> = photographs
            .par_iter()
            .map(|photograph| prepare(photograph, preprocessing, self.mode))
            .collect();
        let side = preprocessing.input_size();
        let shape = [prepared.len(), preprocessing.channels(), side, side];
        let mut values = Vec::with_capacity(shape.iter().product());
        let mut geometries = Vec::with_capacity(prepared.len());
        for image in prepared {
            values.extend_from_slice(&image.values);
            geometries.push(image.geometry);
        }
        let images = Tensor::from_data(TensorData::new(values, shape), &self.device);
        Chunk { images, geometries }
    }

    /// Maps of images `[n, C, S, S]`: windows blended, flips averaged. `combine` reduces the member
    /// axis of `[M, n, K, h, w]` (or keeps it); it must be linear, because it is applied to every
    /// window so that member maps need not be held for whole images.
    fn maps(
        &self,
        images: Tensor<B, 4>,
        combine: impl Fn(Tensor<B, 5>) -> Tensor<B, 5>,
    ) -> Tensor<B, 5> {
        let [_, _, height, width] = images.dims();
        let plan = WindowPlan::new([height, width], &self.manifest.inference);
        let network = |windows: Tensor<B, 4>| match self.ensemble.forward(windows) {
            Prediction::Spatial(maps) => combine(maps),
            Prediction::Vector(_) => unreachable!("a manifest's task and network agree"),
        };
        mean_over_flips(
            images,
            &self.manifest.inference.tta_flips,
            |images| plan.run(images, network),
            flip_maps,
        )
    }

    /// Vectors `[M, n, D]` of images `[n, C, S, S]`; `per_member` is applied before flips are
    /// averaged.
    fn vectors(
        &self,
        images: Tensor<B, 4>,
        per_member: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>,
    ) -> Tensor<B, 3> {
        let network = |images: Tensor<B, 4>| match self.ensemble.forward(images) {
            Prediction::Vector(vectors) => per_member(vectors),
            Prediction::Spatial(_) => unreachable!("a manifest's task and network agree"),
        };
        let flips = &self.manifest.inference.tta_flips;
        mean_over_flips(images, flips, network, |vectors, _| vectors)
    }
}

/// A tensor's values on the host in f32, row-major.
fn to_host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.to_vec().expect("just converted to f32")
}

#[cfg(test)]
mod tests;
