//! Layers fused with their neighbours (concatenation before; batch norm, residual sum and activation
//! after), and what else networks do to feature maps.
//!
//! Three engines run them: `cpu` (the kernels of `vascx-kernels`, on tensors of Flex), `cuda` (those of
//! `vascx-gpu`), else burn's operators one after the other. The functions here choose: they ask each
//! engine, which declines what it has no kernel for, by the tensor's type at run time; so any
//! backend of burn's works, without having to implement a trait of ours. Feature maps between fused
//! operations keep their channels last, as tensors `[N, C, H, W]` with permuted strides.

use burn::nn::pool::MaxPool2d;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Tensor, TensorPrimitive, backend::Backend};

use crate::{Activation, work};

mod convolution;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
mod neighbours;
mod weight_cache;

pub(crate) use convolution::{
    FusedConvolution, Packed, convolve_expanded, convolve_pooled, convolve_scaled,
    convolve_transposed,
};
pub(crate) use neighbours::{Neighbour, neighbours};

/// The result of a kernel, for which the input's memory may serve, or the input where there is no
/// kernel.
pub(crate) type Fused<B, Input = FloatTensor<B>> = Result<FloatTensor<B>, Input>;

/// `[…, I]` times a weight `[I, O]`, plus perhaps a bias `[O]`.
pub(crate) fn multiply<B: Backend>(
    packed: &Packed,
    input: FloatTensor<B>,
    weight: &FloatTensor<B>,
    bias: Option<&FloatTensor<B>>,
    activation: Option<Activation>,
) -> Fused<B> {
    if let Some(output) = cpu::multiply::<B>(&packed.cpu, &input, weight, bias, activation) {
        return Ok(output);
    }
    if let Some(output) = cuda::multiply::<B>(&packed.cuda, &input, weight, bias, activation) {
        return Ok(output);
    }
    Err(input)
}

/// How many images of a height and width are best run together: on the CPU as few as keep all cores
/// busy, so that feature maps stay in the caches and little memory is needed; elsewhere any number.
pub(crate) fn images_per_pass<B: Backend>([height, width]: [usize; 2], dtype: FloatDType) -> usize {
    if cpu::has_kernels::<B>(dtype) {
        return (ENOUGH_PIXELS / (height * width).max(1)).max(1);
    }
    usize::MAX
}

/// Runs `pass` where its layers can be spread over all cores at once.
pub(crate) fn on_all_cores<B: Backend, R: Send>(
    dtype: FloatDType,
    pass: impl FnOnce() -> R + Send,
) -> R {
    if cpu::has_kernels::<B>(dtype) {
        return work::on_all_cores(pass);
    }
    pass()
}

/// Maps along a new leading axis. Flex copies and reshapes quickly only where elements lie in the order
/// of the axes, so maps whose channels are last are joined that way.
pub(crate) fn stack<B: Backend>(mut maps: Vec<Tensor<B, 4>>) -> Tensor<B, 5> {
    if maps.len() == 1 {
        return maps.remove(0).unsqueeze_dim(0);
    }
    if cpu::lies_channels_last::<B>(&primitive(&maps[0])) {
        let last = |map: Tensor<B, 4>| map.permute([0, 2, 3, 1]);
        let stacked = Tensor::stack::<5>(maps.into_iter().map(last).collect(), 0);
        return stacked.permute([0, 1, 4, 2, 3]);
    }
    Tensor::stack(maps, 0)
}

/// The images of all maps, joined like those of [`stack`].
pub(crate) fn concatenate_images<B: Backend>(mut maps: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
    if maps.len() == 1 {
        return maps.remove(0);
    }
    if cpu::lies_channels_last::<B>(&primitive(&maps[0])) {
        let last = |map: Tensor<B, 4>| map.permute([0, 2, 3, 1]);
        let images = Tensor::cat(maps.into_iter().map(last).collect(), 0);
        return images.permute([0, 3, 1, 2]);
    }
    Tensor::cat(maps, 0)
}

/// Pixels of an image that keep all cores busy down to the smallest feature maps.
const ENOUGH_PIXELS: usize = 256 * 256;

/// The same images in the layout that kernels read, so that several members need not each bring
/// them there. Where kernels read whole pieces of channels, and if networks let `fill_up`, channels of
/// zeros follow, which a [`FusedConvolution`] knows to leave out.
pub(crate) fn laid_out<B: Backend>(images: Tensor<B, 4>, fill_up: bool) -> Tensor<B, 4> {
    if let Some(output) = cpu::channels_last::<B>(&primitive(&images)) {
        return tensor(output);
    }
    if fill_up && cuda::has_kernels(&images) {
        return cuda::whole_pieces(vec![images]).remove(0);
    }
    images
}

