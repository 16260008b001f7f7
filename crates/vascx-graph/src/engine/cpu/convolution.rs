//! Convolutions and matrix products, whose weights are packed once.

mod product;

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, ConvTranspose2d};
use burn::nn::pool::MaxPool2d;
use burn::tensor::{
    Bytes, DType, FloatDType, Tensor, TensorMetadata, TensorPrimitive, backend::Backend,
};
use half::bf16;
use vascx_kernels::{
    Conv3x3, Convolution, DepthwiseConvolution, Epilogue, Shape, Sliding, TileSet,
    TiledConvolution, TiledTransposedConv2x2, TransposedConv2x2,
};

pub(in crate::engine) use product::multiply;

use super::buffers::{Buffer, Stored};
use super::maps::window;
use super::{Map, compute, described, flex_of, primitive, split};
use crate::engine::convolution::{FusedConvolution, activated, folded};
use crate::engine::weight_cache::WeightCache;
use crate::{mapped_file, work};

/// Fewest channels for which Winograd's transforms pay.
const LEAST_WINOGRAD_CHANNELS: usize = 12;

/// A layer's weights as the kernels want them, and the storage they were made of.
pub(in crate::engine) type Packed = WeightCache<Arc<Bytes>, Kernel>;

pub(in crate::engine) enum Kernel {
    Winograd(Conv3x3),
    Product(Convolution),
    Depthwise(DepthwiseConvolution),
    Transposed(TransposedConv2x2),
    Tiled(TiledConvolution),
    TiledTransposed(TiledTransposedConv2x2),
}

impl Kernel {
    fn name(&self) -> &'static str {
        match self {
            Self::Winograd(_) => "winograd",
            Self::Product(_) => "product",
            Self::Depthwise(_) => "depthwise",
            Self::Transposed(_) => "transposed",
            Self::Tiled(_) => "tiles",
            Self::TiledTransposed(_) => "transposed tiles",
        }
    }
}

fn kernel(packed: &Packed, weights: &FlexTensor, pack: impl FnOnce() -> Kernel) -> Arc<Kernel> {
    let bytes = weights.data_arc();
    packed.get(bytes.clone(), Arc::ptr_eq, || {
        let kernel = pack();
        mapped_file::let_go(&bytes);
        kernel
    })
}

/// How a layer's kernel moves, if its padding is the same on opposite sides.
fn sliding<B: Backend>(conv: &Conv2d<B>) -> Option<Sliding> {
    let padding = match conv.padding {
        PaddingConfig2d::Valid => [0, 0],
        PaddingConfig2d::Explicit(top, left, bottom, right) if top == bottom && left == right => {
            [top, left]
        }
        PaddingConfig2d::Same if conv.stride == [1, 1] => {
            let both = [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel_size[axis] - 1));
            if both.iter().any(|both| both % 2 == 1) {
                return None;
            }
            both.map(|both| both / 2)
        }
        _ => return None,
    };
    Some(Sliding {
        kernel: conv.kernel_size,
        stride: conv.stride,
        padding,
        dilation: conv.dilation,
    })
}

/// Tiles for a layer's weights, if they are bf16 and the machine has them. Elsewhere bf16 is rounded
/// between kernels of f32.
fn tiles_for(weights: &FlexTensor) -> Option<TileSet> {
    (TensorMetadata::dtype(weights) == DType::BF16).then(TileSet::current)?
}

/// A layer's kernel, if its weights are of Flex and a type that kernels know.
fn kernel_of<B: Backend>(layer: &FusedConvolution<B>, sliding: Sliding) -> Option<Arc<Kernel>> {
    let weights = flex_of(&layer.conv.weight.val())?;
    let pack = || pack(layer, sliding);
    Some(kernel(&layer.packed.cpu, &weights, pack))
}

/// Packs a layer. Depthwise where every channel stands alone, other groups have no kernel.
fn pack<B: Backend>(layer: &FusedConvolution<B>, sliding: Sliding) -> Kernel {
    let folded = layer
        .norm
        .map(|norm| folded(layer.conv, norm, FloatDType::F32));
    let conv = folded.as_ref().unwrap_or(layer.conv);
    let [outputs, inputs, ..] = conv.weight.dims();
    let tiles = flex_of(&layer.conv.weight.val()).and_then(|weights| tiles_for(&weights));
    let weights = contiguous(&conv.weight.val());
    let weights = values(&weights);
    let bias = conv.bias.as_ref().map(|bias| contiguous(&bias.val()));
    let bias = bias.as_ref().map(values);
    let same_3x3 = sliding
        == Sliding {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
        };
    if conv.groups > 1 {
        Kernel::Depthwise(DepthwiseConvolution::new(weights, outputs, bias, sliding))
    } else if let Some(tiles) = tiles {
        Kernel::Tiled(TiledConvolution::new(
            tiles, weights, outputs, inputs, bias, sliding,
        ))
    } else if same_3x3 && inputs >= LEAST_WINOGRAD_CHANNELS {
        Kernel::Winograd(Conv3x3::new(weights, outputs, inputs, bias))
    } else {
        Kernel::Product(Convolution::new(weights, outputs, inputs, bias, sliding))
    }
}

