//! Values per photograph.

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::classification::{mean, per_member};
use super::{Combined, FromMembers, Pass, Reading, Values};
use crate::geometry::Geometry;

/// The values of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// Values per member, `[M][D]`.
    pub members: Vec<Vec<f32>>,
}

impl Regression {
    /// Mean over the members, `[D]`.
    pub fn mean(&self) -> Vec<f32> {
        mean(&self.members)
    }
}

impl FromMembers for Regression {
    /// The members' values as they are.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        pass.vectors(|vectors| vectors)
    }

    fn from_values(values: Values, _: &Geometry, _: Reading) -> Self {
        Self {
            members: per_member(values),
        }
    }
}
