//! A chunk through a device: up, through the members, down.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData, backend::Backend};
use vascx_convert::{InferenceSettings, Normalisation, Preprocessing, Task};
use vascx_models::{Ensemble, MemberOutput, Prediction};

use super::backoff::{Alarms, Limits};
use super::landmarks::flip_back;
use super::runner::{Replica, Run, Runner};
use super::stream::{Batch, Chunk, Computed, Queue};
use super::values::{Combined, Reduced, Values};
use super::{
    Classification, Embedding, FromMembers, KeypointRule, Keypoints, Landmarks, Overlaps,
    Regression, Segmentation,
};
use crate::augment::{flip, mean_over_flips};
use crate::error::Error;
use crate::geometry::{Geometry, Size};
use crate::placement::Placement;
use crate::preprocess::Pixels;
use crate::source::Loaded;
use crate::window::{DeviceWindows, HostWindows, Members, Weighting, WindowPlan, Windows};

/// What a call is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Answers alone.
    Answers,
    /// Answers with the maps they are made of.
    AnswersAndMaps,
    /// The numbers before any softmax.
    Logits,
}

impl Wanted {
    pub(crate) fn answers(keep_maps: bool) -> Self {
        if keep_maps {
            Self::AnswersAndMaps
        } else {
            Self::Answers
        }
    }
}

/// Computes chunks on one device, one after the other.
pub(super) struct Worker<'e, B: Backend> {
    runner: &'e Runner<B>,
    replica: &'e Replica<B>,
    inference: InferenceSettings,
    weighting: Weighting,
    keypoints: KeypointRule,
    wanted: Wanted,
    limits: Limits,
    /// The limits of the last pass.
    kept: Limits,
    /// Weights whose packed copies were made after memory ran out, when they may be missing.
    fresh: Option<Ensemble<B>>,
    /// Those of the last images; nearly all are of one size.
    windows: Option<Windows<B>>,
}

impl<'e, B: Backend> Worker<'e, B> {
    pub(super) fn new(runner: &'e Runner<B>, replica: &'e Replica<B>, run: &Run) -> Self {
        let limits = Limits {
            images: run.settings.batch_size,
            windows: run.settings.inference.window_batch_size,
        };
        Self {
            runner,
            replica,
            inference: run.settings.inference.clone(),
            weighting: Weighting::of(run.settings.mode),
            keypoints: run.settings.keypoints,
            wanted: run.wanted,
            limits,
            kept: limits,
            fresh: None,
            windows: None,
        }
    }

    /// Computes what the queue holds, until it is empty for good. A panic goes to where its batch
    /// was promised.
    pub(super) fn work<T>(mut self, queue: &Queue<'_, T>) {
        while let Some((chunk, promised)) = queue.next() {
            let batch = catch_unwind(AssertUnwindSafe(|| self.batch(chunk)));
            let failed = batch.is_err();
            // Nobody waits for it any more when the receiver is gone.
            let _ = promised.send(batch);
            if failed {
                return;
            }
        }
    }