/// Takes the residual where there is an answer, and writes that onto it if nobody else holds it.
pub(in crate::engine) fn convolve<B: Backend>(
    layer: &FusedConvolution<B>,
    inputs: &[Tensor<B, 4>],
    residual: &mut Option<Tensor<B, 4>>,
) -> Option<Tensor<B, 4>> {
    let conv = layer.conv;
    let [outputs, channels, ..] = conv.weight.dims();
    let depthwise = conv.groups > 1;
    let alone = channels == 1 && outputs == conv.groups && inputs.len() == 1;
    // Depthwise kernels add no residual; plans ask none for it.
    if depthwise && (!alone || residual.is_some()) {
        return None;
    }
    let sliding = sliding(conv)?;
    let maps: Vec<Map> = inputs
        .iter()
        .map(|input| Map::of(&flex_of(input)?))
        .collect::<Option<_>>()?;
    let (shape, dtype) = (maps.first()?.shape, maps.first()?.dtype());
    let results = sliding.output(shape)?;
    let alike = |map: &Map| map.dtype() == dtype && map.shape == shape;
    if !maps.iter().all(alike) {
        return None;
    }
    let kernel = kernel_of(layer, sliding)?;
    if matches!(*kernel, Kernel::Tiled(_)) && dtype != DType::BF16 {
        return None;
    }
    let residual = take_residual(residual, (results, outputs), dtype)?;
    let call = Call {
        kernel: &kernel,
        shape,
        results,
        outputs,
        depth: channels * sliding.kernel[0] * sliding.kernel[1],
    };
    let (activation, rest) = split(layer.activation);
    let output = match (&*kernel, dtype) {
        (Kernel::Tiled(kernel), _) => {
            call.compute(&maps, residual, activation, |parts, epilogue, output| {
                kernel.run(shape, parts, epilogue, output);
            })
        }
        (Kernel::Depthwise(kernel), DType::BF16) => {
            call.compute::<bf16>(&maps, None, activation, |parts, _, output| {
                kernel.run(shape, parts[0].0, activation, output);
            })
        }
        (kernel, dtype) => {
            let maps: Vec<Map> = maps.into_iter().map(Map::widened).collect();
            let residual = residual.map(Map::widened);
            let output =
                call.compute(
                    &maps,
                    residual,
                    activation,
                    |parts, epilogue, output| match kernel {
                        Kernel::Winograd(kernel) => kernel.run(shape, parts, epilogue, output),
                        Kernel::Product(kernel) => kernel.run(shape, parts, epilogue, output),
                        Kernel::Depthwise(kernel) => {
                            kernel.run(shape, parts[0].0, activation, output);
                        }
                        _ => unreachable!("packed by a convolution, and not for tiles"),
                    },
                );
            output.narrowed(dtype)
        }
    };
    Some(activated(tensor(output), rest))
}

/// What a convolution is to do, of maps of any type.
struct Call<'a> {
    kernel: &'a Kernel,
    shape: Shape,
    results: Shape,
    outputs: usize,
    /// Products per result.
    depth: usize,
}

impl Call<'_> {
    /// The results, in the residual's place where there is one.
    fn compute<E: Stored>(
        &self,
        maps: &[Map],
        residual: Option<Map>,
        activation: vascx_kernels::Activation,
        run: impl FnOnce(&[(&[E], usize)], Epilogue, &mut [E]),
    ) -> Map {
        let epilogue = Epilogue {
            residual: residual.is_some(),
            activation,
        };
        let parts: Vec<(&[E], usize)> = maps
            .iter()
            .map(|map| (map.values(), map.channels))
            .collect();
        let length = self.results.pixels() * self.outputs;
        let added = if epilogue.residual { length } else { 0 };
        let inputs: usize = parts.iter().map(|(_, channels)| channels).sum();
        let read = self.shape.pixels() * inputs + added + self.outputs * self.depth;
        let size = (self.results, self.outputs);
        let layer = described::<E>(self.kernel.name(), size, self.depth, read);
        work::layer(layer, || {
            let mut output = residual
                .unwrap_or_else(|| Map::new(Buffer::<E>::new(length), self.results, self.outputs));
            run(&parts, epilogue, output.values_mut());
            output
        })
    }
}