/// Whether channels of zeros, as [`laid_out`] adds them, follow so many of an image's own.
pub(crate) fn is_filled_up<B: Backend>(image: &Tensor<B, 4>, channels: usize) -> bool {
    if cuda::has_kernels(image) {
        let found = image.dims()[1];
        return found > channels && found == channels.next_multiple_of(cuda::PIECE);
    }
    false
}

/// Max-pooling.
pub(crate) fn max_pool<B: Backend>(pool: &MaxPool2d, input: Tensor<B, 4>) -> Tensor<B, 4> {
    if let Some(output) = cpu::max_pool::<B>(pool, &primitive(&input)) {
        return tensor(output);
    }
    pool.forward(input)
}

/// The mean over all pixels, `[N, C, 1, 1]`; sums over whole maps are f32's.
pub(crate) fn global_average<B: Backend>(input: Tensor<B, 4>) -> Tensor<B, 4> {
    if let Some(output) = cpu::global_average::<B>(&primitive(&input)) {
        return tensor(output);
    }
    let dtype: FloatDType = input.dtype().into();
    let means = input.cast(FloatDType::F32).mean_dim(3).mean_dim(2);
    means.cast(dtype)
}

/// A map times factors, which are broadcast if need be.
pub(crate) fn scaled<B: Backend>(map: Tensor<B, 4>, factors: Tensor<B, 4>) -> Tensor<B, 4> {
    match arithmetic::<B>(Arithmetic::Multiply, [map, factors].map(into_primitive)) {
        Ok(product) => tensor(product),
        Err([map, factors]) => tensor::<B, 4>(map) * tensor(factors),
    }
}

/// An activation.
pub(crate) fn activate<B: Backend>(activation: Activation, input: FloatTensor<B>) -> Fused<B> {
    if let Some(output) = cpu::activate::<B>(activation, &input) {
        return Ok(output);
    }
    Err(input)
}

/// Normalisation of groups of channels of a map, with perhaps a scale and a shift `[C]`.
pub(crate) fn group_norm<B: Backend>(
    input: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
    affine: Option<[&FloatTensor<B>; 2]>,
    activation: Option<Activation>,
) -> Fused<B> {
    if let Some(output) = cpu::group_norm::<B>(&input, groups, epsilon, affine, activation) {
        return Ok(output);
    }
    Err(input)
}

/// Normalisation over the last axes, whose sizes are those of scale and shift.
pub(crate) fn layer_norm<B: Backend>(
    input: FloatTensor<B>,
    epsilon: f64,
    affine: [&FloatTensor<B>; 2],
) -> Fused<B> {
    if let Some(output) = cpu::layer_norm::<B>(&input, epsilon, affine) {
        return Ok(output);
    }
    Err(input)
}

/// Interpolation between neighbours per axis.
pub(crate) fn resize<B: Backend>(input: FloatTensor<B>, axes: [&[Neighbour]; 2]) -> Fused<B> {
    if let Some(output) = cpu::resize::<B>(&input, axes) {
        return Ok(output);
    }
    Err(input)
}

pub(crate) use vascx_kernels::Arithmetic;

/// Arithmetic of two tensors of one rank, the second broadcast to the first.
pub(crate) fn arithmetic<B: Backend>(
    arithmetic: Arithmetic,
    operands: [FloatTensor<B>; 2],
) -> Fused<B, [FloatTensor<B>; 2]> {
    if let Some(output) = cpu::arithmetic::<B>(arithmetic, &operands[0], &operands[1]) {
        return Ok(output);
    }
    Err(operands)
}

/// Applies an elementwise function of burn's to a tensor. Flex is quick only where elements lie in
/// the order of the axes, so the axes are put in the order of the elements.
pub(crate) fn in_memory_order<B: Backend>(
    input: FloatTensor<B>,
    function: impl FnOnce(FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<B> {
    if let Some((order, back)) = cpu::memory_order::<B>(&input) {
        return B::float_permute(function(B::float_permute(input, &order)), &back);
    }
    function(input)
}

/// The same values in another type.
pub(crate) fn cast<B: Backend, const D: usize>(
    values: Tensor<B, D>,
    dtype: FloatDType,
) -> Tensor<B, D> {
    tensor(cast_primitive::<B>(into_primitive(values), dtype))
}

/// The same of a tensor of any rank.
pub(crate) fn cast_primitive<B: Backend>(
    values: FloatTensor<B>,
    dtype: FloatDType,
) -> FloatTensor<B> {
    if let Some(output) = cpu::cast::<B>(&values, dtype) {
        return output;
    }
    B::float_cast(values, dtype)
}

fn primitive<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> FloatTensor<B> {
    into_primitive(tensor.clone())
}

fn into_primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn tensor<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
