//! The layer that most networks repeat: convolution → norm → activation.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::norm::Normalization;
use burn::tensor::{Tensor, backend::Backend};

use crate::{Activation, Norm};

/// A square convolution padded as all the networks here are: `(kernel − stride + 1) / 2`, which
/// divides height and width by the stride, rounding up where the kernel is larger than the stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvLayerConfig {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel_size: usize,
    pub(crate) stride: usize,
    /// 1, or `inputs` for a depthwise convolution.
    pub(crate) groups: usize,
    pub(crate) bias: bool,
    pub(crate) norm: Norm,
    pub(crate) activation: Option<Activation>,
}

impl ConvLayerConfig {
    /// A dense 3 × 3 convolution of stride 1 without bias, norm or activation.
    pub(crate) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel_size: 3,
            stride: 1,
            groups: 1,
            bias: false,
            norm: Norm::None,
            activation: None,
        }
    }

    /// The convolution alone.
    pub(crate) fn init_conv<B: Backend>(&self, device: &B::Device) -> Conv2d<B> {
        padded_conv(self.inputs, self.outputs, self.kernel_size, self.stride)
            .with_groups(self.groups)
            .with_bias(self.bias)
            .init(device)
    }

    pub(crate) fn init<B: Backend>(self, device: &B::Device) -> ConvLayer<B> {
        ConvLayer {
            conv: self.init_conv(device),
            norm: self.norm.init(self.outputs, device),
            activation: self.activation,
        }
    }
}

/// Convolution → norm → activation, the last two where there are any.
#[derive(Module, Debug)]
pub(crate) struct ConvLayer<B: Backend> {
    conv: Conv2d<B>,
    norm: Option<Normalization<B>>,
    #[module(skip)]
    activation: Option<Activation>,
}

impl<B: Backend> ConvLayer<B> {
    /// Of the inputs concatenated along the channels.
    pub(crate) fn forward(&self, inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        self.forward_onto(inputs, None)
    }

    /// The same with a residual that is added before the activation.
    pub(crate) fn forward_onto(
        &self,
        inputs: Vec<Tensor<B, 4>>,
        residual: Option<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        let mut features = self.conv.forward(Tensor::cat(inputs, 1));
        if let Some(norm) = &self.norm {
            features = norm.forward(features);
        }
        if let Some(residual) = residual {
            features = features + residual;
        }
        match self.activation {
            Some(activation) => activation.forward(features),
            None => features,
        }
    }
}

/// A convolution that divides height and width by its stride.
pub(crate) fn padded_conv(
    inputs: usize,
    outputs: usize,
    kernel_size: usize,
    stride: usize,
) -> Conv2dConfig {
    let padding = (kernel_size + 1).saturating_sub(stride) / 2;
    Conv2dConfig::new([inputs, outputs], [kernel_size, kernel_size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(
            padding, padding, padding, padding,
        ))
}
