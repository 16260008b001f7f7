//! An ensemble of whichever kind the model is.

use burn::tensor::backend::Backend;
use vascx_convert::{Model, ModelManifest, Task};

use super::{Classification, EnsembleOptions, Keypoints, Regression, Runner, Segmentation};
use crate::error::Result;
use crate::photograph::Photograph;
use crate::preprocess::PreprocessMode;

/// An ensemble whose kind the model decides.
#[derive(Debug)]
pub struct AnyEnsemble<B: Backend> {
    runner: Runner<B>,
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

impl<B: Backend> AnyEnsemble<B> {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// When its weights do not fit or the batch size is 0.
    pub fn load(model: &Model, device: &B::Device, options: EnsembleOptions) -> Result<Self> {
        Ok(Self {
            runner: Runner::load(model, device, options)?,
        })
    }

    /// The model's description.
    pub fn manifest(&self) -> &ModelManifest {
        &self.runner.manifest
    }

    /// How photographs are brought to the network's square.
    pub fn preprocess_mode(&self) -> PreprocessMode {
        self.runner.mode
    }

    /// Photographs per chunk.
    pub fn batch_size(&self) -> usize {
        self.runner.batch_size
    }

    /// One answer per photograph, in input order.
    ///
    /// # Errors
    /// When there are no photographs.
    pub fn predict(&self, photographs: &[Photograph]) -> Result<Vec<Answer>> {
        fn wrap<T>(answers: Vec<T>, kind: fn(T) -> Answer) -> Vec<Answer> {
            answers.into_iter().map(kind).collect()
        }
        let runner = &self.runner;
        Ok(match runner.manifest.task {
            Task::Segmentation => wrap(runner.predict(photographs)?, Answer::Segmentation),
            Task::Classification => wrap(runner.predict(photographs)?, Answer::Classification),
            Task::Regression => wrap(runner.predict(photographs)?, Answer::Regression),
            Task::Heatmap => wrap(runner.predict(photographs)?, Answer::Keypoints),
        })
    }
}
