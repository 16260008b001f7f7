//! Values while a graph runs: tensors of any rank on the backend, or numbers.

use burn::tensor::backend::Backend;
use burn::tensor::ops::{BoolTensor, FloatTensor, IntTensor};
use burn::tensor::{FloatDType, Scalar, Shape, Slice, TensorMetadata, get_device_settings};

use super::meta::{DType, Literal};
use crate::engine;

/// A value on the device. A tensor without axes is held with one axis of size one, because burn
/// has none of rank zero.
#[derive(Clone, Debug)]
pub(crate) enum Value<B: Backend> {
    Float(FloatTensor<B>),
    Int(IntTensor<B>),
    Bool(BoolTensor<B>),
    Number(Literal),
}

/// Applies a structural operation of the backend to whichever tensor is held.
macro_rules! each {
    ($value:expr, $float:ident, $int:ident, $bool:ident $(, $argument:expr)*) => {
        match $value {
            Value::Float(tensor) => Value::Float(B::$float(tensor $(, $argument)*)),
            Value::Int(tensor) => Value::Int(B::$int(tensor $(, $argument)*)),
            Value::Bool(tensor) => Value::Bool(B::$bool(tensor $(, $argument)*)),
            Value::Number(number) => Value::Number(number),
        }
    };
}

/// The shape in which burn holds a tensor.
fn held(shape: &[usize]) -> Shape {
    if shape.is_empty() {
        Shape::from([1])
    } else {
        Shape::from(shape.to_vec())
    }
}

