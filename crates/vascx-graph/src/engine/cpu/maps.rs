//! Pooling, normalising and resizing feature maps.

use burn::backend::flex::FlexTensor;
use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, TensorMetadata};
use half::bf16;
use vascx_kernels::{Affine, GroupNorm, InstructionSet, Neighbours, Shape, Sliding};

use super::buffers::Stored;
use super::{Map, cast, compute, flex, line, primitive, split};
use crate::Activation;

/// How a pooling's window moves, if its padding is the same on opposite sides.
pub(super) fn window(pool: &MaxPool2d) -> Option<Sliding> {
    let padding = match pool.padding {
        PaddingConfig2d::Valid => [0, 0],
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            [top, left]
        }
        _ => return None,
    };
    if pool.ceil_mode {
        return None;
    }
    Some(Sliding {
        kernel: pool.kernel_size,
        stride: pool.stride,
        padding,
        dilation: pool.dilation,
    })
}

pub(in crate::engine) fn max_pool<B: Backend>(
    pool: &MaxPool2d,
    input: &B::FloatTensorPrimitive,
) -> Option<B::FloatTensorPrimitive> {
    let window = window(pool)?;
    let input = Map::of(&flex::<B>(input)?)?;
    let results = window.output(input.shape)?;
    let output = if input.dtype() == DType::BF16 {
        largest::<bf16>(window, &input, results)
    } else {
        largest::<f32>(window, &input, results)
    };
    Some(primitive::<B>(output))
}

fn largest<E: Stored>(window: Sliding, input: &Map, results: Shape) -> FlexTensor {
    let (shape, channels) = (input.shape, input.channels);
    let values = input.values::<E>();
    let output = compute("max-pool", (results, channels), 0, values.len(), |output| {
        let set = InstructionSet::current();
        vascx_kernels::max_pool(set, shape, channels, window, values, output);
    });
    Map::new(output, results, channels).into_tensor()
}

/// The mean over all pixels, `[N, C, 1, 1]`.
pub(in crate::engine) fn global_average<B: Backend>(
    input: &B::FloatTensorPrimitive,
) -> Option<B::FloatTensorPrimitive> {
    let input = Map::of(&flex::<B>(input)?)?;
    let (shape, channels) = (input.shape, input.channels);
    let point = Shape {
        height: 1,
        width: 1,
        ..shape
    };
    let dtype = input.dtype();
    let read = shape.pixels() * channels;
    let output = compute("average", (point, channels), 0, read, |output| {
        let set = InstructionSet::current();
        if dtype == DType::BF16 {
            let values = input.values::<bf16>();
            vascx_kernels::global_average(set, shape, channels, values, output);
        } else {
            let values = input.values::<f32>();
            vascx_kernels::global_average(set, shape, channels, values, output);
        }
    });
    let averages = Map::new(output, point, channels).narrowed(dtype);
    Some(primitive::<B>(averages.into_tensor()))
}

/// Normalises groups of channels; scale and shift are `[C]`.
pub(in crate::engine) fn group_norm<B: Backend>(
    input: &B::FloatTensorPrimitive,
    groups: usize,
    epsilon: f64,
    affine: Option<[&B::FloatTensorPrimitive; 2]>,
    activation: Option<Activation>,
) -> Option<B::FloatTensorPrimitive> {
    let input = Map::of(&flex::<B>(input)?)?;
    let (activation, None) = split(activation) else {
        return None;
    };
    let affine = contiguous::<B>(affine)?;
    let norm = GroupNorm {
        groups,
        epsilon,
        affine: affine.as_ref().map(affine_of),
        activation,
    };
    let output = if input.dtype() == DType::BF16 {
        group_normalised::<bf16>(norm, &input)
    } else {
        group_normalised::<f32>(norm, &input)
    };
    Some(primitive::<B>(output))
}

fn group_normalised<E: Stored>(norm: GroupNorm, input: &Map) -> FlexTensor {
    let (shape, channels) = (input.shape, input.channels);
    let values = input.values::<E>();
    let output = compute("group norm", (shape, channels), 0, values.len(), |output| {
        norm.run(InstructionSet::current(), shape, channels, values, output);
    });
    Map::new(output, shape, channels).into_tensor()
}

/// Normalises over the last axes, as many values as scale and shift have.
pub(in crate::engine) fn layer_norm<B: Backend>(
    input: &B::FloatTensorPrimitive,
    epsilon: f64,
    affine: [&B::FloatTensorPrimitive; 2],
) -> Option<B::FloatTensorPrimitive> {
    let input = flex::<B>(input)?.to_contiguous();
    let affine = contiguous::<B>(Some(affine))??;
    let affine = affine_of(&affine);
    let output = if TensorMetadata::dtype(&input) == DType::BF16 {
        rows_normalised::<bf16>(epsilon, affine, &input)
    } else {
        rows_normalised::<f32>(epsilon, affine, &input)
    };
    Some(primitive::<B>(output))
}

fn rows_normalised<E: Stored>(epsilon: f64, affine: Affine, input: &FlexTensor) -> FlexTensor {
    let values = E::values(input).expect("contiguous, of this type");
    let size = line(values.len());
    let output = compute("layer norm", size, 0, values.len(), |output| {
        vascx_kernels::layer_norm(InstructionSet::current(), epsilon, affine, values, output);
    });
    output.into_tensor(input.layout().shape().clone())
}

/// `None` for tensors of another backend; `Some(None)` where there are none.
#[allow(clippy::option_option)]
fn contiguous<B: Backend>(
    affine: Option<[&B::FloatTensorPrimitive; 2]>,
) -> Option<Option<[FlexTensor; 2]>> {
    let Some([scale, shift]) = affine else {
        return Some(None);
    };
    let read = |tensor| flex::<B>(&cast::<B>(tensor, FloatDType::F32)?).map(|t| t.to_contiguous());
    Some(Some([read(scale)?, read(shift)?]))
}

fn affine_of([scale, shift]: &[FlexTensor; 2]) -> Affine<'_> {
    Affine {
        scale: scale.as_slice().expect("contiguous f32"),
        shift: shift.as_slice().expect("contiguous f32"),
    }
}

/// Interpolates between neighbours along both axes.
pub(in crate::engine) fn resize<B: Backend>(
    input: &B::FloatTensorPrimitive,
    [rows, columns]: [&[Neighbours]; 2],
) -> Option<B::FloatTensorPrimitive> {
    let input = Map::of(&flex::<B>(input)?)?;
    let results = Shape {
        height: rows.len(),
        width: columns.len(),
        ..input.shape
    };
    let output = if input.dtype() == DType::BF16 {
        resized::<bf16>(&input, [rows, columns], results)
    } else {
        resized::<f32>(&input, [rows, columns], results)
    };
    Some(primitive::<B>(output))
}

fn resized<E: Stored>(input: &Map, axes: [&[Neighbours]; 2], results: Shape) -> FlexTensor {
    let (shape, channels) = (input.shape, input.channels);
    let values = input.values::<E>();
    let output = compute("resize", (results, channels), 0, values.len(), |output| {
        let set = InstructionSet::current();
        vascx_kernels::resize(set, shape, channels, axes, values, output);
    });
    Map::new(output, results, channels).into_tensor()
}
