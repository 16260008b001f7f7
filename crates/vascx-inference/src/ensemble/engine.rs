//! A model's weights on a device, and passes of images through them. The backend's type ends here.

use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::backend::DeviceOps;
use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData, backend::Backend};
use vascx_format::{InferenceSettings, Model, ModelManifest, Normalisation, Preprocessing, Task};
use vascx_models::{Ensemble, MemberOutput, Precision, Prediction};

use super::backoff::{Alarms, Limits};
use super::landmarks::flip_back;
use super::runner::{Run, Runner};
use super::values::{Combined, Reduced, Values};
use super::worker::Wanted;
use super::{
    Classification, Embedding, FromMembers, KeypointRule, Keypoints, Landmarks, Overlaps,
    Regression, Segmentation,
};
use crate::augment::{flip, mean_over_flips};
use crate::error::{Error, Result};
use crate::geometry::{Geometry, Size};
use crate::memory::{self, Batch};
use crate::placement::Placement;
use crate::preprocess::{Pixels, Prepared};
use crate::window::{DeviceWindows, HostWindows, Members, Weighting, WindowPlan, Windows};

/// A model's weights on a device of whichever backend.
pub(super) trait Engine: Debug + Send + Sync {
    fn placement(&self) -> Placement;

    /// Element type that the networks compute in.
    fn precision(&self) -> Precision;

    /// The same weights for computing in another element type.
    ///
    /// # Errors
    /// When the device does not compute in it.
    fn with_precision(&self, precision: Precision) -> Result<Arc<dyn Engine>>;

    /// The largest batch that fits, where the device tells its memory.
    fn fitting_batch(&self, manifest: &ModelManifest, call: &InferenceSettings) -> Option<Batch>;

    /// What was noticed so far of panics on the device's threads.
    fn alarms(&self) -> Alarms;

    /// Begins a call: the function takes images of one size and gives one result for each.
    fn begin<'e>(&'e self, runner: &'e Runner, run: &'e Run) -> Compute<'e>;
}

/// Computes images of one size, with so much at once.
pub(super) type Compute<'e> = Box<dyn FnMut(&[&Prepared], Limits) -> Passed + 'e>;

/// One result per image, or what the device says.
type Passed = std::result::Result<Vec<Values>, String>;

/// A model's weights on a device of the backend `B`.
#[derive(Clone, Debug)]
struct Replica<B: Backend> {
    ensemble: Ensemble<B>,
    device: B::Device,
}

/// Loads a model onto each of some devices.
///
/// # Errors
/// When the weights do not fit.
pub(super) fn load<B: Backend>(
    model: &Model,
    devices: &[B::Device],
) -> Result<Vec<Arc<dyn Engine>>> {
    let replica = |device: &B::Device| -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(Replica::<B> {
            ensemble: model.load(device)?,
            device: device.clone(),
        }))
    };
    devices.iter().map(replica).collect()
}

impl<B: Backend> Engine for Replica<B> {
    fn placement(&self) -> Placement {
        Placement::of::<B>(&self.device)
    }

    fn precision(&self) -> Precision {
        self.ensemble.precision()
    }

    fn with_precision(&self, precision: Precision) -> Result<Arc<dyn Engine>> {
        if !precision.is_supported::<B>(&self.device) {
            return Err(Error::Precision(precision));
        }
        Ok(Arc::new(Self {
            ensemble: self.ensemble.clone().with_precision(precision),
            device: self.device.clone(),
        }))
    }

    fn fitting_batch(&self, manifest: &ModelManifest, call: &InferenceSettings) -> Option<Batch> {
        let under_way = self.placement().chunks_under_way();
        memory::fitting_batch::<B>(&self.ensemble, manifest, call, &self.device, under_way)
    }

    fn alarms(&self) -> Alarms {
        Alarms::of(self.device.id())
    }

    fn begin<'e>(&'e self, runner: &'e Runner, run: &'e Run) -> Compute<'e> {
        let mut passes = Passes {
            replica: self,
            runner,
            run,
            last: None,
            fresh: None,
            windows: None,
        };
        Box::new(move |images, limits| passes.compute(images, limits))
    }
}

