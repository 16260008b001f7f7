//! Keypoints as maxima of heat maps.

use burn::tensor::{Tensor, backend::Backend};
use vascx_convert::Task;

use super::{FromMembers, Pass, Values};
use crate::geometry::{Geometry, InputPoint, Point};

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
    fn combine<B: Backend>(pass: &Pass<B>, images: Tensor<B, 4>) -> Tensor<B, 4> {
        pass.maps(images, |members| members.sum_dim(0))
            .squeeze_dim(0)
    }

    /// Maximum → centre of its pixel → back to the photograph's pixels.
    fn from_values(values: Values, geometry: &Geometry, keep_maps: bool) -> Self {
        let Values {
            shape,
            data: values,
        } = values;
        let [_, height, width] = shape;
        let points = values
            .chunks_exact(height * width)
            .map(|map| geometry.point_to_photograph(maximum(map, width)))
            .collect();
        Self {
            points,
            heatmaps: keep_maps.then_some(Heatmaps { shape, values }),
        }
    }
}

/// Centre of the pixel with the largest value; the first of equals.
fn maximum(map: &[f32], width: usize) -> InputPoint {
    let mut best = 0;
    for (index, value) in map.iter().enumerate() {
        if *value > map[best] {
            best = index;
        }
    }
    InputPoint {
        x: (best % width) as f64 + 0.5,
        y: (best / width) as f64 + 0.5,
    }
}
