//! Products with a matrix: a 1 × 1 convolution of whatever lies along the last axis.

use burn::tensor::{DType, FloatDType, Shape as TensorShape, backend::Backend};
use vascx_kernels::{Convolution, Shape, TiledConvolution};

use super::super::{Map, cast, flex, primitive, split};
use super::{Call, Kernel, POINTWISE, Packed, kernel, tiles_for, values};
use crate::Activation;

/// `[…, I]` times a weight `[I, O]`.
pub(in crate::engine) fn multiply<B: Backend>(
    packed: &Packed,
    input: &B::FloatTensorPrimitive,
    weight: &B::FloatTensorPrimitive,
    bias: Option<&B::FloatTensorPrimitive>,
    activation: Option<Activation>,
) -> Option<B::FloatTensorPrimitive> {
    let input = flex::<B>(input)?.to_contiguous();
    let weights = flex::<B>(weight)?;
    let &[inputs, outputs] = weights.layout().shape().as_slice() else {
        return None;
    };
    let (activation, None) = split(activation) else {
        return None;
    };
    let kernel = kernel(packed, &weights, || {
        let wide = |tensor| cast::<B>(tensor, FloatDType::F32).and_then(|wide| flex::<B>(&wide));
        // The kernel has its weights the other way round.
        let weight = wide(weight)
            .expect("dense weights")
            .transpose(0, 1)
            .to_contiguous();
        let bias = bias.map(|bias| wide(bias).expect("dense").to_contiguous());
        let (weight, bias) = (values(&weight), bias.as_ref().map(values));
        match tiles_for(&weights) {
            Some(tiles) => Kernel::Tiled(TiledConvolution::new(
                tiles, weight, outputs, inputs, bias, POINTWISE,
            )),
            None => Kernel::Product(Convolution::new(weight, outputs, inputs, bias, POINTWISE)),
        }
    });
    let mut shape = input.layout().shape().to_vec();
    let rows = Shape {
        images: 1,
        height: 1,
        width: input.layout().num_elements() / inputs,
    };
    let call = Call {
        kernel: &kernel,
        shape: rows,
        results: rows,
        outputs,
        depth: inputs,
    };
    let input = Map {
        shape: rows,
        channels: inputs,
        last: input,
    };
    *shape.last_mut()? = outputs;
    let shape = TensorShape::from(shape);
    let output = match (&*kernel, input.dtype()) {
        (Kernel::Tiled(kernel), DType::BF16) => {
            call.compute(&[input], None, activation, |parts, epilogue, output| {
                kernel.run(rows, parts, epilogue, output);
            })
        }
        (Kernel::Product(kernel), dtype) => {
            let input = input.widened();
            let output = call.compute(&[input], None, activation, |parts, epilogue, output| {
                kernel.run(rows, parts, epilogue, output);
            });
            output.narrowed(dtype)
        }
        _ => return None,
    };
    Some(primitive::<B>(output.last.reshape(shape)))
}
