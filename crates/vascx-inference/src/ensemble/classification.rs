//! Class probabilities per photograph.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use vascx_convert::Task;

use super::{Chunk, FromMembers, Runner, to_host};

/// The classification of one photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// Probability of each class; they sum to 1.
    pub probabilities: Vec<f32>,
}

impl FromMembers for Classification {
    const TASK: Task = Task::Classification;

    /// Softmax per member → mean over members.
    fn from_members<B: Backend>(runner: &Runner<B>, chunk: Chunk<B>) -> Vec<Self> {
        let probabilities = runner
            .vectors(chunk.images, |logits| softmax(logits, 2))
            .mean_dim(0);
        let classes = probabilities.dims()[2];
        to_host(probabilities)
            .chunks_exact(classes)
            .map(|row| Classification {
                probabilities: row.to_vec(),
            })
            .collect()
    }
}
