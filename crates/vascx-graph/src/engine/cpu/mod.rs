//! The kernels of `vascx-kernels` on Flex tensors. Every function gives `None` where it has no
//! kernel for what it is asked, and for tensors of other backends or element types.

mod buffers;
mod convolution;
mod elementwise;
mod maps;

use std::any::{Any, TypeId};

use burn::backend::flex::FlexTensor;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor, TensorMetadata, TensorPrimitive};
use half::bf16;
use vascx_kernels::Shape;

pub(super) use convolution::{
    convolve, convolve_expanded, convolve_pooled, convolve_scaled, convolve_transposed, multiply,
};
pub(super) use elementwise::{activate, arithmetic, memory_order};
pub(super) use maps::{global_average, group_norm, layer_norm, max_pool, resize};

pub(super) use convolution::Packed;

use self::buffers::{Buffer, Stored};
use self::elementwise::Dense;
use crate::Activation;
use crate::work::{self, Layer};

/// The Flex tensor that a tensor is, if its backend is Flex and its elements are f32 or bf16.
fn flex<B: Backend>(primitive: &B::FloatTensorPrimitive) -> Option<FlexTensor> {
    let primitive: &dyn Any = primitive;
    let flex = primitive.downcast_ref::<FlexTensor>()?;
    let has_kernels = matches!(TensorMetadata::dtype(flex), DType::F32 | DType::BF16);
    has_kernels.then(|| flex.clone())
}

/// The same values in another type, in the same order in memory.
pub(super) fn cast<B: Backend>(
    tensor: &B::FloatTensorPrimitive,
    dtype: FloatDType,
) -> Option<B::FloatTensorPrimitive> {
    let tensor = Dense::of(flex::<B>(tensor)?)?;
    let output = match (tensor.dtype(), dtype) {
        (DType::F32, FloatDType::BF16) => tensor.converted::<f32, bf16>(),
        (DType::BF16, FloatDType::F32) => tensor.converted::<bf16, f32>(),
        (DType::F32, FloatDType::F32) | (DType::BF16, FloatDType::BF16) => tensor.into_inner(),
        _ => return None,
    };
    Some(primitive::<B>(output))
}

/// The other way round.
fn primitive<B: Backend>(flex: FlexTensor) -> B::FloatTensorPrimitive {
    let flex: Box<dyn Any> = Box::new(flex);
    *flex
        .downcast::<B::FloatTensorPrimitive>()
        .expect("inputs were Flex tensors")
}

fn flex_of<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Option<FlexTensor> {
    match tensor.clone().into_primitive() {
        TensorPrimitive::Float(primitive) => flex::<B>(&primitive),
        TensorPrimitive::QFloat(_) => None,
    }
}

/// A feature map with its channels last.
struct Map {
    shape: Shape,
    channels: usize,
    /// `[N, H, W, C]`, contiguous.
    last: FlexTensor,
}

impl Map {
    /// Copies only a map whose channels are not last already.
    fn of(tensor: &FlexTensor) -> Option<Self> {
        let [images, channels, height, width] = *tensor.layout().shape().as_slice() else {
            return None;
        };
        let shape = Shape {
            images,
            height,
            width,
        };
        let last = if tensor.is_contiguous() && channels > 1 && height * width > 1 {
            if TensorMetadata::dtype(tensor) == DType::BF16 {
                put_last::<bf16>(tensor, shape, channels)?
            } else {
                put_last::<f32>(tensor, shape, channels)?
            }
        } else {
            tensor.permute(&[0, 2, 3, 1]).to_contiguous()
        };
        Some(Self {
            shape,
            channels,
            last,
        })
    }

    fn dtype(&self) -> DType {
        TensorMetadata::dtype(&self.last)
    }

    /// The map of values `[N, H, W, C]`.
    fn new<E: Stored>(values: Buffer<E>, shape: Shape, channels: usize) -> Self {
        Self {
            shape,
            channels,
            last: values.into_tensor([shape.images, shape.height, shape.width, channels]),
        }
    }

    /// The tensor `[N, C, H, W]`.
    fn into_tensor(self) -> FlexTensor {
        self.last.permute(&[0, 3, 1, 2])
    }

    /// The values, of the map's own type.
    fn values<E: Stored>(&self) -> &[E] {
        E::values(&self.last).expect("contiguous, of this type")
    }

    /// The values, of the map's own type, to be changed: those of a copy if anybody else holds them.
    fn values_mut<E: Stored>(&mut self) -> &mut [E] {
        if E::values_mut(&mut self.last).is_none() {
            let values = self.values::<E>();
            let mut copy = Buffer::new(values.len());
            copy.copy_from_slice(values);
            *self = Self::new(copy, self.shape, self.channels);
        }
        E::values_mut(&mut self.last).expect("nobody else's")
    }

