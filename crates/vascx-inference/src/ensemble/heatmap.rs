//! Keypoints as maxima of heat maps.

use burn::tensor::backend::Backend;
use vascx_convert::Task;

use super::{Chunk, FromMembers, Runner, to_host};
use crate::geometry::{InputPoint, Point};

/// The keypoints of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Keypoints {
    /// One point per keypoint, in the photograph's pixels.
    pub points: Vec<Point>,
    /// Heat maps `[K, S, S]` summed over members, on the network input's grid.
    pub heatmaps: Vec<f32>,
}

impl FromMembers for Keypoints {
    const TASK: Task = Task::Heatmap;

    /// Sum of the members' heat maps → maximum → centre of its pixel → back to the photograph's
    /// pixels.
    fn from_members<B: Backend>(runner: &Runner<B>, chunk: Chunk<B>) -> Vec<Self> {
        let sums = runner.maps(chunk.images, |members| members.sum_dim(0));
        let [_, _, keypoints, height, width] = sums.dims();
        let values = to_host(sums);
        let images = values
            .chunks_exact(keypoints * height * width)
            .zip(chunk.geometries);
        images
            .map(|(heatmaps, geometry)| Keypoints {
                points: heatmaps
                    .chunks_exact(height * width)
                    .map(|map| geometry.point_to_photograph(maximum(map, width)))
                    .collect(),
                heatmaps: heatmaps.to_vec(),
            })
            .collect()
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
