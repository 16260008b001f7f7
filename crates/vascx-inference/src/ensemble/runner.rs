//! What is the same for all tasks: a model on its devices and the settings of a call.

use std::io::Write;
use std::sync::mpsc::SyncSender;
use std::thread::{self, Scope};

use burn::tensor::backend::Backend;
use vascx_convert::{InferenceSettings, Model, ModelManifest};
use vascx_models::{Architecture, Ensemble, Precision};

use super::backoff::watch_memory;
use super::stream::{Computed, Promise, Queue, Stream, Together, channel, chunked, prepare_ahead};
use super::worker::{Wanted, Worker};
use super::{BatchSize, KeypointRule, PredictOptions, Reading};
use crate::error::{Error, Result};
use crate::memory::{self, Batch};
use crate::placement::Placement;
use crate::preprocess::PreprocessMode;
use crate::source::{Recipe, Sources};

/// A model on one or several devices.
#[derive(Clone, Debug)]
pub(crate) struct Runner<B: Backend> {
    pub(super) replicas: Vec<Replica<B>>,
    pub(crate) manifest: ModelManifest,
    /// Element type that the weights are stored in.
    pub(crate) weights: String,
    /// SHA-256 of the file that they were read from.
    pub(crate) weights_sha256: String,
    pub(super) placement: Placement,
}

/// A model's weights on a device.
#[derive(Clone, Debug)]
pub(super) struct Replica<B: Backend> {
    pub(super) ensemble: Ensemble<B>,
    pub(super) device: B::Device,
}

/// Settings of one call.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) inference: InferenceSettings,
    pub(crate) batch_size: usize,
    pub(crate) mode: PreprocessMode,
    pub(crate) keypoints: KeypointRule,
}

/// One call: how inputs are prepared and computed, and what for.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) settings: Settings,
    pub(super) recipe: Recipe,
    pub(super) wanted: Wanted,
}

impl<B: Backend> Runner<B> {
    pub(super) fn load(model: &Model, devices: &[B::Device]) -> Result<Self> {
        let first = devices
            .first()
            .ok_or_else(|| Error::Device("no devices were given to load the model onto".into()))?;
        let replicas = devices.iter().map(|device| {
            Ok(Replica {
                ensemble: model.load(device)?,
                device: device.clone(),
            })
        });
        let manifest = model.manifest();
        if !manifest.takes_photographs() {
            return Err(Error::Channels {
                network: manifest.architecture.in_channels(),
                photographs: manifest.preprocessing.channels(),
            });
        }
        let placement = Placement::of::<B>(first);
        if placement != Placement::Host {
            watch_memory();
        }
        Ok(Self {
            replicas: replicas.collect::<Result<_>>()?,
            manifest: manifest.clone(),
            weights: model.stored_dtype(),
            weights_sha256: model.weights_sha256(),
            placement,
        })
    }

    pub(super) fn with_precision(mut self, precision: Precision) -> Result<Self> {
        let supported = |replica: &Replica<B>| precision.is_supported::<B>(&replica.device);
        if !self.replicas.iter().all(supported) {
            return Err(Error::Precision(precision));
        }
        for replica in &mut self.replicas {
            replica.ensemble = replica.ensemble.clone().with_precision(precision);
        }
        Ok(self)
    }

    pub(crate) fn precision(&self) -> Precision {
        self.replicas[0].ensemble.precision()
    }

    /// Chunks that are computed at a time.
    pub(crate) fn workers(&self) -> usize {
        self.replicas.len() * self.placement.chunks_under_way()
    }

    /// How the numbers of a call become answers.
    pub(crate) fn reading(&self, options: &PredictOptions) -> Reading {
        Reading {
            task: self.manifest.task,
            answers: self.manifest.answers(),
            normalised_keypoints: self.manifest.inference.normalised_keypoints,
            keep_maps: options.keep_maps,
        }
    }

    /// Settles a call.
    ///
    /// # Errors
    /// When a batch size is 0.
    pub(crate) fn run(
        &self,
        options: &PredictOptions,
        wanted: Wanted,
        keep_photographs: bool,
    ) -> Result<Run> {
        let settings = self.settings(options)?;
        self.check_passes(&settings)?;
        let recipe = Recipe {
            preprocessing: self.manifest.preprocessing.clone(),
            mode: settings.mode,
            keep_photographs,
            limits: options.limits,
            bytes: self.placement.takes_bytes(self.manifest.task),
        };
        Ok(Run {
            settings,
            recipe,
            wanted,
        })
    }

