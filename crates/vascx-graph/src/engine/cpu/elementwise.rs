//! Elementwise kernels, in whatever order a tensor's elements lie in memory.

use burn::backend::flex::FlexTensor;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, TensorMetadata};
use half::bf16;
use vascx_kernels::{InstructionSet, activate_all, combine};

use super::buffers::{Buffer, Stored};
use super::{compute, flex, line, primitive, split};
use crate::Activation;
use crate::engine::Arithmetic;

/// Fewest values in a row for which vectors pay.
const LEAST_ROW: usize = 8;

/// A tensor whose elements fill a stretch of memory without gaps, in some order of its axes.
pub(super) struct Dense {
    tensor: FlexTensor,
    /// Axes from the slowest to the fastest.
    order: Vec<usize>,
}

impl Dense {
    pub(super) fn of(tensor: FlexTensor) -> Option<Self> {
        let strides = tensor.layout().strides();
        let mut order: Vec<usize> = (0..strides.len()).collect();
        order.sort_by_key(|&axis| std::cmp::Reverse(strides[axis]));
        fills(&tensor, &order).then_some(Self { tensor, order })
    }

    /// The values, of the tensor's own type.
    fn values<E: Stored>(&self) -> &[E] {
        let layout = self.tensor.layout();
        &E::storage(&self.tensor)[layout.start_offset()..][..layout.num_elements()]
    }

    pub(super) fn dtype(&self) -> DType {
        TensorMetadata::dtype(&self.tensor)
    }

    pub(super) fn into_inner(self) -> FlexTensor {
        self.tensor
    }

    /// The same in another type.
    pub(super) fn converted<I: Stored, O: Stored>(&self) -> FlexTensor {
        let values = self.values::<I>();
        let mut output = Buffer::<O>::new(values.len());
        vascx_kernels::convert(values, &mut output);
        self.like(output)
    }

    fn shape(&self) -> &[usize] {
        self.tensor.layout().shape().as_slice()
    }

    /// A tensor of the same shape and order.
    fn like<E: Stored>(&self, values: Buffer<E>) -> FlexTensor {
        let sizes: Vec<usize> = self.order.iter().map(|&axis| self.shape()[axis]).collect();
        values.into_tensor(sizes).permute(&inverse(&self.order))
    }
}

/// Whether the elements, with the axes in this order, lie side by side. Axes of one element are
/// nowhere.
fn fills(tensor: &FlexTensor, order: &[usize]) -> bool {
    let layout = tensor.layout();
    let mut expected = 1;
    order.iter().rev().all(|&axis| {
        let size = layout.shape().as_slice()[axis];
        let fits = size == 1 || layout.strides()[axis] == expected;
        expected *= size as isize;
        fits
    })
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (place, &axis) in order.iter().enumerate() {
        inverse[axis] = place;
    }
    inverse
}

/// For a tensor that is contiguous in another order of its axes: that order, and the way back.
pub(in crate::engine) fn memory_order<B: Backend>(
    tensor: &B::FloatTensorPrimitive,
) -> Option<(Vec<usize>, Vec<usize>)> {
    let flex = flex::<B>(tensor)?;
    if flex.is_contiguous() {
        return None;
    }
    let Dense { tensor, order } = Dense::of(flex)?;
    let back = inverse(&order);
    tensor
        .permute(&order)
        .is_contiguous()
        .then_some((order, back))
}

pub(in crate::engine) fn activate<B: Backend>(
    activation: Activation,
    tensor: &B::FloatTensorPrimitive,
) -> Option<B::FloatTensorPrimitive> {
    let (activation, None) = split(Some(activation)) else {
        return None;
    };
    let tensor = Dense::of(flex::<B>(tensor)?)?;
    let output = if tensor.dtype() == DType::BF16 {
        activated::<bf16>(activation, &tensor)
    } else {
        activated::<f32>(activation, &tensor)
    };
    Some(primitive::<B>(output))
}

fn activated<E: Stored>(activation: vascx_kernels::Activation, tensor: &Dense) -> FlexTensor {
    let values = tensor.values::<E>();
    let size = line(values.len());
    let output = compute("activation", size, 0, values.len(), |output| {
        activate_all(InstructionSet::current(), activation, values, output);
    });
    tensor.like(output)
}

/// `a ∘ b` of tensors of one rank. The result has the shape of `a`; `b` may be broadcast, if its
/// repeated axes lie side by side in the memory of `a`.
pub(in crate::engine) fn arithmetic<B: Backend>(
    arithmetic: Arithmetic,
    a: &B::FloatTensorPrimitive,
    b: &B::FloatTensorPrimitive,
) -> Option<B::FloatTensorPrimitive> {
    let a = Dense::of(flex::<B>(a)?)?;
    let b = flex::<B>(b)?;
    if a.dtype() != TensorMetadata::dtype(&b) {
        return None;
    }
    let sizes = b.layout().shape().to_vec();
    if sizes.len() != a.order.len() {
        return None;
    }
    let mut extents = [1; 3];
    let mut stage = 0;
    for &axis in &a.order {
        let size = a.shape()[axis];
        let repeated = match sizes[axis] {
            _ if size == 1 && sizes[axis] == 1 => continue,
            own if own == size => false,
            1 => true,
            _ => return None,
        };
        // Kept axes, then repeated ones, then kept ones.
        match (stage, repeated) {
            (0, true) => stage = 1,
            (1, false) => stage = 2,
            (2, true) => return None,
            _ => {}
        }
        extents[stage] *= size;
    }
    let [_, repeat, inner] = extents;
    if repeat > 1 && inner < LEAST_ROW {
        return None;
    }
    let b = if fills(&b, &a.order) {
        b
    } else {
        b.permute(&a.order).to_contiguous()
    };
    let output = if a.dtype() == DType::BF16 {
        combined::<bf16>(arithmetic, &a, &b, extents)
    } else {
        combined::<f32>(arithmetic, &a, &b, extents)
    };
    Some(primitive::<B>(output))
}

/// `b` lies in memory without gaps.
fn combined<E: Stored>(
    arithmetic: Arithmetic,
    a: &Dense,
    b: &FlexTensor,
    extents: [usize; 3],
) -> FlexTensor {
    let layout = b.layout();
    let b = &E::storage(b)[layout.start_offset()..][..layout.num_elements()];
    let values = a.values::<E>();
    let (size, read) = (line(values.len()), values.len() + b.len());
    let output = compute("arithmetic", size, 0, read, |output| {
        combine(
            InstructionSet::current(),
            arithmetic,
            values,
            b,
            extents,
            output,
        );
    });
    a.like(output)
}
