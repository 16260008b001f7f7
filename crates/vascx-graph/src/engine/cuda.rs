//! The kernels of `vascx-gpu` on tensors of the CUDA backend. Every function gives `None` where
//! there is no kernel for what it is asked, and for tensors of other backends.

use std::any::Any;
use std::sync::Arc;

use burn::backend::cuda::CudaDevice;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::{DType, Shape, Tensor, TensorData, backend::Backend};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::Runtime;
use burn_cubecl::cubecl::client::ComputeClient;
use burn_cubecl::cubecl::cuda::CudaRuntime;
use burn_cubecl::cubecl::server::Handle;
use burn_cubecl::fusion::FusionCubeRuntime;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use burn_fusion::FusionTensor;
use burn_fusion::stream::{Operation, OperationStreams};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};
use vascx_gpu::{Convolution, Element, Maps, Operands, Packing};

use super::convolution::activated;
use super::weight_cache::WeightCache;
use super::{FusedConvolution, is_filled_up, primitive, tensor};
use crate::Activation;

type Cuda = CubeBackend<CudaRuntime, f32, i32, u8>;
type Fusion = FusionCubeRuntime<CudaRuntime>;
type CudaTensor = FusionTensor<Fusion>;

/// Channels that kernels take together.
pub(super) const PIECE: usize = 8;
/// Pixels of a row that they do.
const TILE: usize = 16;

/// A layer's weights as its kernel wants them, and those they were made of.
pub(super) type Packed = WeightCache<CudaTensor, PackedWeights>;

/// Memory instead of tensors: threads that share tensors make burn run each other's queues at odd
/// moments, and a queue that is cut at another place is fused into other kernels, which must be compiled.
#[derive(Debug)]
pub(super) struct PackedWeights {
    weights: Handle,
    bias: Handle,
}

fn same(a: &CudaTensor, b: &CudaTensor) -> bool {
    a.id == b.id
}

fn cuda<B: Backend>(primitive: &B::FloatTensorPrimitive) -> Option<CudaTensor> {
    let primitive: &dyn Any = primitive;
    primitive.downcast_ref::<CudaTensor>().cloned()
}

fn back<B: Backend, const D: usize>(cuda: CudaTensor) -> Tensor<B, D> {
    let cuda: Box<dyn Any> = Box::new(cuda);
    let primitive = cuda.downcast::<B::FloatTensorPrimitive>();
    tensor(*primitive.expect("inputs were tensors of a card"))
}

fn of<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Option<CudaTensor> {
    cuda::<B>(&primitive(tensor))
}

/// Of the card that a tensor is on.
fn client(tensor: &CudaTensor) -> ComputeClient<CudaRuntime> {
    let device: &CudaDevice = tensor.client.device();
    CudaRuntime::client(device)
}

fn element(dtype: DType) -> Option<Element> {
    match dtype {
        DType::F32 => Some(Element::F32),
        DType::F16 => Some(Element::F16),
        DType::BF16 => Some(Element::BF16),
        _ => None,
    }
}

fn dtype(element: Element) -> DType {
    match element {
        Element::F32 => DType::F32,
        Element::F16 => DType::F16,
        Element::BF16 => DType::BF16,
    }
}

