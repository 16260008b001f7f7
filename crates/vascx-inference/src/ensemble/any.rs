//! An ensemble of whichever kind the model is.

use burn::tensor::backend::Backend;
use vascx_convert::{Model, ModelManifest, Task};
use vascx_models::Precision;

use super::{
    Classification, Embedding, FromMembers, Keypoints, Landmarks, Overlaps, PredictOptions,
    Reading, Regression, Runner, Segmentation, Values, Wanted,
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
    /// Classes per pixel that may overlap.
    Overlaps(Overlaps),
    /// Class probabilities.
    Classification(Classification),
    /// Values.
    Regression(Regression),
    /// Keypoints as maxima of heat maps.
    Keypoints(Keypoints),
    /// Keypoints as numbers.
    Landmarks(Landmarks),
    /// A vector.
    Embedding(Embedding),
}

impl Answer {
    /// The kept probabilities `[C, height, width]` of classes per pixel; see
    /// [`Segmentation::probabilities`].
    pub(crate) fn probabilities(&self) -> Option<Vec<f32>> {
        match self {
            Self::Segmentation(segmentation) => segmentation.probabilities(),
            Self::Overlaps(overlaps) => overlaps.probabilities(),
            _ => None,
        }
    }

    pub(crate) fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        fn answer<A: FromMembers>(
            kind: fn(A) -> Answer,
            (values, geometry, reading): (Values, &Geometry, Reading),
        ) -> Answer {
            kind(A::from_values(values, geometry, reading))
        }
        let parts = (values, geometry, reading);
        match reading.task {
            Task::Segmentation => answer(Self::Segmentation, parts),
            Task::Overlaps => answer(Self::Overlaps, parts),
            Task::Classification => answer(Self::Classification, parts),
            Task::Regression => answer(Self::Regression, parts),
            Task::Heatmap => answer(Self::Keypoints, parts),
            Task::Keypoints => answer(Self::Landmarks, parts),
            Task::Embedding => answer(Self::Embedding, parts),
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
        let reading = self.runner.reading(options);
        let wanted = Wanted::answers(options.keep_maps);
        self.runner
            .collect(inputs.into(), options, wanted, |computed| {
                Answer::from_values(computed.values, &computed.geometry, reading)
            })
    }
}
