//! ConvNeXt: Liu et al., "A ConvNet for the 2020s" (CVPR 2022, <https://arxiv.org/abs/2201.03545>),
//! in torchvision's arrangement. Stochastic depth, which regularises training, is left out.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::{Arg, Graph};

use crate::conv_layer::ConvLayerConfig;
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, MAX_LAYERS, are_sizes};

/// Added to the variance by every layer norm.
const EPSILON: f64 = 1e-6;

/// Configuration of a [`ConvNeXt`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvNeXtConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes of a classifier, values of a regressor.
    pub outputs: usize,
    /// Channels of the four stages, highest resolution first.
    pub widths: [usize; 4],
    /// Blocks of the four stages.
    pub blocks: [usize; 4],
}

impl ConvNeXtConfig {
    /// The image must have at least this height and width.
    pub const MIN_SIDE: usize = 32;

    /// The published tiny network with `outputs` class logits or regressed values.
    pub fn tiny(in_channels: usize, outputs: usize) -> Self {
        Self::published(96, 9, in_channels, outputs)
    }

    /// The published small network.
    pub fn small(in_channels: usize, outputs: usize) -> Self {
        Self::published(96, 27, in_channels, outputs)
    }

    /// The published base network.
    pub fn base(in_channels: usize, outputs: usize) -> Self {
        Self::published(128, 27, in_channels, outputs)
    }

    /// The published large network.
    pub fn large(in_channels: usize, outputs: usize) -> Self {
        Self::published(192, 27, in_channels, outputs)
    }

