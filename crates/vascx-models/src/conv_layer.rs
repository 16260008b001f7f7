//! The layer that most networks repeat: convolution → norm → activation.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::norm::Normalization;
use burn::tensor::{Tensor, backend::Backend};

use crate::fused::{
    FusedConvolution, Packed, activated, convolve_expanded, convolve_scaled, scaled, sum,
};
use crate::norm::normalise;
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

    pub(crate) fn init<B: Backend>(self, device: &B::Device) -> ConvLayer<B> {
        ConvLayer {
            conv: padded_conv(self.inputs, self.outputs, self.kernel_size, self.stride)
                .with_groups(self.groups)
                .with_bias(self.bias)
                .init(device),
            norm: self.norm.init(self.outputs, device),
            activation: self.activation,
            packed: Packed::default(),
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
    #[module(skip)]
    packed: Packed,
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
        let (layer, norm) = self.parts();
        let Some(norm) = norm else {
            return layer.forward_onto(inputs, residual);
        };
        let features = layer.forward(inputs);
        match residual {
            None => normalise(norm, features, self.activation),
            Some(residual) => {
                let sum = sum(normalise(norm, features, None), residual);
                activated(sum, self.activation)
            }
        }
    }

    /// Of what another layer makes of the input; quicker than one after the other where this one is
    /// depthwise and the other expands single pixels. Then there may also be the means of the result's
    /// channels `[N, C, 1, 1]`, if they are asked for.
    pub(crate) fn forward_expanded(
        &self,
        expansion: &Self,
        input: Tensor<B, 4>,
        averaged: bool,
    ) -> (Tensor<B, 4>, Option<Tensor<B, 4>>) {
        if let ((expansion, None), (layer, None)) = (expansion.parts(), self.parts()) {
            return convolve_expanded(&expansion, &layer, input, averaged);
        }
        (self.forward(vec![expansion.forward(vec![input])]), None)
    }

    /// Of a map whose channels are first multiplied by factors `[N, C, 1, 1]`.
    pub(crate) fn forward_scaled(
        &self,
        map: Tensor<B, 4>,
        factors: Tensor<B, 4>,
        residual: Option<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        match self.parts() {
            (layer, None) => convolve_scaled(&layer, map, factors, residual),
            _ => self.forward_onto(vec![scaled(map, factors)], residual),
        }
    }

    /// The convolution with all that can be one with it, and the norm, followed by the activation, that
    /// cannot: only a batch norm can be folded into weights.
    fn parts(&self) -> (FusedConvolution<'_, B>, Option<&Normalization<B>>) {
        let bare = FusedConvolution::bare(&self.packed, &self.conv);
        let norm = match &self.norm {
            None => None,
            Some(Normalization::Batch(norm)) => Some(norm),
            Some(norm) => return (bare, Some(norm)),
        };
        let layer = FusedConvolution {
            norm,
            activation: self.activation,
            ..bare
        };
        (layer, None)
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
