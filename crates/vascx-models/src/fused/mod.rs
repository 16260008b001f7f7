//! Convolutions with what stands around them (concatenation before, batch norm and activation
//! after) as one operation.
//!
//! On the Flex backend the kernels of `vascx-kernels` do them, on every other backend burn's
//! operators one after the other. Which one is decided by the tensor's type at run time: so any
//! backend of burn's works, without having to implement a trait of ours. Feature maps between fused
//! operations keep their channels last, as tensors `[N, C, H, W]` with permuted strides.

use burn::module::Param;
use burn::nn::BatchNorm;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::MaxPool2d;
use burn::tensor::{FloatDType, Tensor, backend::Backend};

use crate::Activation;

#[cfg(feature = "flex")]
mod native;

#[cfg(feature = "flex")]
pub(crate) use native::Packed;

/// Nothing to keep where there are no kernels of our own.
#[cfg(not(feature = "flex"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed;

/// The activation of the convolution of the concatenated inputs, batch-normalised where there is a
/// norm. `packed` keeps the weights as the kernels want them, from the first call on.
pub(crate) fn convolve<B: Backend>(
    packed: &Packed,
    conv: &Conv2d<B>,
    norm: Option<&BatchNorm<B>>,
    inputs: Vec<Tensor<B, 4>>,
    activation: Option<Activation>,
) -> Tensor<B, 4> {
    #[cfg(feature = "flex")]
    if let Some(output) = native::convolve(packed, conv, norm, &inputs, activation) {
        return output;
    }
    #[cfg(not(feature = "flex"))]
    let Packed = packed;
    let input = concatenate(inputs);
    let output = match norm {
        Some(norm) if B::ad_enabled(&input.device()) => norm.forward(conv.forward(input)),
        Some(norm) => folded(conv, norm, input.dtype().into()).forward(input),
        None => conv.forward(input),
    };
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
    #[cfg(feature = "flex")]
    if let Some(output) = native::convolve_transposed(packed, conv, &input) {
        return output;
    }
    #[cfg(not(feature = "flex"))]
    let Packed = packed;
    conv.forward(input)
}

/// Max-pooling.
pub(crate) fn max_pool<B: Backend>(pool: &MaxPool2d, input: Tensor<B, 4>) -> Tensor<B, 4> {
    #[cfg(feature = "flex")]
    if let Some(output) = native::max_pool(pool, &input) {
        return output;
    }
    pool.forward(input)
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
fn folded<B: Backend>(conv: &Conv2d<B>, norm: &BatchNorm<B>, dtype: FloatDType) -> Conv2d<B> {
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