    fn published(width: usize, deepest: usize, in_channels: usize, outputs: usize) -> Self {
        Self {
            in_channels,
            outputs,
            widths: [width, 2 * width, 4 * width, 8 * width],
            blocks: [3, 3, deepest, 3],
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless("convnext");
        let sizes = [self.in_channels, self.outputs]
            .into_iter()
            .chain(self.widths);
        // A block widens its channels fourfold.
        let sizes = sizes.map(|size| size.saturating_mul(4));
        check(
            are_sizes(sizes),
            "channels, outputs and widths must be 1 to 16384",
        )?;
        let few = self.blocks.iter().all(|&blocks| blocks <= MAX_LAYERS);
        check(few, "must have fewer than 1000 blocks in a stage")
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or too large.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ConvNeXt<B>, ConfigError> {
        self.validate()?;
        let norm = |width| {
            LayerNormConfig::new(width)
                .with_epsilon(EPSILON)
                .init(device)
        };
        let mut features = Vec::with_capacity(8);
        for stage in 0..4 {
            let width = self.widths[stage];
            features.push(if stage == 0 {
                Part::Stem(Stem {
                    conv: patches(self.in_channels, width, 4, device),
                    norm: norm(width),
                })
            } else {
                let inputs = self.widths[stage - 1];
                Part::Reduce(Reduce {
                    norm: norm(inputs),
                    conv: patches(inputs, width, 2, device),
                })
            });
            let blocks = (0..self.blocks[stage]).map(|_| Block {
                depthwise: Conv2dConfig::new([width, width], [7, 7])
                    .with_groups(width)
                    .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
                    .init(device),
                norm: norm(width),
                expand: LinearConfig::new(width, 4 * width).init(device),
                project: LinearConfig::new(4 * width, width).init(device),
                layer_scale: Param::from_tensor(Tensor::full([width, 1, 1], 1e-6, device)),
            });
            features.push(Part::Stage(blocks.collect()));
        }
        Ok(ConvNeXt {
            features,
            norm: norm(self.widths[3]),
            classifier: LinearConfig::new(self.widths[3], self.outputs).init(device),
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, Self::MIN_SIDE)?;
        let mut map = GraphWriter::IMAGE;
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            let name = format!("features.{}", 2 * stage);
            let side = if stage == 0 { 4 } else { 2 };
            let patches = ConvLayerConfig {
                kernel_size: side,
                stride: side,
                bias: true,
                ..ConvLayerConfig::new(net.channels(map), width)
            };
            if stage > 0 {
                map = write_norm(&mut net, &format!("{name}.norm"), map)?;
            }
            map = net.conv(&format!("{name}.conv"), map, &patches)?;
            if stage == 0 {
                map = write_norm(&mut net, &format!("{name}.norm"), map)?;
            }
            for block in 0..blocks {
                let name = format!("features.{}.{block}", 2 * stage + 1);
                map = write_block(&mut net, &name, map)?;
            }
        }
        let width = self.widths[3];
        let means = net.channel_means(map)?;
        let means = net.layer_norm("norm", means, width, EPSILON)?;
        let answer = net.linear("classifier", means, width, self.outputs)?;
        net.finish(answer, 1)
    }
}

const LAST: [usize; 4] = [0, 2, 3, 1];
const FIRST: [usize; 4] = [0, 3, 1, 2];

fn write_norm(net: &mut GraphWriter, name: &str, map: Arg) -> Written {
    let channels = net.channels(map);
    let last = net.permuted(map, LAST)?;
    let normalised = net.layer_norm(name, last, channels, EPSILON)?;
    net.permuted(normalised, FIRST)
}

fn write_block(net: &mut GraphWriter, name: &str, input: Arg) -> Written {
    let width = net.channels(input);
    let depthwise = ConvLayerConfig {
        kernel_size: 7,
        groups: width,
        bias: true,
        ..ConvLayerConfig::new(width, width)
    };
    let mixed = net.conv(&format!("{name}.depthwise"), input, &depthwise)?;
    let mixed = net.permuted(mixed, LAST)?;
    let normalised = net.layer_norm(&format!("{name}.norm"), mixed, width, EPSILON)?;
    let expanded = net.linear(&format!("{name}.expand"), normalised, width, 4 * width)?;
    let expanded = net.activation(expanded, Activation::Gelu)?;
    let projected = net.linear(&format!("{name}.project"), expanded, 4 * width, width)?;
    let projected = net.permuted(projected, FIRST)?;
    let factors = net.parameter(name, "layer_scale", &[width, 1, 1])?;
    let scaled = net.scaled(projected, factors)?;
    net.sum(scaled, input)
}

/// A convolution of squares that touch but do not overlap.
fn patches<B: Backend>(
    inputs: usize,
    outputs: usize,
    side: usize,
    device: &B::Device,
) -> Conv2d<B> {
    Conv2dConfig::new([inputs, outputs], [side, side])
        .with_stride([side, side])
        .init(device)
}

/// ConvNeXt, input `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
#[derive(Module, Debug)]
pub struct ConvNeXt<B: Backend> {
    features: Vec<Part<B>>,
    norm: LayerNorm<B>,
    classifier: Linear<B>,
}

impl<B: Backend> ConvNeXt<B> {
    /// Logits or values `[N, outputs]` of an image `[N, in_channels, H, W]`; H and W must be at
    /// least [`ConvNeXtConfig::MIN_SIDE`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 2> {
        let parts = self.features.iter();
        let features = parts.fold(image, |features, part| part.forward(features));
        let means = features.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
        self.classifier.forward(self.norm.forward(means))
    }
}

#[derive(Module, Debug)]
enum Part<B: Backend> {
    Stem(Stem<B>),
    Stage(Vec<Block<B>>),
    Reduce(Reduce<B>),
}

/// Squares of 4 × 4 pixels become vectors.
#[derive(Module, Debug)]
struct Stem<B: Backend> {
    conv: Conv2d<B>,
    norm: LayerNorm<B>,
}

/// Halves the resolution between stages.
#[derive(Module, Debug)]
struct Reduce<B: Backend> {
    norm: LayerNorm<B>,
    conv: Conv2d<B>,
}

impl<B: Backend> Part<B> {
    fn forward(&self, features: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Stem(stem) => normalised(&stem.norm, stem.conv.forward(features)),
            Self::Stage(blocks) => blocks
                .iter()
                .fold(features, |features, block| block.forward(features)),
            Self::Reduce(reduce) => reduce.conv.forward(normalised(&reduce.norm, features)),
        }
    }
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    depthwise: Conv2d<B>,
    norm: LayerNorm<B>,
    expand: Linear<B>,
    project: Linear<B>,
    /// Factor per channel `[C, 1, 1]`.
    layer_scale: Param<Tensor<B, 3>>,
}

impl<B: Backend> Block<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let mixed = channels_last(self.depthwise.forward(input.clone()));
        let expanded = self.expand.forward(self.norm.forward(mixed));
        let projected = self.project.forward(Activation::Gelu.forward(expanded));
        channels_first(projected) * self.layer_scale.val().unsqueeze() + input
    }
}

fn normalised<B: Backend>(norm: &LayerNorm<B>, features: Tensor<B, 4>) -> Tensor<B, 4> {
    channels_first(norm.forward(channels_last(features)))
}

fn channels_last<B: Backend>(features: Tensor<B, 4>) -> Tensor<B, 4> {
    features.permute([0, 2, 3, 1])
}

fn channels_first<B: Backend>(features: Tensor<B, 4>) -> Tensor<B, 4> {
    features.permute([0, 3, 1, 2])
}
