//! The kernels of `vascx-kernels` on Flex tensors.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::{
    Bytes, DType, FloatDType, Tensor, TensorData, TensorMetadata, TensorPrimitive, backend::Backend,
};
use vascx_kernels::{Conv1x1, Conv3x3, Shape, TransposedConv2x2, max_pool_2x2};

use super::folded;
use crate::Activation;

/// A layer's weights as the kernels want them; made when first needed.
#[derive(Default)]
pub(crate) struct Packed(Mutex<Option<Cached>>);

/// Belongs to one storage of weights: holding on to it keeps its address from being used again.
struct Cached {
    weights: Arc<Bytes>,
    kernel: Arc<Kernel>,
}

enum Kernel {
    Conv1x1(Conv1x1),
    Conv3x3(Conv3x3),
    Transposed(TransposedConv2x2),
}

impl Clone for Packed {
    /// A copy packs anew, for its layer may be about to change.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Packed")
    }
}

impl Packed {
    fn kernel(&self, weights: &FlexTensor, pack: impl FnOnce() -> Kernel) -> Arc<Kernel> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = weights.data_arc();
        match &*cached {
            Some(cached) if Arc::ptr_eq(&cached.weights, &storage) => cached.kernel.clone(),
            _ => {
                let kernel = Arc::new(pack());
                *cached = Some(Cached {
                    weights: storage,
                    kernel: kernel.clone(),
                });
                kernel
            }
        }
    }
}

pub(super) fn convolve<B: Backend>(
    packed: &Packed,
    conv: &Conv2d<B>,
    norm: Option<&BatchNorm<B>>,
    inputs: &[Tensor<B, 4>],
    activation: Option<Activation>,
) -> Option<Tensor<B, 4>> {
    let simple = conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
    let size = match (conv.kernel_size, &conv.padding) {
        ([3, 3], PaddingConfig2d::Explicit(1, 1, 1, 1) | PaddingConfig2d::Same) => 3,
        (
            [1, 1],
            PaddingConfig2d::Explicit(0, 0, 0, 0) | PaddingConfig2d::Same | PaddingConfig2d::Valid,
        ) if inputs.len() == 1 => 1,
        _ => return None,
    };
    let maps: Vec<Map> = inputs.iter().map(Map::of).collect::<Option<_>>()?;
    let weights = flex(&conv.weight.val())?;
    if !simple || maps.is_empty() {
        return None;
    }
    let [outputs, channels, ..] = conv.weight.dims();
    let kernel = packed.kernel(&weights, || {
        let folded = norm.map(|norm| folded(conv, norm, FloatDType::F32));
        let conv = folded.as_ref().unwrap_or(conv);
        let weights = values(conv.weight.val());
        let bias = conv.bias.as_ref().map(|bias| values(bias.val()));
        let bias = bias.as_deref();
        if size == 3 {
            Kernel::Conv3x3(Conv3x3::new(&weights, outputs, channels, bias))
        } else {
            Kernel::Conv1x1(Conv1x1::new(&weights, outputs, channels, bias))
        }
    });
    let shape = maps[0].shape;
    let (fused, rest) = match activation {
        None => (vascx_kernels::Activation::Identity, None),
        Some(Activation::Relu) => (vascx_kernels::Activation::Relu, None),
        Some(Activation::LeakyRelu { negative_slope }) if (0.0..=1.0).contains(&negative_slope) => {
            let slope = negative_slope as f32;
            (vascx_kernels::Activation::LeakyRelu(slope), None)
        }
        other => (vascx_kernels::Activation::Identity, other),
    };
    let mut output = vec![0.0; shape.pixels() * outputs];
    match &*kernel {
        Kernel::Conv3x3(kernel) => {
            let parts: Vec<_> = maps
                .iter()
                .map(|map| (map.values(), map.channels))
                .collect();
            kernel.run(shape, &parts, fused, &mut output);
        }
        Kernel::Conv1x1(kernel) => kernel.run(maps[0].values(), fused, &mut output),
        Kernel::Transposed(_) => unreachable!("packed by a transposed convolution"),
    }
    let output = tensor(output, shape, outputs);
    Some(match rest {
        Some(activation) => activation.forward(output),
        None => output,
    })
}