/// Passes of one call on one device, one after the other.
struct Passes<'e, B: Backend> {
    replica: &'e Replica<B>,
    runner: &'e Runner,
    run: &'e Run,
    /// The limits of the last pass.
    last: Option<Limits>,
    /// Weights whose packed copies were made after memory ran out, when they may be missing.
    fresh: Option<Ensemble<B>>,
    /// Those of the last images; nearly all are of one size.
    windows: Option<Windows<B>>,
}

impl<B: Backend> Passes<'_, B> {
    /// Runs images of one size through the ensemble; one result per image.
    fn compute(&mut self, images: &[&Prepared], limits: Limits) -> Passed {
        let Replica { ensemble, device } = self.replica;
        let (settings, wanted) = (&self.run.settings, self.run.wanted);
        if self.last.replace(limits).is_some_and(|last| last != limits) {
            // Memory ran out: what was made on the way may be missing.
            self.windows = None;
            self.fresh = Some(ensemble.clone());
            B::memory_cleanup(device);
        }
        let ensemble = self.fresh.as_ref().unwrap_or(ensemble);
        let manifest = &self.runner.manifest;
        let size = images[0].geometry.input;
        let size = [size.height, size.width];
        if manifest.task.is_spatial() && self.windows.as_ref().is_none_or(|w| w.image() != size) {
            let plan = WindowPlan::new(size, &settings.inference, Weighting::of(settings.mode));
            self.windows = Some(match self.runner.placement {
                Placement::Host => {
                    let normalisation = manifest.preprocessing.normalisation;
                    Windows::Host(HostWindows::new(&plan, normalisation))
                }
                Placement::Device { .. } => Windows::Device(DeviceWindows::new(plan, device)),
            });
        }
        let pass = Pass {
            ensemble,
            device,
            preprocessing: &manifest.preprocessing,
            images,
            flips: &settings.inference.tta_flips,
            keypoints: settings.keypoints,
            normalised_keypoints: settings.inference.normalised_keypoints,
            wanted,
            windows: self.windows.as_ref(),
            at_once: limits.windows,
        };
        let (combine, reduce) = match manifest.task {
            Task::Segmentation => steps::<Segmentation, B>(),
            Task::Overlaps => steps::<Overlaps, B>(),
            Task::Classification => steps::<Classification, B>(),
            Task::Regression => steps::<Regression, B>(),
            Task::Heatmap => steps::<Keypoints, B>(),
            Task::Keypoints => steps::<Landmarks, B>(),
            Task::Embedding => steps::<Embedding, B>(),
        };
        let (combined, astray) = match combine(&pass) {
            Combined::Host(maps) => return Ok(maps.into_iter().map(Values::from).collect()),
            Combined::Device { numbers, astray } => (numbers, astray),
        };
        let reduced = if wanted == Wanted::Answers && self.runner.placement.reduces() {
            let geometries: Vec<_> = images.iter().map(|image| &image.geometry).collect();
            reduce(combined, &geometries)
        } else {
            Reduced::Numbers(combined)
        };
        reduced.take(astray)
    }
}

type Combine<B> = fn(&Pass<B>) -> Combined<B>;
type Reduce<B> = fn(Tensor<B, 4>, &[&Geometry]) -> Reduced<B>;

fn steps<A: FromMembers, B: Backend>() -> (Combine<B>, Reduce<B>) {
    (A::combine, A::reduce)
}

/// One run of an ensemble over images of one size.
#[derive(Debug)]
pub(super) struct Pass<'a, B: Backend> {
    pub(super) ensemble: &'a Ensemble<B>,
    pub(super) device: &'a B::Device,
    pub(super) preprocessing: &'a Preprocessing,
    pub(super) images: &'a [&'a Prepared],
    pub(super) flips: &'a [Vec<usize>],
    pub(super) keypoints: KeypointRule,
    pub(super) normalised_keypoints: bool,
    pub(super) wanted: Wanted,
    /// There are some for maps.
    pub(super) windows: Option<&'a Windows<B>>,
    /// Windows per forward pass.
    pub(super) at_once: usize,
}