pub(super) fn convolve<B: Backend>(
    layer: &FusedConvolution<B>,
    inputs: &[Tensor<B, 4>],
    residual: Option<&Tensor<B, 4>>,
) -> Option<Tensor<B, 4>> {
    let conv = layer.conv;
    let original = of(&conv.weight.val())?;
    let [outputs, channels, side, other_side] = conv.weight.dims();
    let plain = conv.groups == 1 && conv.dilation == [1, 1] && side == other_side;
    let stride = conv.stride[0];
    let half = side / 2;
    let padded = match conv.padding {
        PaddingConfig2d::Valid => half == 0,
        PaddingConfig2d::Explicit(top, left, bottom, right) => {
            [top, left, bottom, right] == [half; 4]
        }
        PaddingConfig2d::Same => stride == 1,
    };
    let given = inputs.iter().map(|input| input.dims()[1]).sum::<usize>();
    let filled = || matches!(inputs, [image] if is_filled_up(image, channels));
    let fits = given == channels || filled();
    if !plain || !padded || conv.stride[1] != stride || !fits {
        return None;
    }
    let inputs = whole_pieces(inputs.to_vec());
    let [images, _, height, width] = inputs[0].dims();
    let (fused, rest) = split(layer.activation);
    let convolution = Convolution {
        element: element(original.dtype)?,
        inputs: inputs.iter().map(|input| input.dims()[1]).sum(),
        outputs,
        side,
        stride,
        spread: false,
        activation: fused,
    };
    let [height, width] = [height, width].map(|side| side.div_ceil(stride));
    let shape = [images, outputs, height, width];
    let residual = match residual {
        Some(residual) if residual.dims() != shape || residual.dtype() != original.dtype => {
            return None;
        }
        Some(residual) => Some(of(residual)?),
        None => None,
    };
    let inputs = inputs.iter().map(of).collect::<Option<Vec<_>>>()?;
    let packing = packing(&convolution, &inputs, shape)?;
    let cached = layer.packed.cuda.get(original, same, || {
        let (weights, bias) = match layer.norm {
            Some(norm) => fold(conv, norm),
            None => (values(conv.weight.val()), bias(conv.bias.as_ref())),
        };
        let (bias, first) = (bias.as_deref(), &inputs[0]);
        pack(&convolution, &packing, &weights, bias, first)
    });
    let output = run(convolution, inputs, cached, residual, shape);
    Some(activated(back(output), rest))
}

/// A transposed convolution of 2 × 2 pixels with stride 2 is a convolution of one pixel whose
/// outputs are four pixels.
pub(super) fn convolve_transposed<B: Backend>(
    packed: &Packed,
    conv: &ConvTranspose2d<B>,
    input: &Tensor<B, 4>,
) -> Option<Tensor<B, 4>> {
    let original = of(&conv.weight.val())?;
    let [channels, outputs, ..] = conv.weight.dims();
    let doubles = conv.kernel_size == [2, 2] && conv.stride == [2, 2] && conv.dilation == [1, 1];
    let unpadded = conv.padding == [0, 0] && conv.padding_out == [0, 0];
    if !doubles || !unpadded || conv.groups != 1 || outputs % PIECE != 0 {
        return None;
    }
    let inputs = whole_pieces(vec![input.clone()]);
    let [images, padded, height, width] = inputs[0].dims();
    let convolution = Convolution {
        element: element(original.dtype)?,
        inputs: padded,
        outputs: 4 * outputs,
        side: 1,
        stride: 1,
        spread: true,
        activation: vascx_gpu::Activation::Identity,
    };
    let shape = [images, outputs, 2 * height, 2 * width];
    let inputs = inputs.iter().map(of).collect::<Option<Vec<_>>>()?;
    let packing = packing(&convolution, &inputs, shape)?;
    let cached = packed.get(original, same, || {
        // From inputs, outputs, pixels to pixels, outputs, inputs.
        let weight = conv.weight.val().reshape([channels, outputs, 4]);
        let weights = values(weight.permute([2, 1, 0]));
        let bias = bias(conv.bias.as_ref()).map(|bias| bias.repeat(4));
        let (bias, first) = (bias.as_deref(), &inputs[0]);
        pack(&convolution, &packing, &weights, bias, first)
    });
    Some(back(run(convolution, inputs, cached, None, shape)))
}

/// `[…, I]` times a weight `[I, O]`: a convolution of one pixel over rows of as many as a tile has.
pub(super) fn multiply<B: Backend>(
    packed: &Packed,
    input: &B::FloatTensorPrimitive,
    weight: &B::FloatTensorPrimitive,
    bias: Option<&B::FloatTensorPrimitive>,
    activation: Option<Activation>,
) -> Option<B::FloatTensorPrimitive> {
    let original = cuda::<B>(weight)?;
    let [inputs, outputs] = *original.shape.as_slice() else {
        return None;
    };
    let (fused, None) = split(activation) else {
        return None;
    };
    let mut shape = cuda::<B>(input)?.shape.to_vec();
    let rows = shape.iter().product::<usize>() / inputs.max(1);
    let width = if rows % TILE == 0 { TILE } else { 1 };
    let map = B::float_reshape(input.clone(), Shape::new([1, rows / width, width, inputs]));
    let map = tensor::<B, 4>(map).permute([0, 3, 1, 2]);
    let map = whole_pieces(vec![map]).remove(0);
    let convolution = Convolution {
        element: element(original.dtype)?,
        inputs: map.dims()[1],
        outputs,
        side: 1,
        stride: 1,
        spread: false,
        activation: fused,
    };
    let output = [1, outputs, rows / width, width];
    let map = of(&map)?;
    let packing = packing(&convolution, std::slice::from_ref(&map), output)?;
    let cached = packed.get(original, same, || {
        let weights = values(tensor::<B, 2>(weight.clone()).transpose());
        let bias = bias.map(|bias| values(tensor::<B, 1>(bias.clone())));
        pack(&convolution, &packing, &weights, bias.as_deref(), &map)
    });
    let output: Tensor<B, 4> = back(run(convolution, vec![map], cached, None, output));
    let output = output.permute([0, 2, 3, 1]);
    *shape.last_mut()? = outputs;
    Some(B::float_reshape(primitive(&output), Shape::from(shape)))
}

