//! The networks behind one type, so that ensembles, files and devices need not tell them apart.

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::{ConfigError, ResNet, ResNetConfig, UNet, UNetConfig};

/// Which network a member is, with its parameters. Serialises as `{"unet": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// See [`UNet`].
    UNet(UNetConfig),
    /// See [`ResNet`].
    ResNet(ResNetConfig),
}

impl Architecture {
    /// Lower-case family name: `unet` or `resnet`.
    pub fn family(&self) -> &'static str {
        match self {
            Self::UNet(_) => "unet",
            Self::ResNet(_) => "resnet",
        }
    }

    /// Channels an input image must have.
    pub fn in_channels(&self) -> usize {
        match self {
            Self::UNet(config) => config.in_channels,
            Self::ResNet(config) => config.in_channels,
        }
    }

    /// Classes, keypoints or values in the output.
    pub fn outputs(&self) -> usize {
        match self {
            Self::UNet(config) => config.out_channels,
            Self::ResNet(config) => config.outputs,
        }
    }

    /// Whether the output is a map `[N, C, H, W]` rather than a vector `[N, D]`.
    pub fn is_spatial(&self) -> bool {
        matches!(self, Self::UNet(_))
    }

    /// Height and width of an input must be multiples of this.
    pub fn size_divisor(&self) -> usize {
        match self {
            Self::UNet(config) => config.size_divisor(),
            Self::ResNet(_) => 1,
        }
    }

    /// Checks the configuration without building anything.
    ///
    /// # Errors
    /// When sizes are out of range or contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::UNet(config) => config.validate(),
            Self::ResNet(config) => config.validate(),
        }
    }

    /// Builds one member with fresh random weights.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<Network<B>, ConfigError> {
        Ok(match self {
            Self::UNet(config) => Network::UNet(config.init(device)?),
            Self::ResNet(config) => Network::ResNet(config.init(device)?),
        })
    }
}

/// One ensemble member.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // A handful of members live in one vector; size is irrelevant.
pub enum Network<B: Backend> {
    /// Spatial output.
    UNet(UNet<B>),
    /// Vector output.
    ResNet(ResNet<B>),
}

impl<B: Backend> Network<B> {
    /// Runs the member on an image `[N, C, H, W]`.
    pub fn forward(&self, image: Tensor<B, 4>) -> MemberOutput<B> {
        match self {
            Self::UNet(network) => MemberOutput::Spatial(network.forward(image)),
            Self::ResNet(network) => MemberOutput::Vector(network.forward(image)),
        }
    }
}

/// What one member answers.
#[derive(Clone, Debug)]
pub enum MemberOutput<B: Backend> {
    /// Logits or heat maps `[N, C, H, W]`.
    Spatial(Tensor<B, 4>),
    /// Class logits or values `[N, D]`.
    Vector(Tensor<B, 2>),
}
