//! Class probabilities per photograph.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::{Combined, FromMembers, Pass, Reading, Values, Wanted};
use crate::geometry::Geometry;

/// The classification of one photograph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Probability of each class, the mean over members; they sum to 1.
    pub probabilities: Vec<f32>,
    /// Probabilities per member, `[M][C]`.
    pub members: Vec<Vec<f32>>,
}

impl FromMembers for Classification {
    /// Softmax per member.
    fn combine<B: Backend>(pass: &Pass<B>) -> Combined<B> {
        pass.vectors(|logits| match pass.wanted {
            Wanted::Logits => logits,
            Wanted::Answers | Wanted::AnswersAndMaps => softmax(logits, 2),
        })
    }

    /// Mean over members.
    fn from_values(values: Values, _: &Geometry, _: Reading) -> Self {
        let members = per_member(values);
        Self {
            probabilities: mean(&members),
            members,
        }
    }
}

/// Rows of `[M, D, 1]`.
pub(super) fn per_member(values: Values) -> Vec<Vec<f32>> {
    let Values::Numbers { shape, data } = values else {
        unreachable!("vectors are not reduced")
    };
    data.chunks_exact(shape[1]).map(<[f32]>::to_vec).collect()
}

/// Mean over the members of `[M][D]`.
pub(super) fn mean(members: &[Vec<f32>]) -> Vec<f32> {
    let count = members.len() as f32;
    let values = members.first().map_or(0, Vec::len);
    (0..values)
        .map(|value| members.iter().map(|member| member[value]).sum::<f32>() / count)
        .collect()
}