    /// Inputs that could not be prepared keep their error; the others are computed together as far
    /// as their shapes agree. A chunk that does not fit into memory at all fails as a whole.
    fn batch<'a, T>(&mut self, chunk: Chunk<'a, T>) -> Batch<'a, T> {
        let started = Instant::now();
        let mut values = Vec::with_capacity(chunk.len());
        let mut warnings = Vec::new();
        let mut failure = None;
        let loaded: Vec<&Loaded> = chunk.iter().filter_map(|(_, l)| l.as_ref().ok()).collect();
        let alike = |a: &&Loaded, b: &&Loaded| {
            let kind = |loaded: &Loaded| std::mem::discriminant(&loaded.pixels);
            a.geometry.input == b.geometry.input && kind(a) == kind(b)
        };
        let mut limits = self.limits;
        for images in loaded.chunk_by(alike) {
            let size = images[0].geometry.input;
            if let Some(reason) = self.refuses(size) {
                values.extend(images.iter().map(|_| Values::Refused(reason.clone())));
                continue;
            }
            let compute = |images: &[&Loaded], limits: Limits| self.compute(images, limits);
            let warn = |warning: &str| warnings.push(warning.to_owned());
            match limits.run(images, compute, Alarms::so_far, warn) {
                Ok(computed) => values.extend(computed),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.limits = limits;
        let mut values = values.into_iter();
        let precision = self.runner.precision();
        let channels = self.runner.manifest.preprocessing.channels();
        let each = started.elapsed() / u32::try_from(values.len().max(1)).unwrap_or(u32::MAX);
        let mut result = |loaded: Loaded<'a>| match (values.next(), &failure) {
            (Some(Values::NotFinite), _) => Err(Error::NotFinite(precision)),
            (Some(Values::Refused(reason)), _) => {
                let Size { width, height } = loaded.geometry.input;
                let shape = vec![channels, height, width];
                Err(Error::Tensor { shape, reason })
            }
            (Some(values), _) => Ok(Computed {
                values,
                geometry: loaded.geometry,
                bounds: loaded.bounds,
                note: loaded.note,
                photograph: loaded.photograph,
                elapsed: loaded.elapsed + each,
            }),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => unreachable!("as many results as inputs"),
        };
        let results = chunk
            .into_iter()
            .map(|(tag, loaded)| (tag, loaded.and_then(&mut result)))
            .collect();
        Batch {
            results,
            warnings,
            elapsed: started.elapsed(),
        }
    }

    /// Why the network takes no images of a size, if it does not; windows always have theirs.
    fn refuses(&self, Size { width, height }: Size) -> Option<String> {
        let manifest = &self.runner.manifest;
        if manifest.task.is_spatial() {
            return None;
        }
        let image = [1, manifest.preprocessing.channels(), height, width];
        let refused = manifest.architecture.check_input(image);
        refused.err().map(|error| error.to_string())
    }

    /// Runs images of one size through the ensemble; one result per image.
    fn compute(&mut self, images: &[&Loaded], limits: Limits) -> Result<Vec<Values>, String> {
        let Replica { ensemble, device } = self.replica;
        if limits != self.kept {
            // Memory ran out: what was made on the way may be missing.
            self.kept = limits;
            self.windows = None;
            self.fresh = Some(ensemble.clone());
            B::memory_cleanup(device);
        }
        let ensemble = self.fresh.as_ref().unwrap_or(ensemble);
        let manifest = &self.runner.manifest;
        let size = images[0].geometry.input;
        let size = [size.height, size.width];
        if manifest.task.is_spatial() && self.windows.as_ref().is_none_or(|w| w.image() != size) {
            let plan = WindowPlan::new(size, &self.inference, self.weighting);
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
            flips: &self.inference.tta_flips,
            keypoints: self.keypoints,
            normalised_keypoints: self.inference.normalised_keypoints,
            wanted: self.wanted,
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
        let reduced = if self.wanted == Wanted::Answers && self.runner.placement.reduces() {
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

/// One run of an ensemble over images of one size. Public only because [`FromMembers`] names it;
/// not exported.
#[derive(Debug)]
pub struct Pass<'a, B: Backend> {
    pub(super) ensemble: &'a Ensemble<B>,
    pub(super) device: &'a B::Device,
    pub(super) preprocessing: &'a Preprocessing,
    pub(super) images: &'a [&'a Loaded<'a>],
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
                let images: Vec<_> = self.images.iter().map(|image| &image.pixels).collect();
                // More windows would gain nothing and take memory.
                let enough = self.ensemble.images_per_pass(windows.window());
                Combined::Host(windows.run(
                    &images,
                    self.flips,
                    enough.min(self.at_once),
                    members,
                    self.device,
                    network,
                ))
            }
            Windows::Device(windows) => {
                let network = |windows| members.combine(network(windows));
                let maps = mean_over_flips(
                    self.upload(),
                    self.flips,
                    |images| windows.run(images, self.at_once, network),
                    flip,
                );
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
        let (mut floats, mut bytes) = match &self.images[0].pixels {
            Pixels::Floats(_) => (Vec::with_capacity(values), Vec::new()),
            Pixels::Bytes(_) => (Vec::new(), Vec::with_capacity(values)),
        };
        for image in self.images {
            match &image.pixels {
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
