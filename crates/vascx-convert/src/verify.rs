//! Comparing a model directory with the checkpoint it was written from.

use std::path::Path;

use burn::backend::Flex;
use vascx_models::Precision;

use crate::answers::{answer, random_image, relative_difference};
use crate::error::{Error, Result};
use crate::model::Model;

/// Largest difference of the answers, relative to the largest: the same network with the same
/// weights, so nothing but the order of sums can differ.
const TOLERANCE: f32 = 1e-6;

/// What was compared, and with what result.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// Tensors compared, all equal after rounding to the stored type.
    pub tensors: usize,
    /// Values in them.
    pub values: usize,
    /// Shape `[N, C, H, W]` of the random image.
    pub image: Vec<usize>,
    /// Largest difference of the answers to the random image between the directory and the
    /// checkpoint's weights rounded alike, relative to the largest answer.
    pub difference: f32,
    /// The same between the directory and the checkpoint's weights as they are: what rounding
    /// costs.
    pub rounding: f32,
}

impl Model {
    /// Reads a directory that this model was [saved](vascx_format::Model::save) to, and compares every tensor
    /// and the answers to a random image with this model's own.
    ///
    /// # Errors
    /// When the directory cannot be read, or anything differs beyond the rounding to `dtype`.
    pub fn verify(&self, directory: impl AsRef<Path>, dtype: Precision) -> Result<Verification> {
        let directory = directory.as_ref();
        self.compare(directory, dtype)
            .map_err(|error| error.in_file(directory))
    }

    fn compare(&self, directory: &Path, dtype: Precision) -> Result<Verification> {
        let failed = |reason: String| Err(Error::Verification(reason));
        let written = vascx_format::Model::open(directory)?;
        if written.manifest() != self.manifest() {
            return failed("`model.json` says something else than the checkpoint".into());
        }
        let rounded = self.rounded(dtype)?;
        let names = |model: &vascx_format::Model| -> Vec<String> {
            let tensors = model.stored_tensors().into_iter();
            tensors.map(|tensor| tensor.name).collect()
        };
        let (expected, found) = (names(&rounded), names(&written));
        if expected != found {
            return failed("the tensors have other names than the checkpoint's".into());
        }
        let (tensors, mut values) = (expected.len(), 0);
        for name in &expected {
            let (expected, found) = (rounded.weight(name)?, written.weight(name)?);
            let mut pairs = expected.values.iter().zip(&found.values);
            let same =
                |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            if expected.shape != found.shape || !pairs.all(same) {
                return failed(format!("tensor `{name}` differs from the checkpoint's"));
            }
            values += expected.values.len();
        }
        let image = random_image(&self.manifest().architecture);
        let shape = image.shape.to_vec();
        let device = Default::default();
        let answers = [&written, &rounded, &**self]
            .map(|model| answer(&model.load::<Flex>(&device)?, image.clone()));
        let [found, expected, exact] = answers;
        let (found, expected, exact) = (found?, expected?, exact?);
        let difference = relative_difference(&expected, &found)?;
        if difference > TOLERANCE {
            return failed(format!(
                "answers to a random image differ by {difference:.1e} of the largest"
            ));
        }
        Ok(Verification {
            tensors,
            values,
            image: shape,
            difference,
            rounding: relative_difference(&exact, &found)?,
        })
    }
}
