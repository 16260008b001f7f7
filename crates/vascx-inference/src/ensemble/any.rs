//! An ensemble of whichever kind the model is.

use burn::tensor::backend::Backend;
use vascx_convert::{Model, ModelManifest, Task};
use vascx_models::Precision;

use super::{
    Classification, FromMembers, Keypoints, PredictOptions, Regression, Runner, Segmentation,
    Values, Wanted,
};
use crate::error::Result;
use crate::geometry::Geometry;
use crate::source::Sources;

/// An ensemble whose kind the model decides.
#[derive(Debug)]
pub struct AnyEnsemble<B: Backend> {
    pub(crate) runner: Runner<B>,
}

/// What an [`AnyEnsemble`] answers for one photograph.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A class per pixel.
    Segmentation(Segmentation),
    /// Class probabilities.
    Classification(Classification),
    /// Values.
    Regression(Regression),
    /// Keypoints.
    Keypoints(Keypoints),
}

impl Answer {
    pub(crate) fn from_values(
        task: Task,
        values: Values,
        geometry: &Geometry,
        keep_maps: bool,
    ) -> Self {
        fn answer<A: FromMembers>(
            kind: fn(A) -> Answer,
            (values, geometry, keep_maps): (Values, &Geometry, bool),
        ) -> Answer {
            kind(A::from_values(values, geometry, keep_maps))
        }
        let parts = (values, geometry, keep_maps);
        match task {
            Task::Segmentation => answer(Self::Segmentation, parts),
            Task::Classification => answer(Self::Classification, parts),
            Task::Regression => answer(Self::Regression, parts),
            Task::Heatmap => answer(Self::Keypoints, parts),
        }
    }
}

impl<B: Backend> AnyEnsemble<B> {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// When its weights do not fit.
    pub fn load(model: &Model, device: &B::Device) -> Result<Self> {
        Self::load_on(model, std::slice::from_ref(device))
    }

    /// Loads a model onto several devices; see [`super::TaskEnsemble::load_on`].
    ///
    /// # Errors
    /// As [`Self::load`], and when there are no devices.
    pub fn load_on(model: &Model, devices: &[B::Device]) -> Result<Self> {
        Ok(Self {
            runner: Runner::load(model, devices)?,
        })
    }

    /// The same ensemble computing in another element type; see
    /// [`super::TaskEnsemble::with_precision`].
    ///
    /// # Errors
    /// When the device does not compute in it.
    pub fn with_precision(self, precision: Precision) -> Result<Self> {
        Ok(Self {
            runner: self.runner.with_precision(precision)?,
        })
    }

    /// The model's description.
    pub fn manifest(&self) -> &ModelManifest {
        &self.runner.manifest
    }

    /// One result per input, in input order; see [`super::TaskEnsemble::predict_with`].
    ///
    /// # Errors
    /// When there are no inputs or a batch size is 0.
    pub fn predict<'a>(
        &self,
        inputs: impl Into<Sources<'a>>,
        options: &PredictOptions,
    ) -> Result<Vec<Result<Answer>>> {
        let task = self.runner.manifest.task;
        let wanted = Wanted::answers(options.keep_maps);
        self.runner
            .collect(inputs.into(), options, wanted, |computed| {
                Answer::from_values(task, computed.values, &computed.geometry, options.keep_maps)
            })
    }
}
