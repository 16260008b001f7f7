//! A class per pixel.

use burn::tensor::{Tensor, backend::Backend};
use image::GrayImage;
use vascx_convert::Task;

use super::{Combined, FromMembers, Pass, Reduced, Values, Wanted};
use crate::geometry::{Geometry, Size};
use crate::window::Members;

/// The segmentation of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// Class index of every pixel of the photograph.
    pub class_map: GrayImage,
    /// Number of classes C.
    pub classes: usize,
    probabilities: Option<InputMaps>,
}

/// Maps `[C, H, W]` on the network input's grid and how to bring them back.
#[derive(Clone, Debug, PartialEq)]
struct InputMaps {
    values: Vec<f32>,
    geometry: Geometry,
}

impl Segmentation {
    /// Class probabilities `[C, height, width]` in the photograph's pixels; none unless
    /// [`PredictOptions::keep_maps`](super::PredictOptions::keep_maps) was set. Outside the field
    /// of view that the photograph was cropped to they are 0.
    pub fn probabilities(&self) -> Option<Vec<f32>> {
        let InputMaps { values, geometry } = self.probabilities.as_ref()?;
        let maps = values.chunks_exact(geometry.input.area());
        Some(
            maps.flat_map(|map| geometry.maps_to_photograph(map, |values| values[0]))
                .collect(),
        )
    }
}

impl FromMembers for Segmentation {
    const TASK: Task = Task::Segmentation;

    /// Mean of the members' logits → softmax.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        let logits = pass.maps(Members::Mean);
        match pass.wanted {
            Wanted::Logits => logits,
            Wanted::Answers | Wanted::AnswersAndMaps => logits.softmax(),
        }
    }

    fn reduce<B: Backend>(combined: Tensor<B, 4>, geometries: &[&Geometry]) -> Reduced<B> {
        Reduced::classes(combined, geometries)
    }

    /// Back to the photograph's pixels → most probable class, as far as the device has not done it.
    fn from_values(values: Values, geometry: &Geometry, keep_maps: bool) -> Self {
        let mut probabilities = None;
        let (count, classes) = match values {
            Values::Numbers {
                shape: [count, ..],
                data,
            } => {
                // Where nothing is mixed on the way back, few pixels are compared instead of many.
                let classes = if geometry.picks_pixels() {
                    let classes = most_probable_of(&data, geometry.input.area());
                    geometry.classes_to_photograph(&classes)
                } else {
                    geometry.maps_to_photograph(&data, most_probable)
                };
                probabilities = keep_maps.then(|| InputMaps {
                    values: data,
                    geometry: geometry.clone(),
                });
                (count, classes)
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
            Values::Maxima(_) => unreachable!("those of heat maps"),
        };
        let Size { width, height } = geometry.photograph();
        let class_map = GrayImage::from_raw(width as u32, height as u32, classes)
            .expect("one class per pixel of the photograph");
        Self {
            class_map,
            classes: count,
            probabilities,
        }
    }
}

/// [`most_probable`] of every pixel of maps `[C, area]`.
fn most_probable_of(maps: &[f32], area: usize) -> Vec<u8> {
    let (first, others) = maps.split_at(area);
    let mut best = first.to_vec();
    let mut classes = vec![0; area];
    for (class, map) in (1_usize..).zip(others.chunks_exact(area)) {
        for ((best, index), value) in best.iter_mut().zip(&mut classes).zip(map) {
            if value > best {
                (*best, *index) = (*value, class as u8);
            }
        }
    }
    classes
}

/// Index of the largest value; the first of equals.
fn most_probable(values: &[f32]) -> u8 {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best as u8
}
