//! A class per pixel.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use image::GrayImage;
use vascx_convert::Task;

use super::{Chunk, FromMembers, Runner, to_host};
use crate::geometry::Geometry;

/// The segmentation of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// Class index of every pixel of the photograph.
    pub class_map: GrayImage,
    probabilities: InputMaps,
}

/// Maps `[C, S, S]` on the network input's grid and how to bring them back.
#[derive(Clone, Debug, PartialEq)]
struct InputMaps {
    values: Vec<f32>,
    geometry: Geometry,
}

impl Segmentation {
    /// Class probabilities `[C, height, width]` in the photograph's pixels.
    pub fn probabilities(&self) -> Vec<f32> {
        let InputMaps { values, geometry } = &self.probabilities;
        let area = geometry.input_size * geometry.input_size;
        values
            .chunks_exact(area)
            .flat_map(|map| geometry.maps_to_photograph(map, |values| values[0]))
            .collect()
    }

    /// Number of classes C.
    pub fn classes(&self) -> usize {
        let side = self.probabilities.geometry.input_size;
        self.probabilities.values.len() / (side * side)
    }
}

impl FromMembers for Segmentation {
    const TASK: Task = Task::Segmentation;

    /// Mean of the members' logits → softmax → back to the photograph's pixels → most probable
    /// class.
    fn from_members<B: Backend>(runner: &Runner<B>, chunk: Chunk<B>) -> Vec<Self> {
        let logits = runner.maps(chunk.images, |members| members.mean_dim(0));
        let values = to_host(softmax(logits, 2));
        let per_image = values.len() / chunk.geometries.len();
        let images = values.chunks_exact(per_image).zip(chunk.geometries);
        images
            .map(|(values, geometry)| segmentation(values.to_vec(), geometry))
            .collect()
    }
}

fn segmentation(probabilities: Vec<f32>, geometry: Geometry) -> Segmentation {
    let size = geometry.photograph();
    let classes = geometry.maps_to_photograph(&probabilities, most_probable);
    let class_map = GrayImage::from_raw(size.width as u32, size.height as u32, classes)
        .expect("one class per pixel of the photograph");
    Segmentation {
        class_map,
        probabilities: InputMaps {
            values: probabilities,
            geometry,
        },
    }
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
