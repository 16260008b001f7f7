//! Padding.

use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::meta::{DType, Meta};
use crate::operator::{Call, Operator, at_least};
use crate::value::Value;

/// Adds elements at both ends of the last axes; arguments are the tensor, the fill, and pairs of
/// counts (before, after) beginning with the last axis. Negative counts crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pad(pub PadMode);

/// What the new elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// The fill.
    Constant,
    /// A mirror at the edge that does not repeat it.
    Reflect,
    /// The edge, repeated.
    Replicate,
    /// The other end.
    Circular,
}

/// Most elements added at one end.
const MAX_PAD: i64 = 1 << 20;

impl Operator for Pad {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x, fill], pads) = at_least(arguments)?;
        fill.number()?;
        let mut shape = x.shape()?.to_vec();
        if pads.len() % 2 != 0 || pads.len() / 2 > shape.len() {
            return Err(format!("{} counts for shape {shape:?}", pads.len()));
        }
        for (index, pair) in pads.chunks(2).enumerate() {
            let axis = shape.len() - 1 - index;
            let size = shape[axis] as i64;
            let [before, after] = [pair[0].integer()?, pair[1].integer()?];
            if before.max(after) > MAX_PAD || before.min(after) < -MAX_PAD {
                return Err(format!("padding by {before} and {after}"));
            }
            let longest = match self.0 {
                PadMode::Constant | PadMode::Replicate => MAX_PAD,
                PadMode::Reflect => size - 1,
                PadMode::Circular => size,
            };
            let total = size + before + after;
            if before.max(after) > longest || total <= 0 || size + before.min(0) + after.min(0) <= 0
            {
                return Err(format!(
                    "a side of {size} cannot be padded by {before} and {after}"
                ));
            }
            shape[axis] = total as usize;
        }
        Meta::tensor(x.dtype(), shape)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let mut arguments = call.arguments.into_iter();
        let (Some(mut x), Some(fill)) = (arguments.next(), arguments.next()) else {
            unreachable!("inference checked the number of arguments")
        };
        let fill = fill.number();
        let counts: Vec<i64> = arguments
            .map(|count| count.number().as_i64().unwrap_or(0))
            .collect();
        for (index, pair) in counts.chunks(2).enumerate() {
            let axis = call.shape.len() - 1 - index;
            let [before, after] = [pair[0], pair[1]];
            let size = x.shape()[axis] as i64;
            if before < 0 || after < 0 {
                let (start, end) = ((-before).max(0), size + after.min(0));
                x = x.slice(axis, start as usize, end as usize, 1);
            }
            let (before, after) = (before.max(0) as usize, after.max(0) as usize);
            if before + after > 0 {
                x = self.extend(x, axis, before, after, fill, call.device);
            }
        }
        x
    }
}

impl Pad {
    fn extend<B: Backend>(
        &self,
        x: Value<B>,
        axis: usize,
        before: usize,
        after: usize,
        fill: crate::Literal,
        device: &B::Device,
    ) -> Value<B> {
        let shape = x.shape();
        let size = shape[axis];
        let dtype = match &x {
            Value::Int(_) => DType::Int,
            Value::Bool(_) => DType::Bool,
            _ => DType::Float,
        };
        let edge = |count: usize, first: bool| {
            let mut target = shape.clone();
            target[axis] = count;
            match self.0 {
                PadMode::Constant => Value::full(&target, dtype, fill, device),
                PadMode::Replicate => {
                    let at = if first { 0 } else { size - 1 };
                    x.clone().slice(axis, at, at + 1, 1).expand(&target)
                }
                PadMode::Reflect => {
                    let start = if first { 1 } else { size - 1 - count };
                    x.clone().slice(axis, start, start + count, 1).flip(&[axis])
                }
                PadMode::Circular => {
                    let start = if first { size - count } else { 0 };
                    x.clone().slice(axis, start, start + count, 1)
                }
            }
        };
        let mut parts = Vec::with_capacity(3);
        if before > 0 {
            parts.push(edge(before, true));
        }
        parts.push(x.clone());
        if after > 0 {
            parts.push(edge(after, false));
        }
        Value::cat(parts, axis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, number, refused};

    #[test]
    fn every_mode_fills_both_ends() {
        let x = floats(&[1, 3], &[1.0, 2.0, 3.0]);
        let by = |before, after| [x.clone(), number(9), number(before), number(after)];
        for (mode, expected) in [
            (PadMode::Constant, [9.0, 9.0, 1.0, 2.0, 3.0, 9.0]),
            (PadMode::Reflect, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]),
            (PadMode::Replicate, [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]),
            (PadMode::Circular, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]),
        ] {
            check(&Pad(mode).into(), &by(2, 1), &[1, 6], &expected, 0.0);
        }
        check(
            &Pad(PadMode::Constant).into(),
            &by(1, -2),
            &[1, 2],
            &[9.0, 1.0],
            0.0,
        );
        refused(&Pad(PadMode::Reflect).into(), &by(3, 0));
        refused(&Pad(PadMode::Constant).into(), &by(-2, -1));
        refused(&Pad(PadMode::Constant).into(), &by(i64::MAX, 1));
    }
}
