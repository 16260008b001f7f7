//! The block of mobile networks: expand, convolve depthwise, squeeze and excite, project. Sandler
//! et al., "MobileNetV2" (CVPR 2018, <https://arxiv.org/abs/1801.04381>).

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};
use vascx_graph::Arg;

use crate::conv_layer::{ConvLayer, ConvLayerConfig};
use crate::squeeze_excitation::{SqueezeExcitation, SqueezeExcitationConfig};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, Norm};

/// What [`InvertedResidual`] is built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvertedResidualConfig {
    pub(crate) inputs: usize,
    /// Channels of the depthwise convolution; the expansion is left out where they are `inputs`.
    pub(crate) expanded: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel_size: usize,
    pub(crate) stride: usize,
    /// Channels between the two layers of the squeeze-and-excitation, if there is one.
    pub(crate) squeezed: Option<usize>,
    /// Of the squeeze-and-excitation: after its first layer, and its gate.
    pub(crate) squeeze_activations: [Activation; 2],
    pub(crate) activation: Activation,
    /// Added to the variance by batch normalisation.
    pub(crate) epsilon: f64,
}

/// A part of a block, as configuration data.
enum StageConfig {
    Conv(ConvLayerConfig),
    Squeeze(SqueezeExcitationConfig),
}

impl InvertedResidualConfig {
    fn stages(self) -> Vec<StageConfig> {
        let epsilon = self.epsilon;
        let pointwise = |inputs, outputs, activation| ConvLayerConfig {
            kernel_size: 1,
            norm: Norm::Batch { epsilon },
            activation,
            ..ConvLayerConfig::new(inputs, outputs)
        };
        let activation = Some(self.activation);
        let mut stages = Vec::with_capacity(4);
        if self.expanded != self.inputs {
            let expand = pointwise(self.inputs, self.expanded, activation);
            stages.push(StageConfig::Conv(expand));
        }
        stages.push(StageConfig::Conv(ConvLayerConfig {
            kernel_size: self.kernel_size,
            stride: self.stride,
            groups: self.expanded,
            ..pointwise(self.expanded, self.expanded, activation)
        }));
        if let Some(squeezed) = self.squeezed {
            stages.push(StageConfig::Squeeze(SqueezeExcitationConfig {
                channels: self.expanded,
                squeezed,
                activations: self.squeeze_activations,
            }));
        }
        let project = pointwise(self.expanded, self.outputs, None);
        stages.push(StageConfig::Conv(project));
        stages
    }

    fn has_shortcut(self) -> bool {
        self.stride == 1 && self.inputs == self.outputs
    }

    pub(crate) fn init<B: Backend>(self, device: &B::Device) -> InvertedResidual<B> {
        let stages = self.stages().into_iter().map(|stage| match stage {
            StageConfig::Conv(layer) => Stage::Conv(layer.init(device)),
            StageConfig::Squeeze(squeeze) => Stage::Squeeze(squeeze.init(device)),
        });
        InvertedResidual {
            block: stages.collect(),
            shortcut: self.has_shortcut(),
        }
    }

    pub(crate) fn write(self, net: &mut GraphWriter, name: &str, input: Arg) -> Written {
        let mut map = input;
        for (index, stage) in self.stages().into_iter().enumerate() {
            let name = format!("{name}.block.{index}");
            map = match stage {
                StageConfig::Conv(layer) => net.conv_layer(&name, &[map], &layer, None)?,
                StageConfig::Squeeze(squeeze) => squeeze.write(net, &name, map)?,
            };
        }
        if self.has_shortcut() {
            map = net.sum(map, input)?;
        }
        Ok(map)
    }
}

#[derive(Module, Debug)]
pub(crate) struct InvertedResidual<B: Backend> {
    block: Vec<Stage<B>>,
    shortcut: bool,
}

impl<B: Backend> InvertedResidual<B> {
    pub(crate) fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let stages = self.block.iter();
        let features = stages.fold(input.clone(), |features, stage| match stage {
            Stage::Conv(layer) => layer.forward(vec![features]),
            Stage::Squeeze(squeeze) => squeeze.forward(features),
        });
        if self.shortcut {
            features + input
        } else {
            features
        }
    }
}

#[derive(Module, Debug)]
enum Stage<B: Backend> {
    Conv(ConvLayer<B>),
    Squeeze(SqueezeExcitation<B>),
}

/// A part of a mobile network, as configuration data.
pub(crate) enum FeatureConfig {
    Layer(ConvLayerConfig),
    Block(InvertedResidualConfig),
    Stage(Vec<InvertedResidualConfig>),
}

impl FeatureConfig {
    /// Convolution, batch norm and activation, as networks begin and end; from and to `channels`.
    pub(crate) fn layer(
        [inputs, outputs]: [usize; 2],
        kernel_size: usize,
        stride: usize,
        activation: Activation,
        epsilon: f64,
    ) -> Self {
        Self::Layer(ConvLayerConfig {
            kernel_size,
            stride,
            norm: Norm::Batch { epsilon },
            activation: Some(activation),
            ..ConvLayerConfig::new(inputs, outputs)
        })
    }

    pub(crate) fn init<B: Backend>(&self, device: &B::Device) -> Feature<B> {
        match self {
            Self::Layer(layer) => Feature::Layer(layer.init(device)),
            Self::Block(block) => Feature::Block(block.init(device)),
            Self::Stage(blocks) => {
                Feature::Stage(blocks.iter().map(|block| block.init(device)).collect())
            }
        }
    }

    pub(crate) fn write(&self, net: &mut GraphWriter, name: &str, map: Arg) -> Written {
        match self {
            Self::Layer(layer) => net.conv_layer(name, &[map], layer, None),
            Self::Block(block) => block.write(net, name, map),
            Self::Stage(blocks) => {
                let mut blocks = blocks.iter().enumerate();
                blocks.try_fold(map, |map, (index, block)| {
                    block.write(net, &format!("{name}.{index}"), map)
                })
            }
        }
    }
}

/// A part of a mobile network, numbered as torchvision numbers them.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // A network has a dozen of them.
pub(crate) enum Feature<B: Backend> {
    Layer(ConvLayer<B>),
    Block(InvertedResidual<B>),
    Stage(Vec<InvertedResidual<B>>),
}

impl<B: Backend> Feature<B> {
    pub(crate) fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Layer(layer) => layer.forward(vec![input]),
            Self::Block(block) => block.forward(input),
            Self::Stage(blocks) => blocks
                .iter()
                .fold(input, |features, block| block.forward(features)),
        }
    }
}

/// The features of an image, as the means of their channels `[N, C]`.
pub(crate) fn run_features<B: Backend>(
    features: &[Feature<B>],
    image: Tensor<B, 4>,
) -> Tensor<B, 2> {
    let map = features
        .iter()
        .fold(image, |map, feature| feature.forward(map));
    map.mean_dim(3).mean_dim(2).flatten(1, 3)
}

/// The same in a graph.
pub(crate) fn write_features(net: &mut GraphWriter, features: &[FeatureConfig]) -> Written {
    let mut map = GraphWriter::IMAGE;
    for (index, feature) in features.iter().enumerate() {
        map = feature.write(net, &format!("features.{index}"), map)?;
    }
    net.channel_means(map)
}
