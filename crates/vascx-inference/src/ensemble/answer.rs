//! Answers of any task.

use serde::{Deserialize, Serialize};
use vascx_format::Task;

use super::{
    Classification, Embedding, FromMembers, Keypoints, Landmarks, Maps, Overlaps, Reading,
    Regression, Segmentation, Values,
};
use crate::geometry::Geometry;

/// What an [`AnyEnsemble`](super::AnyEnsemble) answers for one photograph. Serialised, it has its task's
/// name as `task`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Answer {
    /// A class per pixel.
    Segmentation(Segmentation),
    /// Classes per pixel that may overlap.
    Overlaps(Overlaps),
    /// Class probabilities.
    Classification(Classification),
    /// Values.
    Regression(Regression),
    /// Keypoints as maxima of heat maps.
    #[serde(rename = "heatmap")]
    Keypoints(Keypoints),
    /// Keypoints as numbers.
    #[serde(rename = "keypoints")]
    Landmarks(Landmarks),
    /// A vector.
    Embedding(Embedding),
}

/// What an ensemble answers with: an answer of one task or, of whichever the model does, [`Answer`].
pub trait TaskAnswer: Sized {
    /// The task whose models answer so; none for [`Answer`].
    const TASK: Option<Task>;

    /// An answer of this task; none if it is of another.
    fn from_answer(answer: Answer) -> Option<Self>;
}

impl TaskAnswer for Answer {
    const TASK: Option<Task> = None;

    fn from_answer(answer: Answer) -> Option<Self> {
        Some(answer)
    }
}

macro_rules! answers_of_one_task {
    ($($answer:ident: $task:ident),*) => {$(
        impl TaskAnswer for $answer {
            const TASK: Option<Task> = Some(Task::$task);

            fn from_answer(answer: Answer) -> Option<Self> {
                match answer {
                    Answer::$answer(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    )*};
}

answers_of_one_task!(
    Segmentation: Segmentation,
    Overlaps: Overlaps,
    Classification: Classification,
    Regression: Regression,
    Keypoints: Heatmap,
    Landmarks: Keypoints,
    Embedding: Embedding
);

impl Answer {
    /// The kept probabilities `[C, height, width]` of classes per pixel; see
    /// [`Segmentation::probabilities`].
    pub(crate) fn probabilities(&self) -> Option<Maps> {
        match self {
            Self::Segmentation(segmentation) => segmentation.probabilities(),
            Self::Overlaps(overlaps) => overlaps.probabilities(),
            _ => None,
        }
    }

    pub(crate) fn from_values(values: Values, geometry: &Geometry, reading: Reading) -> Self {
        fn answer<A: FromMembers>(
            kind: fn(A) -> Answer,
            (values, geometry, reading): (Values, &Geometry, Reading),
        ) -> Answer {
            kind(A::from_values(values, geometry, reading))
        }
        let parts = (values, geometry, reading);
        match reading.task {
            Task::Segmentation => answer(Self::Segmentation, parts),
            Task::Overlaps => answer(Self::Overlaps, parts),
            Task::Classification => answer(Self::Classification, parts),
            Task::Regression => answer(Self::Regression, parts),
            Task::Heatmap => answer(Self::Keypoints, parts),
            Task::Keypoints => answer(Self::Landmarks, parts),
            Task::Embedding => answer(Self::Embedding, parts),
        }
    }
}