/// Whether tensors are those of a card.
pub(super) fn has_kernels<B: Backend>(tensor: &Tensor<B, 4>) -> bool {
    of(tensor).is_some()
}

/// Inputs whose channels are whole pieces: joined where that takes it, and filled up with zeros.
pub(super) fn whole_pieces<B: Backend>(inputs: Vec<Tensor<B, 4>>) -> Vec<Tensor<B, 4>> {
    let whole = |input: &Tensor<B, 4>| input.dims()[1].is_multiple_of(PIECE);
    if inputs.len() <= 2 && inputs.iter().all(whole) {
        return inputs;
    }
    let [images, _, height, width] = inputs[0].dims();
    let channels: usize = inputs.iter().map(|input| input.dims()[1]).sum();
    let missing = channels.next_multiple_of(PIECE) - channels;
    let options = (&inputs[0].device(), inputs[0].dtype());
    let zeros = (missing > 0).then(|| Tensor::zeros([images, height, width, missing], options));
    // Channels last, as kernels read them.
    let inputs = inputs.into_iter().map(|input| input.permute([0, 2, 3, 1]));
    let joined = Tensor::cat(inputs.chain(zeros).collect(), 3);
    vec![joined.permute([0, 3, 1, 2])]
}

/// What the kernel can do of an activation, and what is left.
fn split(activation: Option<Activation>) -> (vascx_gpu::Activation, Option<Activation>) {
    use vascx_gpu::Activation::{Identity, LeakyRelu};
    match activation {
        Some(Activation::Relu) => (LeakyRelu(0.0), None),
        Some(Activation::LeakyRelu { negative_slope }) if (0.0..=1.0).contains(&negative_slope) => {
            (LeakyRelu(negative_slope as f32), None)
        }
        rest => (Identity, rest),
    }
}

/// The packing, if the card has a kernel and its 32-bit indices suffice.
fn packing(convolution: &Convolution, inputs: &[CudaTensor], shape: [usize; 4]) -> Option<Packing> {
    let elements = |shape: &[usize]| shape.iter().product::<usize>();
    let small = |shape: &[usize]| elements(shape) / PIECE < u32::MAX as usize;
    let fits = small(&shape) && inputs.iter().all(|input| small(&input.shape));
    let alike = inputs
        .iter()
        .all(|input| element(input.dtype) == Some(convolution.element));
    let some = elements(&shape) > 0 && u16::try_from(shape[0]).is_ok();
    if !fits || !alike || !some {
        return None;
    }
    vascx_gpu::packing(convolution, client(&inputs[0]).properties())
}

/// A convolution with the batch norm after it, taken in f32; on the host, for on a card a few
/// thousand products would be several kernels to compile.
fn fold<B: Backend>(conv: &Conv2d<B>, norm: &BatchNorm<B>) -> (Vec<f32>, Option<Vec<f32>>) {
    let epsilon = norm.epsilon as f32;
    let variance = values(norm.running_var.value());
    let mean = values(norm.running_mean.value());
    let shift = values(norm.beta.val());
    let gamma = values(norm.gamma.val());
    let scale: Vec<f32> = gamma
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
        .collect();
    let mut weights = values(conv.weight.val());
    let depth = weights.len() / scale.len();
    for (filter, scale) in weights.chunks_mut(depth).zip(&scale) {
        for weight in filter {
            *weight *= scale;
        }
    }
    let bias = bias(conv.bias.as_ref()).unwrap_or_else(|| vec![0.0; scale.len()]);
    let folded = (0..scale.len()).map(|o| shift[o] + (bias[o] - mean[o]) * scale[o]);
    (weights, Some(folded.collect()))
}