    /// The same map in f32.
    fn widened(self) -> Self {
        if self.dtype() == DType::F32 {
            return self;
        }
        self.converted::<bf16, f32>()
    }

    /// A map of f32 in the type of a network.
    fn narrowed(self, dtype: DType) -> Self {
        if dtype == DType::F32 {
            return self;
        }
        self.converted::<f32, bf16>()
    }

    fn converted<I: Stored, O: Stored>(&self) -> Self {
        let values = self.values::<I>();
        let mut output = Buffer::<O>::new(values.len());
        vascx_kernels::convert(values, &mut output);
        Self::new(output, self.shape, self.channels)
    }
}

/// A contiguous map `[N, C, H, W]` as `[N, H, W, C]`.
fn put_last<E: Stored>(tensor: &FlexTensor, shape: Shape, channels: usize) -> Option<FlexTensor> {
    let mut last = Buffer::<E>::new(shape.pixels() * channels);
    vascx_kernels::put_channels_last(shape, channels, E::values(tensor)?, &mut last);
    let Shape {
        images,
        height,
        width,
    } = shape;
    Some(last.into_tensor([images, height, width, channels]))
}

/// The same map with its channels last in memory.
pub(super) fn channels_last<B: Backend>(
    map: &B::FloatTensorPrimitive,
) -> Option<B::FloatTensorPrimitive> {
    let map = Map::of(&flex::<B>(map)?)?;
    Some(primitive::<B>(map.into_tensor()))
}

/// The result `[N, H, W, C]` of a kernel in reused memory. For benchmarks: its kernel's name, its
/// sizes, how many products each of its values sums, and how many other values are read.
fn compute<E: Stored>(
    kernel: &'static str,
    (shape, channels): (Shape, usize),
    depth: usize,
    read: usize,
    run: impl FnOnce(&mut [E]),
) -> Buffer<E> {
    let layer = described::<E>(kernel, (shape, channels), depth, read);
    work::layer(layer, || {
        let mut output = Buffer::new(shape.pixels() * channels);
        run(&mut output);
        output
    })
}

/// What benchmarks tell of a kernel's run.
fn described<E>(
    kernel: &'static str,
    (shape, channels): (Shape, usize),
    depth: usize,
    read: usize,
) -> Layer {
    Layer {
        kernel,
        shape: vec![shape.images, channels, shape.height, shape.width],
        depth,
        bytes: size_of::<E>() * (read + shape.pixels() * channels),
        seconds: 0.0,
    }
}

/// The sizes of values that are no map, as if they were one.
fn line(length: usize) -> (Shape, usize) {
    let shape = Shape {
        images: 1,
        height: 1,
        width: length,
    };
    (shape, 1)
}

/// What a kernel can do of an activation on its way, and what is left.
fn split(activation: Option<Activation>) -> (vascx_kernels::Activation, Option<Activation>) {
    match activation.map(kernel_activation) {
        None => (vascx_kernels::Activation::Identity, None),
        Some(Some(kernel)) => (kernel, None),
        Some(None) => (vascx_kernels::Activation::Identity, activation),
    }
}

fn kernel_activation(activation: Activation) -> Option<vascx_kernels::Activation> {
    use vascx_kernels::Activation as Kernel;
    Some(match activation {
        Activation::Relu => Kernel::Relu,
        Activation::LeakyRelu { negative_slope } if (0.0..=1.0).contains(&negative_slope) => {
            Kernel::LeakyRelu(negative_slope as f32)
        }
        Activation::LeakyRelu { .. } | Activation::Elu { .. } => return None,
        Activation::Silu => Kernel::Silu,
        Activation::Gelu => Kernel::Gelu,
        Activation::Sigmoid => Kernel::Sigmoid,
        Activation::HardSigmoid => Kernel::HardSigmoid,
        Activation::HardSwish => Kernel::HardSwish,
        Activation::Clamp { min, max } => Kernel::Clamp(min as f32, max as f32),
    })
}

/// Whether a map's elements lie pixel by pixel, and not plane by plane.
pub(super) fn lies_channels_last<B: Backend>(map: &B::FloatTensorPrimitive) -> bool {
    flex::<B>(map)
        .is_some_and(|map| !map.is_contiguous() && map.permute(&[0, 2, 3, 1]).is_contiguous())
}

/// Whether there are kernels for tensors of a backend and element type.
pub(super) fn has_kernels<B: Backend>(dtype: FloatDType) -> bool {
    TypeId::of::<B::FloatTensorPrimitive>() == TypeId::of::<FlexTensor>()
        && matches!(dtype, FloatDType::F32 | FloatDType::BF16)
}
