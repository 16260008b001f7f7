//! Classes per pixel that may overlap.

use burn::tensor::{Tensor, backend::Backend};
use image::GrayImage;
use serde::{Deserialize, Serialize};

use super::segmentation::InputMaps;
use super::{Combined, FromMembers, Maps, Pass, Reading, Reduced, Values, Wanted};
use crate::geometry::Geometry;
use crate::window::Members;

/// A class is there where it is more probable than not.
const THRESHOLD: f32 = 0.5;

/// The overlapping classes of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlaps {
    /// The classes of every pixel of the photograph: class k sets bit k.
    #[serde(with = "super::grey_map")]
    pub bits: GrayImage,
    /// Number of classes C, at most 8.
    pub classes: usize,
    #[serde(skip)]
    probabilities: Option<InputMaps>,
}

impl Overlaps {
    /// Probabilities `[C, height, width]` in the photograph's pixels, each class on its own; none
    /// unless [`PredictOptions::keep_maps`](super::PredictOptions::keep_maps) was set. Outside the
    /// field of view that the photograph was cropped to they are 0.
    pub fn probabilities(&self) -> Option<Maps> {
        self.probabilities.as_ref().map(InputMaps::to_photograph)
    }
}

impl FromMembers for Overlaps {
    /// Mean of the members' logits → sigmoid.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        let logits = pass.maps(Members::Mean);
        match pass.wanted {
            Wanted::Logits => logits,
            Wanted::Answers | Wanted::AnswersAndMaps => logits.sigmoid(),
        }
    }

    fn reduce<B: Backend>(combined: Tensor<B, 4>, geometries: &[&Geometry]) -> Reduced<B> {
        Reduced::classes(combined, geometries, present_on_device)
    }

    /// Back to the photograph's pixels → bits, as far as the device has not done it.
    fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        let (bits, classes, probabilities) =
            InputMaps::pick(values, geometry, reading.keep_maps, present);
        Self {
            bits,
            classes,
            probabilities,
        }
    }
}

/// The bits of the classes that are there.
fn present(probabilities: &[f32]) -> u8 {
    let bits = probabilities.iter().enumerate();
    bits.map(|(class, &value)| u8::from(value > THRESHOLD) << class)
        .sum()
}

/// [`present`] of every pixel of maps `[C, h, w]`, flat.
fn present_on_device<B: Backend>(maps: Tensor<B, 3>) -> Tensor<B, 1, burn::tensor::Int> {
    let [count, height, width] = maps.dims();
    let bits = (0..count).map(|class| {
        let map = maps.clone().narrow(0, class, 1);
        map.greater_elem(THRESHOLD).int() * (1 << class)
    });
    let sum = bits.reduce(|sum, bits| sum + bits);
    sum.expect("a network has an output")
        .reshape([height * width])
}
