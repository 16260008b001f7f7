//! Keypoints that networks give as numbers.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::classification::{mean, per_member};
use super::{Combined, FromMembers, Pass, Reading, Values};
use crate::geometry::{Geometry, InputPoint, Point};

/// The keypoints of one photograph, of a network that gives them as numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Landmarks {
    /// One point per keypoint, the mean over members, in the photograph's pixels.
    pub points: Vec<Point>,
    /// Points per member, `[M][K]`, in the photograph's pixels.
    pub members: Vec<Vec<Point>>,
}

impl FromMembers for Landmarks {
    /// The members' points as they are.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        pass.points()
    }

    /// To pixels of the network's input → mean over members → back to the photograph's pixels.
    fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        let unit = if reading.normalised_keypoints {
            [geometry.input.width as f64, geometry.input.height as f64]
        } else {
            [1.0, 1.0]
        };
        let points = |numbers: &[f32]| {
            let pairs = numbers.as_chunks::<2>().0.iter();
            let point = |&[x, y]: &[f32; 2]| {
                geometry.point_to_photograph(InputPoint {
                    x: f64::from(x) * unit[0],
                    y: f64::from(y) * unit[1],
                })
            };
            pairs.map(point).collect()
        };
        let members = per_member(values);
        Self {
            points: points(&mean(&members)),
            members: members.iter().map(|member| points(member)).collect(),
        }
    }
}

/// Points `[M, n, 2K]` of images that were flipped along `axes`, on the images as they are, whose
/// far edges lie at `far` (x, y).
pub(super) fn flip_back<B: Backend>(
    points: Tensor<B, 3>,
    axes: &[usize],
    far: [f64; 2],
) -> Tensor<B, 3> {
    let [members, images, numbers] = points.dims();
    let pairs = points.reshape([members, images, numbers / 2, 2]);
    // Axis 3 of the images is x.
    let parts = [(0, 3), (1, 2)].map(|(index, axis)| {
        let part = pairs.clone().narrow(3, index, 1);
        let flipped = axes.iter().filter(|&&other| other == axis).count() % 2 == 1;
        if flipped {
            part.neg() + far[index]
        } else {
            part
        }
    });
    Tensor::cat(parts.to_vec(), 3).reshape([members, images, numbers])
}
