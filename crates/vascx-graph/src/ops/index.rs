//! Parts of tensors, by range, by index or by mask.

use burn::tensor::Scalar;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::meta::{DType, Meta, broadcast};
use crate::operator::{Call, Operator, at_least, check_axis, exactly, take};
use crate::value::Value;

/// A range with PyTorch's conventions, within `0..=size`: negative bounds count from the end, and
/// all bounds are clamped.
fn range(start: i64, end: i64, size: usize) -> (usize, usize) {
    let size = size as i64;
    let bound = |value: i64| {
        let value = if value < 0 {
            value.saturating_add(size)
        } else {
            value
        };
        value.clamp(0, size) as usize
    };
    let (start, end) = (bound(start), bound(end));
    (start, end.max(start))
}

/// Every `step`-th element of a range of one axis; arguments are the tensor, start and end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Which axis.
    pub axis: usize,
    /// At least one.
    pub step: usize,
}

impl Slice {
    fn range(&self, shape: &[usize], start: &Meta, end: &Meta) -> Result<(usize, usize), String> {
        check_axis(self.axis, shape.len())?;
        if self.step == 0 || self.step > 1 << 30 {
            return Err(format!("step {}", self.step));
        }
        Ok(range(start.integer()?, end.integer()?, shape[self.axis]))
    }
}

impl Operator for Slice {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, start, end] = exactly(arguments)?;
        let mut shape = x.shape()?.to_vec();
        let (start, end) = self.range(&shape, start, end)?;
        shape[self.axis] = (end - start).div_ceil(self.step);
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, start, end] = take(call.arguments);
        let sizes = x.shape();
        let bound = |value: Value<B>| value.number().as_i64().unwrap_or(0);
        let (start, end) = range(bound(start), bound(end), sizes[self.axis]);
        if self.step == 1 && (start, end) == (0, sizes[self.axis]) {
            return x;
        }
        x.slice(self.axis, start, end, self.step)
    }
}

/// The tensor with a [`Slice`] of it replaced; arguments are the tensor, the new values (broadcast
/// to the slice), start and end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceAssign(pub Slice);

impl Operator for SliceAssign {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, value, start, end] = exactly(arguments)?;
        let shape = x.shape()?;
        let (start, end) = self.0.range(shape, start, end)?;
        let mut part = shape.to_vec();
        part[self.0.axis] = (end - start).div_ceil(self.0.step);
        if let Meta::Tensor { shape: value, .. } = value
            && broadcast(value, &part)? != part
        {
            return Err(format!("a tensor of {value:?} does not fit into {part:?}"));
        }
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, value, start, end] = take(call.arguments);
        let Slice { axis, step } = self.0;
        let mut part = x.shape();
        let bound = |value: Value<B>| value.number().as_i64().unwrap_or(0);
        let (start, end) = range(bound(start), bound(end), part[axis]);
        if start == end {
            return x;
        }
        part[axis] = (end - start).div_ceil(step);
        let dtype = match &x {
            Value::Int(_) => DType::Int,
            Value::Bool(_) => DType::Bool,
            _ => DType::Float,
        };
        let value = value.cast(dtype, call.device).expand(&part);
        x.slice_assign(axis, start, end, step, value)
    }
}

/// Replaces one axis by the axes of a tensor of indices: `x[:, indices]`. Negative indices count
/// from the end; those outside are clamped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexSelect(pub usize);

impl Operator for IndexSelect {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, indices] = exactly(arguments)?;
        let (shape, indices_shape) = (x.shape()?, indices.shape()?);
        check_axis(self.0, shape.len())?;
        if indices.dtype() != DType::Int {
            return Err("indices must be integers".into());
        }
        let mut result = shape.to_vec();
        result.splice(self.0..=self.0, indices_shape.iter().copied());
        Meta::tensor(x.dtype(), result)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, indices] = take(call.arguments);
        let count = indices.shape().iter().product();
        let size = x.shape()[self.0] as i64;
        let indices = indices.reshape(&[count]).int();
        x.select(self.0, in_range::<B>(indices, size))
            .reshape(call.shape)
    }
}

/// Brings indices into `0..size`.
pub(super) fn in_range<B: Backend>(
    indices: burn::tensor::ops::IntTensor<B>,
    size: i64,
) -> burn::tensor::ops::IntTensor<B> {
    let clamped = B::int_clamp(indices, Scalar::Int(-size), Scalar::Int(size - 1));
    B::int_remainder_scalar(clamped, Scalar::Int(size))
}

/// `out[i][j] = x[indices[i][j]][j]` for axis 0, and so on; arguments are the tensor and the
/// indices, whose other axes are no longer than the tensor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gather(pub usize);

impl Operator for Gather {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, indices] = exactly(arguments)?;
        let (shape, wanted) = (x.shape()?, indices.shape()?);
        check_axis(self.0, shape.len())?;
        let fits = shape.len() == wanted.len()
            && (0..shape.len()).all(|axis| axis == self.0 || wanted[axis] == shape[axis]);
        if !fits || indices.dtype() != DType::Int {
            return Err(format!("indices of {wanted:?} for a tensor of {shape:?}"));
        }
        Meta::tensor(x.dtype(), wanted)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, indices] = take(call.arguments);
        let indices = in_range::<B>(indices.int(), x.shape()[self.0] as i64);
        match x {
            Value::Float(x) => Value::Float(B::float_gather(self.0, x, indices)),
            x => Value::Int(B::int_gather(
                self.0,
                x.cast(DType::Int, call.device).int(),
                indices,
            )),
        }
    }
}

