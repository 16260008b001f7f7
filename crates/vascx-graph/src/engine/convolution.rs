//! Convolutions with what stands around them.

use burn::module::Param;
use burn::nn::BatchNorm;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::MaxPool2d;
use burn::tensor::{FloatDType, Tensor, backend::Backend};

use super::{cpu, cuda, is_filled_up, max_pool, scaled};
use crate::{Activation, work};

/// A layer's weights as kernels want them, from the first call on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    pub(super) cpu: cpu::Packed,
    pub(super) cuda: cuda::Packed,
}

/// A convolution with its norm and activation, where it has them, and its weights as kernels want
/// them.
pub(crate) struct FusedConvolution<'a, B: Backend> {
    pub(crate) packed: &'a Packed,
    pub(crate) conv: &'a Conv2d<B>,
    pub(crate) norm: Option<&'a BatchNorm<B>>,
    pub(crate) activation: Option<Activation>,
}

impl<B: Backend> FusedConvolution<'_, B> {
    /// Without norm and activation.
    #[cfg(test)]
    pub(crate) fn bare<'a>(packed: &'a Packed, conv: &'a Conv2d<B>) -> FusedConvolution<'a, B> {
        FusedConvolution {
            packed,
            conv,
            norm: None,
            activation: None,
        }
    }

    /// Of the inputs concatenated along the channels, or of an image as [`laid_out`](super::laid_out)
    /// gives it.
    pub(crate) fn forward(&self, inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        self.forward_onto(inputs, None)
    }

    /// The same with a residual that is added before the activation, broadcast if need be.
    pub(crate) fn forward_onto(
        &self,
        inputs: Vec<Tensor<B, 4>>,
        mut residual: Option<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        let conv = self.conv;
        let [_, depth, height, width] = conv.weight.dims();
        let count = |output: &Tensor<B, 4>| {
            work::note(output.shape().num_elements(), depth * height * width);
        };
        if let Some(output) = cpu::convolve(self, &inputs, &mut residual) {
            count(&output);
            return output;
        }
        if let Some(output) = cuda::convolve(self, &inputs, residual.as_ref()) {
            count(&output);
            return output;
        }
        let mut input = concatenate(inputs);
        if is_filled_up(&input, depth * conv.groups) {
            input = input.narrow(1, 0, depth * conv.groups);
        }
        let mut output = match self.norm {
            Some(norm) if B::ad_enabled(&input.device()) => norm.forward(conv.forward(input)),
            Some(norm) => folded(conv, norm, input.dtype().into()).forward(input),
            None => conv.forward(input),
        };
        count(&output);
        if let Some(residual) = residual {
            output = output + residual;
        }
        activated(output, self.activation)
    }
}

/// A depthwise convolution of what a 1 × 1 convolution expands. Where there is a kernel for both, the
/// expanded map, which is large, is never whole in memory; then the means of the result's channels
/// `[N, C, 1, 1]`, if they are asked for, are taken on the way.
pub(crate) fn convolve_expanded<B: Backend>(
    expansion: &FusedConvolution<B>,
    layer: &FusedConvolution<B>,
    input: Tensor<B, 4>,
    averaged: bool,
) -> (Tensor<B, 4>, Option<Tensor<B, 4>>) {
    if let Some((output, averages)) = cpu::convolve_expanded(expansion, layer, &input, averaged) {
        let [images, inputs, height, width] = input.dims();
        let [expanded, _, rows, columns] = layer.conv.weight.dims();
        work::note(images * expanded * height * width, inputs);
        work::note(output.shape().num_elements(), rows * columns);
        return (output, averages);
    }
    (layer.forward(vec![expansion.forward(vec![input])]), None)
}

/// Max-pooling of a convolution. Where there is a kernel for both, the convolution's map, which is larger,
/// is never whole in memory.
pub(crate) fn convolve_pooled<B: Backend>(
    layer: &FusedConvolution<B>,
    pool: &MaxPool2d,
    input: Tensor<B, 4>,
) -> Tensor<B, 4> {
    if let Some((output, results)) = cpu::convolve_pooled(layer, pool, &input) {
        let [_, depth, height, width] = layer.conv.weight.dims();
        work::note(results, depth * height * width);
        return output;
    }
    max_pool(pool, layer.forward(vec![input]))
}

/// A convolution of a map whose channels are first multiplied by factors `[N, C, 1, 1]`, with a
/// residual that is added before the activation. Where there is a kernel for it, the weights are
/// multiplied instead.
pub(crate) fn convolve_scaled<B: Backend>(
    layer: &FusedConvolution<B>,
    map: Tensor<B, 4>,
    factors: Tensor<B, 4>,
    mut residual: Option<Tensor<B, 4>>,
) -> Tensor<B, 4> {
    if let Some(output) = cpu::convolve_scaled(layer, &map, &factors, &mut residual) {
        let [_, inputs, ..] = map.dims();
        work::note(output.shape().num_elements(), inputs);
        return output;
    }
    layer.forward_onto(vec![scaled(map, factors)], residual)
}

/// An activation, if there is one.
pub(crate) fn activated<B: Backend, const D: usize>(
    output: Tensor<B, D>,
    activation: Option<Activation>,
) -> Tensor<B, D> {
    match activation {
        Some(activation) => activation.forward(output),
        None => output,
    }
}

/// A transposed convolution.
pub(crate) fn convolve_transposed<B: Backend>(
    packed: &Packed,
    conv: &ConvTranspose2d<B>,
    input: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let [_, outputs, height, width] = conv.weight.dims();
    work::note(input.shape().num_elements(), outputs * height * width);
    if let Some(output) = cpu::convolve_transposed(&packed.cpu, conv, &input) {
        return output;
    }
    if let Some(output) = cuda::convolve_transposed(&packed.cuda, conv, &input) {
        return output;
    }
    conv.forward(input)
}

fn concatenate<B: Backend>(mut inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
    if inputs.len() == 1 {
        inputs.remove(0)
    } else {
        Tensor::cat(inputs, 1)
    }
}

/// A convolution and the batch norm after it as one convolution: scaling a few thousand weights is
/// far cheaper than four passes over the feature maps. The fold is taken in f32, whatever the
/// feature maps are.
pub(super) fn folded<B: Backend>(
    conv: &Conv2d<B>,
    norm: &BatchNorm<B>,
    dtype: FloatDType,
) -> Conv2d<B> {
    let scale = norm.gamma.val() / (norm.running_var.value() + norm.epsilon).sqrt();
    let mean = match &conv.bias {
        Some(bias) => norm.running_mean.value() - bias.val().cast(FloatDType::F32),
        None => norm.running_mean.value(),
    };
    let shift = norm.beta.val() - mean * scale.clone();
    let weight = conv.weight.val().cast(FloatDType::F32) * scale.reshape([-1, 1, 1, 1]);
    Conv2d {
        weight: Param::from_tensor(weight.cast(dtype)),
        bias: Some(Param::from_tensor(shift.cast(dtype))),
        ..conv.clone()
    }
}
