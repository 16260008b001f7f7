//! The block of mobile networks: expand, convolve depthwise, squeeze and excite, project. Sandler
//! et al., "MobileNetV2" (CVPR 2018, <https://arxiv.org/abs/1801.04381>).

use burn::module::Module;
use burn::tensor::{Tensor, backend::Backend};

use crate::conv_layer::{ConvLayer, ConvLayerConfig};
use crate::fused::global_average;
use crate::squeeze_excitation::SqueezeExcitation;
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

impl InvertedResidualConfig {
    pub(crate) fn init<B: Backend>(self, device: &B::Device) -> InvertedResidual<B> {
        let pointwise = |inputs, outputs, activation| ConvLayerConfig {
            kernel_size: 1,
            norm: Norm::Batch {
                epsilon: self.epsilon,
            },
            activation,
            ..ConvLayerConfig::new(inputs, outputs)
        };
        let activation = Some(self.activation);
        let mut block = Vec::with_capacity(4);
        if self.expanded != self.inputs {
            let expand = pointwise(self.inputs, self.expanded, activation);
            block.push(Stage::Conv(expand.init(device)));
        }
        let depthwise = ConvLayerConfig {
            kernel_size: self.kernel_size,
            stride: self.stride,
            groups: self.expanded,
            ..pointwise(self.expanded, self.expanded, activation)
        };
        block.push(Stage::Conv(depthwise.init(device)));
        if let Some(squeezed) = self.squeezed {
            let activations = self.squeeze_activations;
            let squeeze = SqueezeExcitation::new(self.expanded, squeezed, activations, device);
            block.push(Stage::Squeeze(squeeze));
        }
        let project = pointwise(self.expanded, self.outputs, None);
        block.push(Stage::Conv(project.init(device)));
        InvertedResidual {
            block,
            shortcut: self.stride == 1 && self.inputs == self.outputs,
        }
    }
}

#[derive(Module, Debug)]
pub(crate) struct InvertedResidual<B: Backend> {
    block: Vec<Stage<B>>,
    shortcut: bool,
}

impl<B: Backend> InvertedResidual<B> {
    pub(crate) fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = self.shortcut.then(|| input.clone());
        let (features, means, rest) = match self.block.as_slice() {
            [Stage::Conv(expand), Stage::Conv(depthwise), rest @ ..] if !rest.is_empty() => {
                let squeezed = matches!(rest, [Stage::Squeeze(_), ..]);
                let (features, means) = depthwise.forward_expanded(expand, input, squeezed);
                (features, means, rest)
            }
            [Stage::Conv(depthwise), rest @ ..] => (depthwise.forward(vec![input]), None, rest),
            _ => unreachable!("a block begins with a convolution"),
        };
        match rest {
            [Stage::Squeeze(squeeze), Stage::Conv(project)] => {
                let means = means.unwrap_or_else(|| global_average(features.clone()));
                project.forward_scaled(features, squeeze.gates(means), shortcut)
            }
            [Stage::Conv(project)] => project.forward_onto(vec![features], shortcut),
            _ => unreachable!("a block ends with its projection"),
        }
    }
}

#[derive(Module, Debug)]
enum Stage<B: Backend> {
    Conv(ConvLayer<B>),
    Squeeze(SqueezeExcitation<B>),
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
    /// Convolution, batch norm and activation, as networks begin and end; from and to `channels`.
    pub(crate) fn layer(
        [inputs, outputs]: [usize; 2],
        kernel_size: usize,
        stride: usize,
        activation: Activation,
        epsilon: f64,
        device: &B::Device,
    ) -> Self {
        let layer = ConvLayerConfig {
            kernel_size,
            stride,
            norm: Norm::Batch { epsilon },
            activation: Some(activation),
            ..ConvLayerConfig::new(inputs, outputs)
        };
        Self::Layer(layer.init(device))
    }

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