/// Takes what is to be added to a result of some size and type; `None` if it has another. What was taken
/// holds its memory alone if the tensor did.
#[allow(clippy::option_option)]
fn take_residual<B: Backend>(
    residual: &mut Option<Tensor<B, 4>>,
    size: (Shape, usize),
    dtype: DType,
) -> Option<Option<Map>> {
    let Some(tensor) = residual.as_ref() else {
        return Some(None);
    };
    let map = Map::of(&flex_of(tensor)?)?;
    if (map.shape, map.channels) != size || map.dtype() != dtype {
        return None;
    }
    *residual = None;
    Some(Some(map))
}

/// As [`convolve`].
pub(in crate::engine) fn convolve_scaled<B: Backend>(
    layer: &FusedConvolution<B>,
    input: &Tensor<B, 4>,
    factors: &Tensor<B, 4>,
    residual: &mut Option<Tensor<B, 4>>,
) -> Option<Tensor<B, 4>> {
    let conv = layer.conv;
    let [outputs, inputs, ..] = conv.weight.dims();
    let of_pixels = sliding(conv)? == POINTWISE && conv.groups == 1;
    let input = Map::of(&flex_of(input)?)?;
    let Map {
        shape, channels, ..
    } = input;
    if input.dtype() != DType::F32 {
        return None;
    }
    let fitting = factors.dims() == [shape.images, inputs, 1, 1] && channels == inputs;
    // With fewer pixels there would be more weights to multiply.
    if !of_pixels || !fitting || shape.height * shape.width < outputs {
        return None;
    }
    let factors = Map::of(&flex_of(factors)?)?;
    let kernel = kernel_of(layer, POINTWISE)?;
    let Kernel::Product(product) = &*kernel else {
        unreachable!("packed by the layer itself")
    };
    let residual = take_residual(residual, (shape, outputs), DType::F32)?;
    let call = Call {
        kernel: &kernel,
        shape,
        results: shape,
        outputs,
        depth: inputs,
    };
    let (activation, rest) = split(layer.activation);
    let output = call.compute(&[input], residual, activation, |parts, epilogue, output| {
        product.run_scaled(shape, parts[0].0, factors.values(), epilogue, output);
    });
    Some(activated(tensor(output), rest))
}

/// Fewest pixels of an image that make it worth to expand a row at a time: all weights are read for
/// every row.
const LEAST_EXPANDED_PIXELS: usize = 32 * 32;

pub(in crate::engine) fn convolve_expanded<B: Backend>(
    expansion: &FusedConvolution<B>,
    layer: &FusedConvolution<B>,
    input: &Tensor<B, 4>,
    averaged: bool,
) -> Option<(Tensor<B, 4>, Option<Tensor<B, 4>>)> {
    let [expanded, inputs, ..] = expansion.conv.weight.dims();
    let [outputs, 1, ..] = layer.conv.weight.dims() else {
        return None;
    };
    let of_pixels = sliding(expansion.conv)? == POINTWISE && expansion.conv.groups == 1;
    let depthwise = layer.conv.groups == expanded && outputs == expanded;
    let map_of_input = Map::of(&flex_of(input)?)?;
    let (shape, dtype) = (map_of_input.shape, map_of_input.dtype());
    if dtype != DType::F32 && TileSet::current().is_some() {
        // Tiles expand faster than a kernel of f32, though all of the map then passes through memory.
        return None;
    }
    let map_of_input = map_of_input.widened();
    if !of_pixels || !depthwise || shape.height * shape.width < LEAST_EXPANDED_PIXELS {
        return None;
    }
    let sliding = sliding(layer.conv)?;
    let results = sliding.output(shape)?;
    let (between, None) = split(expansion.activation) else {
        return None;
    };
    let expand = kernel_of(expansion, POINTWISE)?;
    let convolve = kernel_of(layer, sliding)?;
    let (Kernel::Product(expand), Kernel::Depthwise(convolve)) = (&*expand, &*convolve) else {
        unreachable!("packed by the layers themselves")
    };
    let (activation, rest) = split(layer.activation);
    // Averages are those of what the kernel writes.
    let averaged = averaged && rest.is_none();
    let mut averages = averaged.then(|| Buffer::new(results.images * outputs));
    let values = map_of_input.values::<f32>();
    let taps = sliding.kernel[0] * sliding.kernel[1];
    // Products of the expansion for each result.
    let depth = taps + inputs * shape.pixels() / results.pixels();
    let read = values.len() + expanded * (inputs + taps);
    let output = compute("expanded", (results, outputs), depth, read, |output| {
        let averages = averages.as_deref_mut();
        convolve.run_expanded(
            (expand, between),
            shape,
            values,
            activation,
            output,
            averages,
        );
    });
    let output = Map::new(output, results, outputs).narrowed(dtype);
    let point = Shape {
        height: 1,
        width: 1,
        ..results
    };
    let averages = averages.map(|averages| Map::new(averages, point, outputs).narrowed(dtype));
    Some((activated(tensor(output), rest), averages.map(tensor)))
}

