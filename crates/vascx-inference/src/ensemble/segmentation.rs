//! A class per pixel.

use burn::tensor::{Tensor, backend::Backend};
use image::GrayImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::values::{largest, most_probable_on_device};
use super::{Combined, FromMembers, Maps, Pass, Reading, Reduced, Values, Wanted};
use crate::geometry::{Geometry, Size};
use crate::window::Members;

/// The segmentation of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segmentation {
    /// Class index of every pixel of the photograph.
    #[serde(with = "super::grey_map")]
    pub class_map: GrayImage,
    /// Number of classes C.
    pub classes: usize,
    #[serde(skip)]
    probabilities: Option<InputMaps>,
}

/// Maps `[C, H, W]` on the network input's grid and how to bring them back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InputMaps {
    values: Vec<f32>,
    geometry: Geometry,
}

impl Segmentation {
    /// Class probabilities `[C, height, width]` in the photograph's pixels; none unless
    /// [`PredictOptions::keep_maps`](super::PredictOptions::keep_maps) was set. Outside the field
    /// of view that the photograph was cropped to they are 0.
    pub fn probabilities(&self) -> Option<Maps> {
        self.probabilities.as_ref().map(InputMaps::to_photograph)
    }
}

impl InputMaps {
    /// The maps `[C, height, width]` in the photograph's pixels; 0 outside of the input.
    pub(super) fn to_photograph(&self) -> Maps {
        let Self { values, geometry } = self;
        let maps = values.chunks_exact(geometry.input.area());
        let Size { width, height } = geometry.photograph();
        Maps {
            shape: [maps.len(), height, width],
            values: maps
                .flat_map(|map| geometry.maps_to_photograph(map, |values| values[0]))
                .collect(),
        }
    }

    /// What `pick` makes of the C probabilities of every pixel of the photograph, as far as the
    /// device has not done it, the number C, and the maps where they are kept.
    pub(super) fn pick(
        values: Values,
        geometry: &Geometry,
        keep: bool,
        pick: impl Fn(&[f32]) -> u8 + Sync,
    ) -> (GrayImage, usize, Option<Self>) {
        let mut kept = None;
        let (count, picked) = match values {
            Values::Numbers {
                shape: [count, ..],
                data,
            } => {
                // Where nothing is mixed on the way back, few pixels are compared instead of many.
                let picked = if geometry.picks_pixels() {
                    geometry.classes_to_photograph(&pick_each(&data, count, pick))
                } else {
                    geometry.maps_to_photograph(&data, pick)
                };
                kept = keep.then(|| Self {
                    values: data,
                    geometry: geometry.clone(),
                });
                (count, picked)
            }
            Values::Classes {
                count,
                undone: true,
                data,
            } => (count, data),
            Values::Classes {
                count,
                undone: false,
                data,
            } => (count, geometry.classes_to_photograph(&data)),
            Values::Maxima(_) | Values::NotFinite | Values::Refused(_) => {
                unreachable!("those of heat maps and of none")
            }
        };
        let Size { width, height } = geometry.photograph();
        let map = GrayImage::from_raw(width as u32, height as u32, picked)
            .expect("one byte per pixel of the photograph");
        (map, count, kept)
    }
}

impl FromMembers for Segmentation {
    /// Mean of the members' logits → softmax.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        let logits = pass.maps(Members::Mean);
        match pass.wanted {
            Wanted::Logits => logits,
            Wanted::Answers | Wanted::AnswersAndMaps => logits.softmax(),
        }
    }

    fn reduce<B: Backend>(combined: Tensor<B, 4>, geometries: &[&Geometry]) -> Reduced<B> {
        Reduced::classes(combined, geometries, most_probable_on_device)
    }

    /// Back to the photograph's pixels → most probable class, as far as the device has not done it.
    fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        let most_probable = |probabilities: &[f32]| largest(probabilities) as u8;
        let (class_map, classes, probabilities) =
            InputMaps::pick(values, geometry, reading.keep_maps, most_probable);
        Self {
            class_map,
            classes,
            probabilities,
        }
    }
}

/// What `pick` makes of the values of every pixel of `count` maps.
fn pick_each(maps: &[f32], count: usize, pick: impl Fn(&[f32]) -> u8 + Sync) -> Vec<u8> {
    const BAND: usize = 1 << 12;
    let area = maps.len() / count;
    let mut picked = vec![0; area];
    let bands = picked.par_chunks_mut(BAND).enumerate();
    bands.for_each_init(
        || vec![0.0; count],
        |values, (band, picked)| {
            for (index, picked) in (band * BAND..).zip(picked) {
                for (value, map) in values.iter_mut().zip(maps.chunks_exact(area)) {
                    *value = map[index];
                }
                *picked = pick(values);
            }
        },
    );
    picked
}