    /// Programs may decide by the number of images: they must take as many as a pass may have.
    fn check_passes(&self, settings: &Settings) -> Result<()> {
        let Architecture::Graph(graphs) = &self.manifest.architecture else {
            return Ok(());
        };
        if graphs.iter().all(|graph| graph.guards.is_empty()) {
            return Ok(());
        }
        let (most, [height, width]) = if self.manifest.task.is_spatial() {
            let inference = &settings.inference;
            (inference.window_batch_size, inference.window)
        } else {
            let side = self.manifest.preprocessing.input_size();
            (settings.batch_size, [side, side])
        };
        let channels = self.manifest.architecture.in_channels();
        for count in 1..=most {
            let images = [count, channels, height, width];
            let taken = self.manifest.architecture.check_input(images);
            taken.map_err(|error| Error::Pass {
                count,
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    fn settings(&self, options: &PredictOptions) -> Result<Settings> {
        let mut inference = self.manifest.inference.clone();
        match options.tta {
            Some(false) => inference.tta_flips.clear(),
            Some(true) if inference.tta_flips.is_empty() => {
                inference.tta_flips = vec![vec![2], vec![3], vec![2, 3]];
            }
            _ => {}
        }
        let mut batch_size = inference.batch_size;
        match options.batch_size {
            Some(BatchSize::Photographs(count)) => batch_size = count,
            Some(BatchSize::Auto) => {
                if let Some(batch) = self.fitting_batch(&inference) {
                    (batch_size, inference.window_batch_size) = (batch.images, batch.windows);
                }
            }
            None => {}
        }
        if let Some(windows) = options.window_batch_size {
            inference.window_batch_size = windows;
        }
        if batch_size == 0 || inference.window_batch_size == 0 {
            return Err(Error::ZeroBatchSize);
        }
        let auto = PreprocessMode::auto(&self.manifest.preprocessing);
        Ok(Settings {
            inference,
            batch_size,
            mode: options.preprocess.unwrap_or(auto),
            keypoints: options.keypoints,
        })
    }

    /// The largest batch that fits every device, where devices tell their memory.
    fn fitting_batch(&self, inference: &InferenceSettings) -> Option<Batch> {
        let batches = self.replicas.iter().map(|Replica { ensemble, device }| {
            let under_way = self.placement.chunks_under_way();
            memory::fitting_batch::<B>(ensemble, &self.manifest, inference, device, under_way)
        });
        batches.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Prepares and computes inputs on threads of `scope`; batches are promised to `order` in input
    /// order. Stops early when the receiving end is gone.
    pub(crate) fn start<'scope, 'a: 'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        inputs: impl Iterator<Item = Together<'a, T>> + Send + 'scope,
        run: &Run,
        order: SyncSender<Promise<'a, T>>,
    ) {
        let (sender, chunks) = channel();
        let recipe = run.recipe.clone();
        scope.spawn(move || prepare_ahead(inputs, &recipe, &sender));
        let queue = Queue::new(chunks, order);
        for replica in &self.replicas {
            for _ in 0..self.placement.chunks_under_way() {
                let worker = Worker::new(self, replica, run);
                let queue = queue.clone();
                scope.spawn(move || worker.work(&queue));
            }
        }
    }

    pub(super) fn collect<R>(
        &self,
        inputs: Sources,
        options: &PredictOptions,
        wanted: Wanted,
        finish: impl Fn(Computed) -> R,
    ) -> Result<Vec<Result<R>>> {
        let run = self.run(options, wanted, false)?;
        if inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        // A terminal that is closed or full is no failure.
        let warn = |warning: &str| {
            let _ = writeln!(std::io::stderr(), "warning: {warning}");
        };
        let (order, stream) = Stream::new(self.workers(), warn);
        Ok(thread::scope(|scope| {
            let inputs = inputs.into_iter().map(|input| ((), input));
            let inputs = chunked(inputs, run.settings.batch_size);
            self.start(scope, inputs, &run, order);
            stream.map(|((), computed)| computed.map(&finish)).collect()
        }))
    }
}