fn bias<B: Backend>(bias: Option<&burn::module::Param<Tensor<B, 1>>>) -> Option<Vec<f32>> {
    bias.map(|bias| values(bias.val()))
}

fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    // Flat, since CubeCL copies row by row where there are rows.
    let length = tensor.shape().num_elements();
    let data = tensor.reshape([length]).into_data().convert::<f32>();
    data.into_vec().expect("converted to f32")
}

/// Weights `[outputs, inputs, window]` as the kernel wants them, on the card of the layer's input.
fn pack(
    convolution: &Convolution,
    packing: &Packing,
    weights: &[f32],
    bias: Option<&[f32]>,
    input: &CudaTensor,
) -> PackedWeights {
    let client = client(input);
    let up = |values: Vec<f32>, dtype| {
        let length = values.len();
        let data = TensorData::new(values, [length]).convert_dtype(dtype);
        client.create(data.bytes)
    };
    // Those of an image, which may have been filled up.
    let channels = weights.len() / (convolution.outputs * convolution.side.pow(2));
    let weights = packing.weights(convolution, weights, channels);
    PackedWeights {
        weights: up(weights, dtype(convolution.element.products())),
        bias: up(packing.bias(bias), DType::F32),
    }
}

/// Leaves it to the backend's queue to launch the kernel once its inputs are there.
fn run(
    convolution: Convolution,
    inputs: Vec<CudaTensor>,
    packed: Arc<PackedWeights>,
    residual: Option<CudaTensor>,
    shape: [usize; 4],
) -> CudaTensor {
    let client = inputs[0].client.clone();
    let with_residual = residual.is_some();
    let all: Vec<CudaTensor> = residual.into_iter().chain(inputs).collect();
    let streams = OperationStreams::with_inputs(&all);
    let output = TensorIr::uninit(
        client.create_empty_handle(),
        Shape::from(shape),
        dtype(convolution.element),
    );
    let inputs: Vec<TensorIr> = all.into_iter().map(FusionTensor::into_ir).collect();
    let ir = CustomOpIr::new("convolve", &inputs, &[output]);
    let launch = Launch {
        convolution,
        packed,
        residual: with_residual,
        ir: ir.clone(),
    };
    let mut outputs = client.register(streams, OperationIr::Custom(ir), launch);
    outputs.remove(0)
}

/// A convolution of a residual, if there is one, and inputs, in that order.
#[derive(Debug)]
struct Launch {
    convolution: Convolution,
    packed: Arc<PackedWeights>,
    residual: bool,
    ir: CustomOpIr,
}

impl Operation<Fusion> for Launch {
    fn execute(
        &self,
        handles: &mut HandleContainer<<Fusion as burn_fusion::FusionRuntime>::FusionHandle>,
    ) {
        let last = |map: CubeTensor<CudaRuntime>| into_contiguous(permute_nchw_to_nhwc(map));
        let mut tensors = self
            .ir
            .inputs
            .iter()
            .map(|input| last(handles.get_float_tensor::<Cuda>(input)));
        let residual = self.residual.then(|| tensors.next()).flatten();
        let inputs: Vec<_> = tensors.collect();
        let ir = &self.ir.outputs[0];
        let [images, channels, height, width] = ir.shape.dims();
        let output = empty_device_contiguous_dtype(
            inputs[0].client.clone(),
            inputs[0].device.clone(),
            Shape::new([images, height, width, channels]),
            ir.dtype,
        );
        let maps: Vec<Maps> = inputs
            .iter()
            .map(|map| Maps {
                handle: map.handle.clone(),
                channels: map.meta.shape()[3],
            })
            .collect();
        let [first, joined] = [maps.first(), maps.get(1)];
        let shape = inputs[0].meta.shape();
        vascx_gpu::convolve(
            &output.client,
            &self.convolution,
            [shape[0], shape[1], shape[2]],
            Operands {
                first: first.expect("a convolution has an input"),
                joined,
                weights: &self.packed.weights,
                bias: &self.packed.bias,
                residual: residual.as_ref().map(|residual| &residual.handle),
                output: &output.handle,
            },
        );
        handles.register_float_tensor::<Cuda>(&ir.id, permute_nhwc_to_nchw(output));
    }
}
