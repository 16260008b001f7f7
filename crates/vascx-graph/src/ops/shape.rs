//! Other views of the same elements.

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::meta::Meta;
use crate::operator::{Call, Operator, at_least, check_axis, exactly, take};
use crate::value::Value;

/// The size of one axis, as a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size(pub usize);

impl Operator for Size {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let shape = x.shape()?;
        check_axis(self.0, shape.len())?;
        Ok(Meta::int(shape[self.0] as i64))
    }

    fn run<B: Backend>(&self, _: Call<B>) -> Value<B> {
        unreachable!("inference gives the number")
    }
}

/// Another shape for the same elements; arguments are the tensor and the sizes, one of which may
/// be −1 for what is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reshape;

impl Operator for Reshape {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x], sizes) = at_least(arguments)?;
        let shape = x.shape()?;
        let elements: usize = shape.iter().product();
        let sizes = sizes
            .iter()
            .map(Meta::integer)
            .collect::<Result<Vec<_>, _>>()?;
        let refused = || format!("shape {shape:?} cannot become {sizes:?}");
        let mut known = 1_usize;
        let mut result = Vec::with_capacity(sizes.len());
        for &size in &sizes {
            let size = if size == -1 { 1 } else { size };
            let size = usize::try_from(size).map_err(|_| refused())?;
            known = known.checked_mul(size).ok_or_else(refused)?;
            result.push(size);
        }
        let open: Vec<usize> = (0..sizes.len()).filter(|&axis| sizes[axis] == -1).collect();
        match open[..] {
            [] => {}
            [axis] if known > 0 && elements.is_multiple_of(known) => {
                result[axis] = elements / known;
            }
            _ => return Err(refused()),
        }
        if result.iter().product::<usize>() != elements {
            return Err(refused());
        }
        Meta::tensor(x.dtype(), result)
    }

    fn run<B: Backend>(&self, mut call: Call<B>) -> Value<B> {
        call.arguments.swap_remove(0).reshape(call.shape)
    }
}

/// Axes in another order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permute(pub Vec<usize>);

impl Operator for Permute {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let shape = x.shape()?;
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..shape.len()) {
            return Err(format!("{:?} is no order of {} axes", self.0, shape.len()));
        }
        let shape: Vec<usize> = self.0.iter().map(|&axis| shape[axis]).collect();
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        x.permute(&self.0)
    }
}

/// Repeats axes of size one, and new axes in front; arguments are the tensor and the sizes, where
/// −1 keeps one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expand;

impl Operator for Expand {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x], sizes) = at_least(arguments)?;
        let shape = x.shape()?;
        let Some(new) = sizes.len().checked_sub(shape.len()) else {
            let axes = sizes.len();
            return Err(format!("shape {shape:?} has more than {axes} axes"));
        };
        let mut result = Vec::with_capacity(sizes.len());
        for (axis, size) in sizes.iter().enumerate() {
            let old = axis.checked_sub(new).map(|axis| shape[axis]);
            result.push(match (old, size.integer()?) {
                (Some(old), -1) => old,
                (Some(1) | None, size) => {
                    usize::try_from(size).map_err(|_| format!("cannot expand to size {size}"))?
                }
                (Some(old), size) if old as i64 == size => old,
                (Some(old), size) => return Err(format!("cannot expand size {old} to {size}")),
            });
        }
        Meta::tensor(x.dtype(), result)
    }

    fn run<B: Backend>(&self, mut call: Call<B>) -> Value<B> {
        call.arguments.swap_remove(0).expand(call.shape)
    }
}

/// Removes axes, which must be of size one; in ascending order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Squeeze(pub Vec<usize>);

impl Operator for Squeeze {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let shape = x.shape()?;
        for &axis in &self.0 {
            check_axis(axis, shape.len())?;
            if shape[axis] != 1 {
                return Err(format!("axis {axis} of {shape:?} is not of size one"));
            }
        }
        let kept = (0..shape.len()).filter(|axis| !self.0.contains(axis));
        Meta::tensor(x.dtype(), kept.map(|axis| shape[axis]).collect::<Vec<_>>())
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        x.reshape(call.shape)
    }
}

/// Inserts an axis of size one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unsqueeze(pub usize);

impl Operator for Unsqueeze {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let mut shape = x.shape()?.to_vec();
        check_axis(self.0, shape.len() + 1)?;
        shape.insert(self.0, 1);
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        x.reshape(call.shape)
    }
}

/// Concatenates along an axis; a number converts none of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cat(pub usize);

impl Operator for Cat {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([first], _) = at_least(arguments)?;
        let mut shape = first.shape()?.to_vec();
        check_axis(self.0, shape.len())?;
        shape[self.0] = 0;
        for meta in arguments {
            let mut other = meta.shape()?.to_vec();
            let size = other.get(self.0).copied().unwrap_or(0);
            let total = shape[self.0].saturating_add(size);
            if let Some(entry) = other.get_mut(self.0) {
                *entry = shape[self.0];
            }
            if other != shape || meta.dtype() != first.dtype() {
                let (first, other, axis) = (first.shape()?, meta.shape()?, self.0);
                return Err(format!("{first:?} and {other:?} differ beside axis {axis}"));
            }
            shape[self.0] = total;
        }
        Meta::tensor(first.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        Value::cat(call.arguments, self.0)
    }
}

/// Reverses axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flip(pub Vec<usize>);

impl Operator for Flip {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let shape = x.shape()?;
        for &axis in &self.0 {
            check_axis(axis, shape.len())?;
        }
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        x.flip(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, number, refused};

    #[test]
    fn shapes_change_and_elements_stay() {
        let x = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        check(
            &Reshape.into(),
            &[x.clone(), number(3), number(-1)],
            &[3, 2],
            &row,
            0.0,
        );
        check(
            &Unsqueeze(1).into(),
            std::slice::from_ref(&x),
            &[2, 1, 3],
            &row,
            0.0,
        );
        let turned = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        check(
            &Permute(vec![1, 0]).into(),
            std::slice::from_ref(&x),
            &[3, 2],
            &turned,
            0.0,
        );
        let flipped = [3.0, 2.0, 1.0, 6.0, 5.0, 4.0];
        check(
            &Flip(vec![1]).into(),
            std::slice::from_ref(&x),
            &[2, 3],
            &flipped,
            0.0,
        );
        let doubled = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 4.0, 5.0, 6.0];
        check(
            &Cat(1).into(),
            &[x.clone(), x.clone()],
            &[2, 6],
            &doubled,
            0.0,
        );
        let column = floats(&[2, 1], &[1.0, 2.0]);
        let wide = [1.0, 1.0, 2.0, 2.0];
        check(
            &Expand.into(),
            &[column.clone(), number(-1), number(2)],
            &[2, 2],
            &wide,
            0.0,
        );
        check(&Squeeze(vec![1]).into(), &[column], &[2], &[1.0, 2.0], 0.0);
        for sizes in [[-1, -1], [4, 2], [0, -1], [-2, 3]] {
            refused(
                &Reshape.into(),
                &[x.clone(), number(sizes[0]), number(sizes[1])],
            );
        }
        refused(&Permute(vec![0, 0]).into(), std::slice::from_ref(&x));
        refused(&Squeeze(vec![0]).into(), std::slice::from_ref(&x));
        refused(&Cat(1).into(), &[x, floats(&[1, 3], &[0.0; 3])]);
    }
}
