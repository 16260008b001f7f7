//! Vectors per photograph.

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::classification::{mean, per_member};
use super::{Combined, FromMembers, Pass, Reading, Values};
use crate::geometry::Geometry;

/// The embedding of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Mean over members, `[D]`.
    pub vector: Vec<f32>,
    /// Vectors per member, `[M][D]`.
    pub members: Vec<Vec<f32>>,
}

impl FromMembers for Embedding {
    /// The members' vectors as they are.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        pass.vectors(|vectors| vectors)
    }

    /// Mean over members.
    fn from_values(values: Values, _: &Geometry, _: Reading) -> Self {
        let members = per_member(values);
        Self {
            vector: mean(&members),
            members,
        }
    }
}
