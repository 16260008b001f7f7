//! Keypoints as maxima of heat maps.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::values::largest;
use super::{Combined, FromMembers, KeypointRule, Maps, Pass, Reading, Reduced, Values, Wanted};
use crate::geometry::{Geometry, InputPoint, Point};
use crate::window::Members;

/// The keypoints of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Keypoints {
    /// One point per keypoint, in the photograph's pixels.
    pub points: Vec<Point>,
    /// What the points are the maxima of, summed over members, on the network input's grid; none unless
    /// [`PredictOptions::keep_maps`](super::PredictOptions::keep_maps) was set.
    pub heatmaps: Option<Maps>,
}

impl FromMembers for Keypoints {
    /// Sum of the members' heat maps, or each of them.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        let each = pass.keypoints == KeypointRule::MeanOfArgmax && pass.wanted != Wanted::Logits;
        pass.maps(if each { Members::Each } else { Members::Sum })
    }

    fn reduce<B: Backend>(combined: Tensor<B, 4>, _: &[&Geometry]) -> Reduced<B> {
        Reduced::maxima(combined)
    }

    /// Maximum → centre of its pixel → mean over members, where they are apart → back to the
    /// photograph's pixels.
    fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        let Reading {
            keep_maps,
            answers: count,
            ..
        } = reading;
        let mut heatmaps = None;
        let maxima = match values {
            Values::Maxima(maxima) => maxima,
            Values::Numbers {
                shape: [_, height, width],
                data,
            } => {
                let maps = data.chunks_exact(geometry.input.area());
                let maxima = maps.map(largest).collect();
                heatmaps = keep_maps.then(|| Maps {
                    shape: [count, height, width],
                    values: sum_of_members(data, count * height * width),
                });
                maxima
            }
            Values::Classes { .. } | Values::NotFinite | Values::Refused(_) => {
                unreachable!("those of segmentations and of none")
            }
        };
        let width = geometry.input.width;
        let members = (maxima.len() / count) as f64;
        let mean = |keypoint: usize, coordinate: fn(usize, usize) -> usize| {
            let maxima = maxima.iter().skip(keypoint).step_by(count);
            let sum: usize = maxima.map(|&at| coordinate(at, width)).sum();
            sum as f64 / members + 0.5
        };
        let point = |keypoint| {
            geometry.point_to_photograph(InputPoint {
                x: mean(keypoint, |at, width| at % width),
                y: mean(keypoint, |at, width| at / width),
            })
        };
        Self {
            points: (0..count).map(point).collect(),
            heatmaps,
        }
    }
}

/// The first `length` values with all further ones added to them.
fn sum_of_members(mut maps: Vec<f32>, length: usize) -> Vec<f32> {
    let (sum, others) = maps.split_at_mut(length);
    for member in others.chunks_exact(length) {
        for (sum, value) in sum.iter_mut().zip(member) {
            *sum += value;
        }
    }
    maps.truncate(length);
    maps
}
