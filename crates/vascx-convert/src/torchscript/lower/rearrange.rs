//! Copies in another order.

use vascx_graph::{
    Arg, Binary, BinaryKind, Expand, Flip, Literal, Meta, Permute, Reshape, Roll, Unsqueeze,
};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::tensors::int;
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "repeat" | "tile" => evaluator.repeat(a),
        "repeat_interleave" => evaluator.repeat_each(a),
        "pixel_shuffle" | "pixel_unshuffle" | "channel_shuffle" => evaluator.shuffle(name, a),
        "roll" => evaluator.roll(a),
        "flip" => evaluator.flip(a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn repeat(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let counts = self.list(&a.need(1, "repeats")?)?;
        while self.rank(x)? < counts.len() {
            x = self.then(Unsqueeze(0), vec![x])?;
        }
        // Each axis becomes [count, size] and is flattened again.
        let Arg::Node(node) = x else {
            return Err("repeats a number".into());
        };
        let sizes = self.sizes(node)?;
        if counts.len() != sizes.len() {
            return Err("repeats fewer axes than there are".into());
        }
        for (axis, (&count, &size)) in counts.iter().zip(&sizes).enumerate() {
            if self.builder.argument(count) == Meta::Number(Literal::Int(1)) {
                continue;
            }
            x = self.then(Unsqueeze(axis), vec![x])?;
            let mut spread = vec![x];
            spread.extend(std::iter::repeat_n(int(-1), self.rank(x)?));
            spread[1 + axis] = count;
            x = self.then(Expand, spread)?;
            let Arg::Node(node) = x else {
                return Err("repeats a number".into());
            };
            let mut flat = self.sizes(node)?;
            let length = self.then(Binary(BinaryKind::Mul), vec![count, size])?;
            flat.splice(axis..axis + 2, [length]);
            x = self.then(Reshape, std::iter::once(x).chain(flat).collect())?;
        }
        Ok(self.fresh(x))
    }

    /// Every item of an axis several times, one after the other.
    fn repeat_each(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let count = a.need(1, "repeats")?;
        let (Value::Number(count), Some(axis)) = (count, a.get(2, "dim")) else {
            return Ok(self.unsupported("repeat_interleave by a tensor or of all axes"));
        };
        let rank = self.rank(x)?;
        let axis = self.axis(&axis, rank)?;
        let Arg::Node(node) = x else {
            return Err("repeats a number".into());
        };
        let mut flat = self.sizes(node)?;
        flat[axis] = self.then(Binary(BinaryKind::Mul), vec![flat[axis], count])?;
        let apart = self.then(Unsqueeze(axis + 1), vec![x])?;
        let mut spread = vec![int(-1); rank + 1];
        spread[axis + 1] = count;
        let spread = self.then(Expand, std::iter::once(apart).chain(spread).collect())?;
        self.emit(Reshape, std::iter::once(spread).chain(flat).collect())
    }

    fn shuffle(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let factor = a.need(1, "factor")?;
        let factor = int(self.integer(&factor)?.max(1));
        let Arg::Node(node) = x else {
            return Err("shuffles a number".into());
        };
        let sizes = self.sizes(node)?;
        let [n, c, h, w] = sizes[..] else {
            return Err("shuffles a tensor of other than four axes".into());
        };
        let divide = |this: &mut Self, x, y| this.then(Binary(BinaryKind::FloorDiv), vec![x, y]);
        let multiply = |this: &mut Self, x, y| this.then(Binary(BinaryKind::Mul), vec![x, y]);
        let (split, axes, joined) = match name {
            "pixel_shuffle" => {
                let square = multiply(self, factor, factor)?;
                let channels = divide(self, c, square)?;
                let (high, wide) = (multiply(self, h, factor)?, multiply(self, w, factor)?);
                (
                    vec![n, channels, factor, factor, h, w],
                    vec![0, 1, 4, 2, 5, 3],
                    vec![n, channels, high, wide],
                )
            }
            "pixel_unshuffle" => {
                let (low, narrow) = (divide(self, h, factor)?, divide(self, w, factor)?);
                let square = multiply(self, factor, factor)?;
                let channels = multiply(self, c, square)?;
                (
                    vec![n, c, low, factor, narrow, factor],
                    vec![0, 1, 3, 5, 2, 4],
                    vec![n, channels, low, narrow],
                )
            }
            _ => {
                let channels = divide(self, c, factor)?;
                (
                    vec![n, factor, channels, h, w],
                    vec![0, 2, 1, 3, 4],
                    vec![n, c, h, w],
                )
            }
        };
        let y = self.then(Reshape, std::iter::once(x).chain(split).collect())?;
        let y = self.then(Permute(axes), vec![y])?;
        self.emit(Reshape, std::iter::once(y).chain(joined).collect())
    }

    fn roll(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let shifts = self.list(&a.need(1, "shifts")?)?;
        let rank = self.rank(x)?;
        let given = a.need(2, "dims")?;
        let given = self.integers(&given)?;
        let axes = given
            .into_iter()
            .map(|axis| self.axis(&Value::int(axis), rank))
            .collect::<Outcome<_>>()?;
        self.emit(Roll(axes), std::iter::once(x).chain(shifts).collect())
    }

    fn flip(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        let axes = self.axes(a.get(1, "dims"), rank)?;
        self.emit(Flip(axes), vec![x])
    }
}