impl<B: Backend> Value<B> {
    /// Sizes as burn holds them; empty for a number.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Float(tensor) => tensor.shape().to_vec(),
            Self::Int(tensor) => tensor.shape().to_vec(),
            Self::Bool(tensor) => tensor.shape().to_vec(),
            Self::Number(_) => Vec::new(),
        }
    }

    /// The float tensor that shape inference promised.
    pub(crate) fn float(self) -> FloatTensor<B> {
        match self {
            Self::Float(tensor) => tensor,
            _ => unreachable!("inference checked the element type"),
        }
    }

    pub(crate) fn int(self) -> IntTensor<B> {
        match self {
            Self::Int(tensor) => tensor,
            _ => unreachable!("inference checked the element type"),
        }
    }

    pub(crate) fn number(&self) -> Literal {
        match self {
            Self::Number(number) => *number,
            _ => unreachable!("inference checked that this is a number"),
        }
    }

    /// Element type of a tensor of floats.
    pub(crate) fn float_dtype(&self) -> Option<FloatDType> {
        match self {
            Self::Float(tensor) => Some(tensor.dtype().into()),
            _ => None,
        }
    }

    /// The same floats in another element type; other values stay.
    pub(crate) fn with_float_dtype(self, dtype: FloatDType) -> Self {
        match self {
            Self::Float(tensor) if FloatDType::from(tensor.dtype()) != dtype => {
                Self::Float(engine::cast_primitive::<B>(tensor, dtype))
            }
            same => same,
        }
    }

    /// A tensor filled with a number.
    pub(crate) fn full(shape: &[usize], dtype: DType, fill: Literal, device: &B::Device) -> Self {
        let settings = get_device_settings::<B>(device);
        let (shape, bools) = (held(shape), settings.bool_dtype);
        match dtype {
            DType::Float => {
                let fill = Scalar::Float(fill.as_f64());
                Self::Float(B::float_full(shape, fill, device, settings.float_dtype))
            }
            DType::Int => {
                let fill = Scalar::Int(fill.as_f64() as i64);
                Self::Int(B::int_full(shape, fill, device, settings.int_dtype))
            }
            DType::Bool if fill.is_true() => Self::Bool(B::bool_ones(shape, device, bools)),
            DType::Bool => Self::Bool(B::bool_zeros(shape, device, bools)),
        }
    }

    /// Converts to another element type. A number becomes a tensor of one element.
    pub(crate) fn cast(self, dtype: DType, device: &B::Device) -> Self {
        let settings = get_device_settings::<B>(device);
        let (floats, ints) = (settings.float_dtype, settings.int_dtype);
        let (bools, zero) = (settings.bool_dtype, Scalar::Int(0));
        match (self, dtype) {
            (Self::Number(number), dtype) => Self::full(&[1], dtype, number, device),
            // Towards zero, as PyTorch does.
            (Self::Float(x), DType::Int) => Self::Int(B::float_into_int(x, ints)),
            (Self::Float(x), DType::Bool) => {
                Self::Bool(B::float_not_equal_elem(x, Scalar::Float(0.0), bools))
            }
            (Self::Int(x), DType::Float) => Self::Float(B::int_into_float(x, floats)),
            (Self::Int(x), DType::Bool) => Self::Bool(B::int_not_equal_elem(x, zero, bools)),
            (Self::Bool(x), DType::Float) => Self::Float(B::bool_into_float(x, floats)),
            (Self::Bool(x), DType::Int) => Self::Int(B::bool_into_int(x, ints)),
            (same, _) => same,
        }
    }

    pub(crate) fn reshape(self, shape: &[usize]) -> Self {
        each!(self, float_reshape, int_reshape, bool_reshape, held(shape))
    }

    /// Prepends axes of size one.
    pub(crate) fn with_rank(self, rank: usize) -> Self {
        let shape = self.shape();
        if shape.len() >= rank {
            return self;
        }
        let mut padded = vec![1; rank - shape.len()];
        padded.extend(shape);
        self.reshape(&padded)
    }

    pub(crate) fn permute(self, axes: &[usize]) -> Self {
        each!(self, float_permute, int_permute, bool_permute, axes)
    }

    pub(crate) fn flip(self, axes: &[usize]) -> Self {
        each!(self, float_flip, int_flip, bool_flip, axes)
    }

    /// Broadcasts to the shape.
    pub(crate) fn expand(self, shape: &[usize]) -> Self {
        let shape = held(shape).to_vec();
        if self.shape() == shape {
            return self;
        }
        let padded = self.with_rank(shape.len());
        let shape = Shape::from(shape);
        each!(padded, float_expand, int_expand, bool_expand, shape)
    }

    /// Every `step`-th element of `start..end` of one axis.
    pub(crate) fn slice(self, axis: usize, start: usize, end: usize, step: usize) -> Self {
        let slices = slices(&self.shape(), axis, start, end, step);
        each!(self, float_slice, int_slice, bool_slice, &slices)
    }

    /// Replaces what [`Value::slice`] would give; `value` is of the same element type and shape.
    pub(crate) fn slice_assign(
        self,
        axis: usize,
        start: usize,
        end: usize,
        step: usize,
        value: Self,
    ) -> Self {
        let slices = slices(&self.shape(), axis, start, end, step);
        match (self, value) {
            (Self::Float(a), Self::Float(b)) => Self::Float(B::float_slice_assign(a, &slices, b)),
            (Self::Int(a), Self::Int(b)) => Self::Int(B::int_slice_assign(a, &slices, b)),
            (Self::Bool(a), Self::Bool(b)) => Self::Bool(B::bool_slice_assign(a, &slices, b)),
            (same, _) => same,
        }
    }

    /// The chosen entries of one axis; `indices` has one axis.
    pub(crate) fn select(self, axis: usize, indices: IntTensor<B>) -> Self {
        each!(self, float_select, int_select, bool_select, axis, indices)
    }

    /// Concatenates tensors of one element type.
    pub(crate) fn cat(values: Vec<Self>, axis: usize) -> Self {
        let (mut floats, mut ints, mut bools) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            match value {
                Self::Float(tensor) => floats.push(tensor),
                Self::Int(tensor) => ints.push(tensor),
                Self::Bool(tensor) => bools.push(tensor),
                Self::Number(_) => unreachable!("inference checked for tensors"),
            }
        }
        if !floats.is_empty() {
            Self::Float(B::float_cat(floats, axis))
        } else if !ints.is_empty() {
            Self::Int(B::int_cat(ints, axis))
        } else {
            Self::Bool(B::bool_cat(bools, axis))
        }
    }
}

fn slices(shape: &[usize], axis: usize, start: usize, end: usize, step: usize) -> Vec<Slice> {
    let whole = |&size: &usize| Slice::new(0, Some(size as isize), 1);
    let mut slices: Vec<Slice> = shape.iter().map(whole).collect();
    slices[axis] = Slice::new(start as isize, Some(end as isize), step as isize);
    slices
}
