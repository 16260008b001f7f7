//! ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016,
//! <https://arxiv.org/abs/1512.03385>), in torchvision's arrangement (stride in the 3 × 3
//! convolution of a bottleneck).

mod encoder;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

pub(crate) use encoder::{ResNetEncoder, ResNetEncoderConfig};

use crate::writer::{GraphWriter, Written};
use crate::{ConfigError, are_sizes};
use vascx_graph::Graph;

/// Published depths of a [`ResNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum ResNetDepth {
    /// Basic blocks, 2-2-2-2.
    D18,
    /// Basic blocks, 3-4-6-3.
    D34,
    /// Bottleneck blocks, 3-4-6-3.
    D50,
    /// Bottleneck blocks, 3-4-23-3.
    D101,
    /// Bottleneck blocks, 3-8-36-3.
    D152,
}

impl ResNetDepth {
    /// Every supported depth.
    pub const ALL: [Self; 5] = [Self::D18, Self::D34, Self::D50, Self::D101, Self::D152];

    /// Blocks in each of the four stages.
    pub fn blocks_per_stage(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
            Self::D101 => [3, 4, 23, 3],
            Self::D152 => [3, 8, 36, 3],
        }
    }

    /// Whether blocks are bottlenecks (1 × 1, 3 × 3, 1 × 1) that quadruple the width.
    pub fn has_bottlenecks(self) -> bool {
        !matches!(self, Self::D18 | Self::D34)
    }

    fn expansion(self) -> usize {
        if self.has_bottlenecks() { 4 } else { 1 }
    }
}

impl From<ResNetDepth> for u16 {
    fn from(depth: ResNetDepth) -> Self {
        match depth {
            ResNetDepth::D18 => 18,
            ResNetDepth::D34 => 34,
            ResNetDepth::D50 => 50,
            ResNetDepth::D101 => 101,
            ResNetDepth::D152 => 152,
        }
    }
}

impl TryFrom<u16> for ResNetDepth {
    type Error = ConfigError;

    fn try_from(depth: u16) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|&known| u16::from(known) == depth)
            .ok_or_else(|| ConfigError::new("resnet", "`depth` must be 18, 34, 50, 101 or 152"))
    }
}

/// Configuration of a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// 18, 34, 50, 101 or 152.
    pub depth: ResNetDepth,
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes of a classifier, values of a regressor.
    pub outputs: usize,
    /// Channels after the stem; 64 in the published networks.
    pub width: usize,
    /// Added to the variance by batch normalisation.
    pub epsilon: f64,
}

impl ResNetConfig {
    /// The published network of this depth with `outputs` class logits or regressed values.
    pub fn new(depth: ResNetDepth, in_channels: usize, outputs: usize) -> Self {
        Self {
            depth,
            in_channels,
            outputs,
            width: 64,
            epsilon: 1e-5,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let sizes = are_sizes([self.in_channels, self.outputs, self.width]);
        ConfigError::unless("resnet")(sizes, "channels, outputs and width must be 1 to 65536")
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When a size is zero.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ResNet<B>, ConfigError> {
        self.validate()?;
        Ok(ResNet {
            encoder: self.stem_and_stages().init(device),
            fc: LinearConfig::new(self.stem_and_stages().channels()[4], self.outputs).init(device),
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let encoder = self.stem_and_stages();
        let mut net = GraphWriter::new(self.in_channels, 32)?;
        let image = GraphWriter::IMAGE;
        let [.., features] = encoder.write(&mut net, "encoder", image)?;
        let means = net.channel_means(features)?;
        let answer = net.linear("fc", means, encoder.channels()[4], self.outputs)?;
        net.finish(answer, 1)
    }

    fn stem_and_stages(&self) -> ResNetEncoderConfig {
        ResNetEncoderConfig {
            depth: self.depth,
            in_channels: self.in_channels,
            width: self.width,
            epsilon: self.epsilon,
        }
    }
}

/// ResNet, input `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
#[derive(Module, Debug)]
pub struct ResNet<B: Backend> {
    encoder: ResNetEncoder<B>,
    fc: Linear<B>,
}

impl<B: Backend> ResNet<B> {
    /// Logits or values `[N, outputs]` of an image `[N, in_channels, H, W]` of at least 1 × 1.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 2> {
        let [.., features] = self.encoder.pyramid(image);
        self.fc
            .forward(features.mean_dim(3).mean_dim(2).flatten(1, 3))
    }
}
