//! Activation functions, as configuration data.

use burn::tensor::activation;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Clamp, Elu, LeakyRelu, Op, Unary, UnaryKind};

/// A parameter-free activation function.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, `negative_slope · x` elsewhere.
    LeakyRelu {
        /// Slope for negative inputs; PyTorch's default is 0.01.
        negative_slope: f64,
    },
    /// `x` where positive, `alpha · (eˣ − 1)` elsewhere.
    Elu {
        /// Limit for x → −∞; PyTorch's default is 1.
        alpha: f64,
    },
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)` with the exact Gaussian distribution function.
    Gelu,
    /// `x · clamp(x/6 + 1/2, 0, 1)`.
    HardSwish,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `clamp(x/6 + 1/2, 0, 1)`.
    HardSigmoid,
    /// Not below `min`, not above `max`; ReLU6 goes from 0 to 6.
    Clamp {
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
}

impl Activation {
    /// Applies the function to every element.
    pub fn forward<B: Backend, const D: usize>(self, input: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Relu => activation::relu(input),
            Self::LeakyRelu { negative_slope } => activation::leaky_relu(input, negative_slope),
            Self::Elu { alpha } => activation::elu(input, alpha),
            Self::Silu => activation::silu(input),
            Self::Gelu => activation::gelu(input),
            Self::HardSwish => hard_sigmoid(input.clone()) * input,
            Self::Sigmoid => activation::sigmoid(input),
            Self::HardSigmoid => hard_sigmoid(input),
            // One after the other: bounds from a file may be the wrong way round.
            Self::Clamp { min, max } => input.clamp_min(min).clamp_max(max),
        }
    }
}

impl From<Activation> for Op {
    fn from(activation: Activation) -> Self {
        let unary = |kind| Unary(kind).into();
        match activation {
            Activation::Relu => unary(UnaryKind::Relu),
            Activation::LeakyRelu { negative_slope } => LeakyRelu {
                slope: negative_slope,
            }
            .into(),
            Activation::Elu { alpha } => Elu {
                alpha,
                scale: 1.0,
                input_scale: 1.0,
            }
            .into(),
            Activation::Silu => unary(UnaryKind::Silu),
            Activation::Gelu => unary(UnaryKind::Gelu),
            Activation::HardSwish => unary(UnaryKind::HardSwish),
            Activation::Sigmoid => unary(UnaryKind::Sigmoid),
            Activation::HardSigmoid => unary(UnaryKind::HardSigmoid),
            Activation::Clamp { min, max } => Clamp {
                min: Some(min),
                max: Some(max),
            }
            .into(),
        }
    }
}

fn hard_sigmoid<B: Backend, const D: usize>(input: Tensor<B, D>) -> Tensor<B, D> {
    (input / 6.0 + 0.5).clamp(0.0, 1.0)
}
