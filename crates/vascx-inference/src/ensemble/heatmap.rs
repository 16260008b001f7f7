//! Keypoints as maxima of heat maps.

use burn::tensor::{Tensor, backend::Backend};
use vascx_convert::Task;

use super::{Combined, FromMembers, Pass, Reduced, Values};
use crate::geometry::{Geometry, InputPoint, Point};
use crate::window::Members;

/// The keypoints of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Keypoints {
    /// One point per keypoint, in the photograph's pixels.
    pub points: Vec<Point>,
    /// What the points are the maxima of; none unless
    /// [`PredictOptions::keep_maps`](super::PredictOptions::keep_maps) was set.
    pub heatmaps: Option<Heatmaps>,
}

/// Heat maps summed over members, on the network input's grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmaps {
    /// K, height, width.
    pub shape: [usize; 3],
    /// Row-major.
    pub values: Vec<f32>,
}

impl FromMembers for Keypoints {
    const TASK: Task = Task::Heatmap;

    /// Sum of the members' heat maps.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        pass.maps(Members::Sum)
    }

    fn reduce<B: Backend>(combined: Tensor<B, 4>, _: &[&Geometry]) -> Reduced<B> {
        Reduced::maxima(combined)
    }

    /// Maximum → centre of its pixel → back to the photograph's pixels.
    fn from_values(values: Values, geometry: &Geometry, keep_maps: bool) -> Self {
        let point = |at: usize| {
            let width = geometry.input.width;
            geometry.point_to_photograph(InputPoint {
                x: (at % width) as f64 + 0.5,
                y: (at / width) as f64 + 0.5,
            })
        };
        match values {
            Values::Maxima(maxima) => Self {
                points: maxima.into_iter().map(point).collect(),
                heatmaps: None,
            },
            Values::Numbers { shape, data } => {
                let maps = data.chunks_exact(geometry.input.area());
                Self {
                    points: maps.map(|map| point(maximum(map))).collect(),
                    heatmaps: keep_maps.then_some(Heatmaps {
                        shape,
                        values: data,
                    }),
                }
            }
            Values::Classes { .. } => unreachable!("those of segmentations"),
        }
    }
}

/// Index of the largest value; the first of equals.
fn maximum(map: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in map.iter().enumerate() {
        if *value > map[best] {
            best = index;
        }
    }
    best
}
