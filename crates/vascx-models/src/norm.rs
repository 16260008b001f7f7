//! Normalisation layers, as configuration data.

use burn::module::Param;
use burn::nn::norm::{
    BatchNormConfig, GroupNormConfig, InstanceNormConfig, Normalization, NormalizationConfig,
};
use burn::tensor::{FloatDType, Tensor, TensorPrimitive, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{Activation, fused};

/// Which normalisation follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Norm {
    /// Batch normalisation with running statistics (used as they are at inference).
    Batch {
        /// Added to the variance.
        epsilon: f64,
    },
    /// Every channel of every image on its own.
    Instance {
        /// Added to the variance.
        epsilon: f64,
        /// Whether a learned scale and shift follow.
        affine: bool,
    },
    /// Groups of channels of every image.
    Group {
        /// Number of groups; divides the number of channels.
        groups: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// No normalisation.
    None,
}

impl Norm {
    /// The layer for `channels` channels, or nothing for [`Norm::None`].
    pub(crate) fn init<B: Backend>(
        self,
        channels: usize,
        device: &B::Device,
    ) -> Option<Normalization<B>> {
        let config: NormalizationConfig = match self {
            Self::Batch { epsilon } => BatchNormConfig::new(channels).with_epsilon(epsilon).into(),
            Self::Instance { epsilon, affine } => InstanceNormConfig::new(channels)
                .with_epsilon(epsilon)
                .with_affine(affine)
                .into(),
            Self::Group { groups, epsilon } => GroupNormConfig::new(groups, channels)
                .with_epsilon(epsilon)
                .into(),
            Self::None => return None,
        };
        Some(config.init(device))
    }
}

/// Any other normalisation, then an activation if there is one; its sums over whole maps are f32's.
pub(crate) fn normalise<B: Backend>(
    norm: &Normalization<B>,
    mut input: Tensor<B, 4>,
    activation: Option<Activation>,
) -> Tensor<B, 4> {
    let groups = match norm {
        Normalization::Group(norm) => {
            Some((norm.num_groups, norm.epsilon, &norm.gamma, &norm.beta))
        }
        Normalization::Instance(norm) => {
            Some((norm.num_channels, norm.epsilon, &norm.gamma, &norm.beta))
        }
        _ => None,
    };
    if let Some((groups, epsilon, gamma, beta)) = groups {
        let primitive = |param: &Param<Tensor<B, 1>>| param.val().into_primitive().tensor();
        let affine = match (gamma, beta) {
            (Some(gamma), Some(beta)) => Some([primitive(gamma), primitive(beta)]),
            _ => None,
        };
        let affine = affine.as_ref().map(|[scale, shift]| [scale, shift]);
        let map = input.into_primitive().tensor();
        match fused::group_norm::<B>(map, groups, epsilon, affine, activation) {
            Ok(output) => return Tensor::from_primitive(TensorPrimitive::Float(output)),
            Err(map) => input = Tensor::from_primitive(TensorPrimitive::Float(map)),
        }
    }
    let dtype: FloatDType = input.dtype().into();
    let normalised = norm.forward(input.cast(FloatDType::F32)).cast(dtype);
    fused::activated(normalised, activation)
}