pub(super) fn convolve_transposed<B: Backend>(
    packed: &Packed,
    conv: &ConvTranspose2d<B>,
    input: &Tensor<B, 4>,
) -> Option<Tensor<B, 4>> {
    let doubles = conv.kernel_size == [2, 2] && conv.stride == [2, 2] && conv.dilation == [1, 1];
    let unpadded = conv.padding == [0, 0] && conv.padding_out == [0, 0];
    if !doubles || !unpadded || conv.groups != 1 {
        return None;
    }
    let map = Map::of(input)?;
    let weights = flex(&conv.weight.val())?;
    let [inputs, outputs, ..] = conv.weight.dims();
    let kernel = packed.kernel(&weights, || {
        let bias = conv.bias.as_ref().map(|bias| values(bias.val()));
        let weights = values(conv.weight.val());
        let bias = bias.as_deref();
        Kernel::Transposed(TransposedConv2x2::new(&weights, inputs, outputs, bias))
    });
    let Kernel::Transposed(kernel) = &*kernel else {
        unreachable!("packed by a convolution")
    };
    let mut output = vec![0.0; map.shape.pixels() * 4 * outputs];
    kernel.run(map.shape, map.values(), &mut output);
    let doubled = Shape {
        height: 2 * map.shape.height,
        width: 2 * map.shape.width,
        ..map.shape
    };
    Some(tensor(output, doubled, outputs))
}

pub(super) fn max_pool<B: Backend>(pool: &MaxPool2d, input: &Tensor<B, 4>) -> Option<Tensor<B, 4>> {
    let halves = pool.kernel_size == [2, 2] && pool.stride == [2, 2] && pool.dilation == [1, 1];
    let unpadded = matches!(
        pool.padding,
        PaddingConfig2d::Valid | PaddingConfig2d::Explicit(0, 0, 0, 0)
    );
    if !halves || !unpadded || pool.ceil_mode {
        return None;
    }
    let Map {
        shape,
        channels,
        ref last,
    } = Map::of(input)?;
    let halved = Shape {
        height: shape.height / 2,
        width: shape.width / 2,
        ..shape
    };
    let mut output = vec![0.0; halved.pixels() * channels];
    let values = last.as_slice::<f32>().expect("contiguous");
    max_pool_2x2(shape, channels, values, &mut output);
    Some(tensor(output, halved, channels))
}

/// A feature map of f32 with its channels last.
struct Map {
    shape: Shape,
    channels: usize,
    /// `[N, H, W, C]`, contiguous.
    last: FlexTensor,
}

impl Map {
    /// `None` on other backends and for other element types. Copies only a map whose channels are
    /// not last already.
    fn of<B: Backend>(tensor: &Tensor<B, 4>) -> Option<Self> {
        let [images, channels, height, width] = tensor.dims();
        let last = flex(tensor)?.permute(&[0, 2, 3, 1]).to_contiguous();
        Some(Self {
            shape: Shape {
                images,
                height,
                width,
            },
            channels,
            last,
        })
    }

    fn values(&self) -> &[f32] {
        self.last.as_slice().expect("contiguous f32")
    }
}

/// The Flex tensor that a tensor is, if its backend is Flex and its elements are f32.
fn flex<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Option<FlexTensor> {
    let TensorPrimitive::Float(primitive) = tensor.clone().into_primitive() else {
        return None;
    };
    let primitive: &dyn Any = &primitive;
    let flex = primitive.downcast_ref::<FlexTensor>()?;
    (TensorMetadata::dtype(flex) == DType::F32).then(|| flex.clone())
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.into_vec().expect("just converted to f32")
}

/// The tensor `[N, C, H, W]` of values `[N, H, W, C]`.
fn tensor<B: Backend>(values: Vec<f32>, shape: Shape, channels: usize) -> Tensor<B, 4> {
    let Shape {
        images,
        height,
        width,
    } = shape;
    let data = TensorData::new(values, [images, height, width, channels]);
    let flex = FlexTensor::from_data(data).permute(&[0, 3, 1, 2]);
    let primitive: Box<dyn Any> = Box::new(flex);
    let primitive = primitive
        .downcast::<B::FloatTensorPrimitive>()
        .expect("inputs were Flex tensors");
    Tensor::from_primitive(TensorPrimitive::Float(*primitive))
}