impl<B: Backend> Pass<'_, B> {
    /// Maps of the images: windows blended, flips averaged, members combined. That is linear, so
    /// that members are combined window by window and their maps need not be held for whole images.
    pub(super) fn maps(&self, members: Members) -> Combined<B> {
        let maps_of = |answer| match answer {
            MemberOutput::Spatial(maps) => maps,
            MemberOutput::Vector(_) => unreachable!("a manifest's task and network agree"),
        };
        let network = |windows: Tensor<B, 4>| -> Vec<_> {
            let answers = self.ensemble.forward_each(windows);
            answers.into_iter().map(maps_of).collect()
        };
        match self.windows.expect("made for every task with maps") {
            Windows::Host(windows) => {
                let images: Vec<_> = self.images.iter().map(|image| &*image.pixels).collect();
                // More windows would gain nothing and take memory.
                let enough = self.ensemble.images_per_pass(windows.window());
                let (flips, per_pass) = (self.flips, enough.min(self.at_once));
                let maps = windows.run(&images, flips, per_pass, members, self.device, network);
                Combined::Host(maps)
            }
            Windows::Device(windows) => {
                let network = |windows| members.combine(network(windows));
                let maps = |images| windows.run(images, self.at_once, network);
                let maps = mean_over_flips(self.upload(), self.flips, maps, flip);
                Combined::on_device(maps)
            }
        }
    }

    /// Vectors `[n, M, D, 1]` of the images; `per_member` is applied to `[M, n, D]` before flips are
    /// averaged.
    pub(super) fn vectors(&self, per_member: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>) -> Combined<B> {
        self.vectors_of_flips(per_member, |vectors, _| vectors)
    }

    /// [`Self::vectors`] that are pairs of x and y: those of flipped images are flipped back.
    pub(super) fn points(&self) -> Combined<B> {
        let Size { width, height } = self.images[0].geometry.input;
        let far = if self.normalised_keypoints {
            [1.0, 1.0]
        } else {
            [width as f64, height as f64]
        };
        self.vectors_of_flips(|points| points, |points, axes| flip_back(points, axes, far))
    }

    fn vectors_of_flips(
        &self,
        per_member: impl Fn(Tensor<B, 3>) -> Tensor<B, 3>,
        restore: impl Fn(Tensor<B, 3>, &[usize]) -> Tensor<B, 3>,
    ) -> Combined<B> {
        let network = |images: Tensor<B, 4>| match self.ensemble.forward(images) {
            Prediction::Vector(vectors) => per_member(vectors),
            Prediction::Spatial(_) => unreachable!("a manifest's task and network agree"),
        };
        let vectors = mean_over_flips(self.upload(), self.flips, network, restore);
        Combined::on_device(vectors.swap_dims(0, 1).unsqueeze_dim(3))
    }

    /// The images as one tensor `[n, C, H, W]`, normalised.
    fn upload(&self) -> Tensor<B, 4> {
        let (device, preprocessing) = (self.device, self.preprocessing);
        let channels = preprocessing.channels();
        let Size { width, height } = self.images[0].geometry.input;
        // Images of one size and kind.
        let values = self.images.len() * self.images[0].pixels.len();
        let (mut floats, mut bytes) = match &*self.images[0].pixels {
            Pixels::Floats(_) => (Vec::with_capacity(values), Vec::new()),
            Pixels::Bytes(_) => (Vec::new(), Vec::with_capacity(values)),
        };
        for image in self.images {
            match &*image.pixels {
                Pixels::Floats(values) => floats.extend_from_slice(values),
                Pixels::Bytes(values) => bytes.extend_from_slice(values),
            }
        }
        let count = self.images.len();
        // CubeCL copies row by row where there are rows, which takes longer than all the rest.
        if bytes.is_empty() {
            let data = TensorData::new(floats, [values]);
            let images = Tensor::<B, 1>::from_data(data, device);
            return images.reshape([count, channels, height, width]);
        }
        let data = TensorData::new(bytes, [values]);
        let levels = Tensor::<B, 1, Int>::from_data(data, (device, DType::U8));
        let levels = levels.reshape([count * channels / 3, height, width, 3]);
        let Normalisation { divisor, mean, std } = preprocessing.normalisation;
        let unit = levels.permute([0, 3, 1, 2]).cast(FloatDType::F32) / divisor;
        let row =
            |values: [f32; 3]| Tensor::<B, 1>::from_floats(values, device).reshape([1, 3, 1, 1]);
        let images = (unit - row(mean)) / row(std);
        images.reshape([count, channels, height, width])
    }
}
