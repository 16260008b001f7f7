//! Normalisation layers, as configuration data.

use burn::nn::norm::{
    BatchNormConfig, GroupNormConfig, InstanceNormConfig, Normalization, NormalizationConfig,
};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

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
    /// Whether layers of so many channels can have it.
    pub(crate) fn divides(self, mut channels: impl Iterator<Item = usize>) -> bool {
        match self {
            Self::Group { groups, .. } => groups > 0 && channels.all(|count| count % groups == 0),
            _ => true,
        }
    }

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