/// Moves elements along axes, those that leave come back at the other end; arguments are the
/// tensor and one distance per axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roll(pub Vec<usize>);

impl Operator for Roll {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x], shifts) = at_least(arguments)?;
        let shape = x.shape()?;
        if shifts.len() != self.0.len() {
            let (distances, axes) = (shifts.len(), self.0.len());
            return Err(format!("{distances} distances for {axes} axes"));
        }
        for (&axis, shift) in self.0.iter().zip(shifts) {
            check_axis(axis, shape.len())?;
            shift.integer()?;
        }
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let mut arguments = call.arguments.into_iter();
        let x = arguments.next().expect("inference checked for a tensor");
        self.0.iter().zip(arguments).fold(x, |x, (&axis, shift)| {
            let size = call.shape[axis];
            let shift = shift.number().as_i64().unwrap_or(0);
            let shift = shift.rem_euclid(size as i64) as usize;
            if shift == 0 {
                return x;
            }
            let tail = x.clone().slice(axis, size - shift, size, 1);
            Value::cat(vec![tail, x.slice(axis, 0, size - shift, 1)], axis)
        })
    }
}

/// The second argument where the first, a mask, holds, else the third.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Where;

impl Operator for Where {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [mask, yes, no] = exactly(arguments)?;
        let sizes = |meta: &Meta| match meta {
            Meta::Tensor { shape, .. } => shape.clone(),
            Meta::Number(_) => Vec::new(),
        };
        let shape = broadcast(&broadcast(mask.shape()?, &sizes(yes))?, &sizes(no))?;
        Meta::tensor(result_type(yes.dtype(), no.dtype()), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [mask, yes, no] = take(call.arguments);
        let dtype = |value: &Value<B>| match value {
            Value::Float(_) => DType::Float,
            Value::Int(_) => DType::Int,
            Value::Bool(_) => DType::Bool,
            Value::Number(number) => number.dtype(),
        };
        let dtype = result_type(dtype(&yes), dtype(&no));
        let Value::Bool(mask) = mask.cast(DType::Bool, call.device).expand(call.shape) else {
            unreachable!("cast to truth values")
        };
        let no = no.cast(dtype, call.device).expand(call.shape);
        let yes = yes.cast(dtype, call.device).expand(call.shape);
        match (no, yes) {
            (Value::Float(no), Value::Float(yes)) => {
                Value::Float(B::float_mask_where(no, mask, yes))
            }
            (Value::Int(no), Value::Int(yes)) => Value::Int(B::int_mask_where(no, mask, yes)),
            (Value::Bool(no), Value::Bool(yes)) => Value::Bool(B::bool_mask_where(no, mask, yes)),
            _ => unreachable!("cast to one element type"),
        }
    }
}

/// The element type that holds both.
fn result_type(a: DType, b: DType) -> DType {
    match (a, b) {
        (DType::Float, _) | (_, DType::Float) => DType::Float,
        (DType::Int, _) | (_, DType::Int) => DType::Int,
        _ => DType::Bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, ints, number, refused};

    #[test]
    fn ranges_follow_pytorch() {
        let x = floats(&[5], &[0.0, 1.0, 2.0, 3.0, 4.0]);
        let slice = |step| Slice { axis: 0, step };
        let every = [x.clone(), number(0), number(i64::MAX)];
        check(&slice(2).into(), &every, &[3], &[0.0, 2.0, 4.0], 0.0);
        let tail = [x.clone(), number(-2), number(i64::MAX)];
        check(&slice(1).into(), &tail, &[2], &[3.0, 4.0], 0.0);
        refused(&slice(1).into(), &[x.clone(), number(3), number(2)]);
        refused(&slice(0).into(), &tail);
        let assign = SliceAssign(slice(2));
        let arguments = [x, number(9), number(1), number(-1)];
        check(
            &assign.into(),
            &arguments,
            &[5],
            &[0.0, 9.0, 2.0, 9.0, 4.0],
            0.0,
        );
    }

    #[test]
    fn indices_choose_and_rolling_comes_back() {
        let x = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let indices = ints(&[2, 1], &[2, -3]);
        let chosen = [3.0, 1.0, 6.0, 4.0];
        check(
            &IndexSelect(1).into(),
            &[x.clone(), indices.clone()],
            &[2, 2, 1],
            &chosen,
            0.0,
        );
        check(
            &Gather(1).into(),
            &[x.clone(), indices],
            &[2, 1],
            &[3.0, 4.0],
            0.0,
        );
        let rolled = [6.0, 4.0, 5.0, 3.0, 1.0, 2.0];
        let arguments = [x.clone(), number(1), number(-2)];
        check(&Roll(vec![0, 1]).into(), &arguments, &[2, 3], &rolled, 0.0);
        let mask = ints(&[3], &[1, 0, 1]);
        let masked = [7.0, 2.0, 7.0, 7.0, 5.0, 7.0];
        check(&Where.into(), &[mask, number(7), x], &[2, 3], &masked, 0.0);
    }
}
