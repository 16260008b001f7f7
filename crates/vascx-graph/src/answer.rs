//! What networks answer.

use burn::tensor::{FloatDType, Tensor, backend::Backend};

use crate::engine;

/// What one member answers.
#[derive(Clone, Debug)]
pub enum MemberOutput<B: Backend> {
    /// Logits or heat maps `[N, C, H, W]`.
    Spatial(Tensor<B, 4>),
    /// Class logits or values `[N, D]`.
    Vector(Tensor<B, 2>),
}

impl<B: Backend> MemberOutput<B> {
    /// The answer in another element type.
    pub(crate) fn cast(self, dtype: FloatDType) -> Self {
        match self {
            Self::Spatial(map) => Self::Spatial(engine::cast(map, dtype)),
            Self::Vector(vector) => Self::Vector(engine::cast(vector, dtype)),
        }
    }

    /// The answers to consecutive images, one after the other.
    pub(crate) fn concatenate(answers: Vec<Self>) -> Self {
        match Answers::of(answers) {
            Answers::Maps(maps) => Self::Spatial(engine::concatenate_images(maps)),
            Answers::Vectors(vectors) => Self::Vector(Tensor::cat(vectors, 0)),
        }
    }
}

/// What an ensemble answers; the first axis is the member.
#[derive(Clone, Debug)]
pub enum Prediction<B: Backend> {
    /// Logits or heat maps `[M, N, C, H, W]`.
    Spatial(Tensor<B, 5>),
    /// Class logits or values `[M, N, D]`.
    Vector(Tensor<B, 3>),
}

impl<B: Backend> Prediction<B> {
    /// The answers of several members, all maps or all vectors, to the same images.
    pub fn stack(answers: Vec<MemberOutput<B>>) -> Self {
        match Answers::of(answers) {
            Answers::Maps(maps) => Self::Spatial(engine::stack(maps)),
            Answers::Vectors(vectors) => Self::Vector(Tensor::stack(vectors, 0)),
        }
    }
}

/// Several answers of one kind.
enum Answers<B: Backend> {
    Maps(Vec<Tensor<B, 4>>),
    Vectors(Vec<Tensor<B, 2>>),
}

impl<B: Backend> Answers<B> {
    /// Members share one architecture, so exactly one of the two kinds is there.
    fn of(answers: Vec<MemberOutput<B>>) -> Self {
        let (mut maps, mut vectors) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                MemberOutput::Spatial(map) => maps.push(map),
                MemberOutput::Vector(vector) => vectors.push(vector),
            }
        }
        if vectors.is_empty() {
            Self::Maps(maps)
        } else {
            Self::Vectors(vectors)
        }
    }
}
