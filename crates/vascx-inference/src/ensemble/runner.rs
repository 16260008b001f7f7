//! What is the same for all tasks: a model on its devices and the settings of a call.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use vascx_format::{InferenceSettings, Model, ModelManifest};
use vascx_models::{Architecture, Precision};

use super::engine::{self, Engine};
use super::worker::Wanted;
use super::{BatchSize, KeypointRule, PredictOptions, Reading};
use crate::device::{DeviceWork, Devices};
use crate::error::{Error, Result};
use crate::memory::Batch;
use crate::placement::Placement;
use crate::preprocess::PreprocessMode;
use crate::source::InputRecipe;

/// A model on one or several devices.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(super) engines: Vec<Arc<dyn Engine>>,
    /// Names of the devices.
    pub(crate) devices: String,
    pub(crate) manifest: ModelManifest,
    /// Element type that the weights are stored in.
    pub(crate) weights: String,
    /// SHA-256 of the file that they were read from.
    pub(crate) weights_sha256: String,
    pub(super) placement: Placement,
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
    pub(super) input: InputRecipe,
    pub(super) wanted: Wanted,
}

/// Loads a model onto devices of the backend that they belong to.
struct Load<'m>(&'m Model);

impl DeviceWork for Load<'_> {
    type Output = Result<Vec<Arc<dyn Engine>>>;

    fn run<B: Backend>(self, devices: &[B::Device]) -> Self::Output {
        engine::load::<B>(self.0, devices)
    }
}

impl Runner {
    pub(super) fn load(model: &Model, devices: &Devices) -> Result<Self> {
        Self::new(model, devices.run(Load(model))??, devices.to_string())
    }

    pub(super) fn load_backend<B: Backend>(model: &Model, devices: &[B::Device]) -> Result<Self> {
        let name = devices.first().map(B::name).unwrap_or_default();
        Self::new(model, Load(model).run::<B>(devices)?, name)
    }

    fn new(model: &Model, engines: Vec<Arc<dyn Engine>>, devices: String) -> Result<Self> {
        let first = engines
            .first()
            .ok_or_else(|| Error::Device("no devices were given to load the model onto".into()))?;
        let manifest = model.manifest();
        if !manifest.takes_photographs() {
            return Err(Error::Channels {
                network: manifest.architecture.in_channels(),
                photographs: manifest.preprocessing.channels(),
            });
        }
        let placement = first.placement();
        Ok(Self {
            engines,
            devices,
            manifest: manifest.clone(),
            weights: model.stored_dtype(),
            weights_sha256: model.weights_sha256(),
            placement,
        })
    }

    pub(super) fn with_precision(mut self, precision: Precision) -> Result<Self> {
        for engine in &mut self.engines {
            *engine = engine.with_precision(precision)?;
        }
        Ok(self)
    }

    pub(crate) fn precision(&self) -> Precision {
        self.engines[0].precision()
    }

    /// Whether it computes on the cores that everything else runs on, too.
    pub(crate) fn on_host(&self) -> bool {
        self.placement == Placement::Host
    }

    /// Chunks that are computed at a time.
    pub(crate) fn workers(&self) -> usize {
        self.engines.len() * self.placement.chunks_under_way()
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
    pub(crate) fn run(&self, options: &PredictOptions, wanted: Wanted) -> Result<Run> {
        let settings = self.settings(options)?;
        self.check_passes(&settings)?;
        let input = InputRecipe {
            preprocessing: self.manifest.preprocessing.clone(),
            mode: settings.mode,
            bytes: self.placement.takes_bytes(self.manifest.task),
        };
        Ok(Run {
            settings,
            input,
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
        let batches = self.engines.iter();
        let batches = batches.map(|engine| engine.fitting_batch(&self.manifest, inference));
        batches.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}
