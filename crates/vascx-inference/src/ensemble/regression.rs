//! Values per photograph.

use burn::tensor::backend::Backend;
use vascx_convert::Task;

use super::{Chunk, FromMembers, Runner, to_host};

/// The values of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// Values per member, `[M][D]`.
    pub members: Vec<Vec<f32>>,
}

impl Regression {
    /// Mean over the members, `[D]`.
    pub fn mean(&self) -> Vec<f32> {
        let count = self.members.len() as f32;
        let values = self.members.first().map_or(0, Vec::len);
        (0..values)
            .map(|value| self.members.iter().map(|member| member[value]).sum::<f32>() / count)
            .collect()
    }
}

impl FromMembers for Regression {
    const TASK: Task = Task::Regression;

    /// The members' values as they are.
    fn from_members<B: Backend>(runner: &Runner<B>, chunk: Chunk<B>) -> Vec<Self> {
        // [M, n, D] → [n, M, D]
        let values = runner
            .vectors(chunk.images, |vectors| vectors)
            .swap_dims(0, 1);
        let [_, members, outputs] = values.dims();
        to_host(values)
            .chunks_exact(members * outputs)
            .map(|image| Regression {
                members: image.chunks_exact(outputs).map(<[f32]>::to_vec).collect(),
            })
            .collect()
    }
}