/// Fewest results in a row that make it worth to compute rows one by one: all weights are read for each.
const LEAST_POOLED_WIDTH: usize = 48;

/// Gives also the number of the convolution's own results.
pub(in crate::engine) fn convolve_pooled<B: Backend>(
    layer: &FusedConvolution<B>,
    pool: &MaxPool2d,
    input: &Tensor<B, 4>,
) -> Option<(Tensor<B, 4>, usize)> {
    let [outputs, inputs, rows, columns] = layer.conv.weight.dims();
    let (sliding, window) = (sliding(layer.conv)?, window(pool)?);
    let input = Map::of(&flex_of(input)?)?;
    let (shape, dtype) = (input.shape, input.dtype());
    let results = sliding.output(shape)?;
    let pooled = window.output(results)?;
    let (activation, None) = split(layer.activation) else {
        return None;
    };
    if results.width < LEAST_POOLED_WIDTH || layer.conv.groups > 1 || input.channels != inputs {
        return None;
    }
    let kernel = kernel_of(layer, sliding)?;
    let Kernel::Product(kernel) = &*kernel else {
        return None;
    };
    let input = input.widened();
    let values = input.values::<f32>();
    // Products of the convolution for each result.
    let taps = inputs * rows * columns;
    let depth = taps * results.pixels() / pooled.pixels();
    let read = values.len() + outputs * taps;
    let output = compute("pooled", (pooled, outputs), depth, read, |output| {
        kernel.run_pooled(shape, &[(values, inputs)], activation, window, output);
    });
    let output = Map::new(output, pooled, outputs).narrowed(dtype);
    Some((tensor(output), results.pixels() * outputs))
}

pub(in crate::engine) fn convolve_transposed<B: Backend>(
    packed: &Packed,
    conv: &ConvTranspose2d<B>,
    input: &Tensor<B, 4>,
) -> Option<Tensor<B, 4>> {
    let doubles = conv.kernel_size == [2, 2] && conv.stride == [2, 2] && conv.dilation == [1, 1];
    let unpadded = conv.padding == [0, 0] && conv.padding_out == [0, 0];
    if !doubles || !unpadded || conv.groups != 1 {
        return None;
    }
    let input = Map::of(&flex_of(input)?)?;
    let (shape, inputs, dtype) = (input.shape, input.channels, input.dtype());
    let weights = flex_of(&conv.weight.val())?;
    let [_, outputs, ..] = conv.weight.dims();
    let kernel = kernel(packed, &weights, || {
        let tiles = tiles_for(&weights);
        let bias = conv.bias.as_ref().map(|bias| contiguous(&bias.val()));
        let weights = contiguous(&conv.weight.val());
        let (weights, bias) = (values(&weights), bias.as_ref().map(values));
        match tiles {
            Some(tiles) => Kernel::TiledTransposed(TiledTransposedConv2x2::new(
                tiles, weights, inputs, outputs, bias,
            )),
            None => Kernel::Transposed(TransposedConv2x2::new(weights, inputs, outputs, bias)),
        }
    });
    let doubled = Shape {
        height: 2 * shape.height,
        width: 2 * shape.width,
        ..shape
    };
    let call = Call {
        kernel: &kernel,
        shape,
        results: doubled,
        outputs,
        depth: inputs,
    };
    let identity = vascx_kernels::Activation::Identity;
    let output = match (&*kernel, dtype) {
        (Kernel::TiledTransposed(kernel), DType::BF16) => {
            call.compute(&[input], None, identity, |parts, _, output| {
                kernel.run(shape, parts[0].0, output);
            })
        }
        (Kernel::Transposed(kernel), dtype) => {
            let input = input.widened();
            let output = call.compute(&[input], None, identity, |parts, _, output| {
                kernel.run(shape, parts[0].0, output);
            });
            output.narrowed(dtype)
        }
        _ => return None,
    };
    Some(tensor(output))
}

const POINTWISE: Sliding = Sliding {
    kernel: [1, 1],
    stride: [1, 1],
    padding: [0, 0],
    dilation: [1, 1],
};

/// In f32.
fn contiguous<B: Backend, const D: usize>(weights: &Tensor<B, D>) -> FlexTensor {
    flex_of(&weights.clone().cast(FloatDType::F32))
        .expect("of Flex like the feature maps")
        .to_contiguous()
}

fn values(contiguous: &FlexTensor) -> &[f32] {
    contiguous.as_slice().expect("contiguous f32")
}

fn tensor<B: Backend>(map: Map) -> Tensor<B, 4> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive::<B>(map.into_tensor())))
}

#[cfg(test)]
mod tests;
