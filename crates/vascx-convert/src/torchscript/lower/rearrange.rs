//! Copies in another order.

use vascx_graph::{Arg, Binary, BinaryKind, Expand, Flip, Permute, Reshape, Roll, Unsqueeze};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn repeat(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let counts = self.list(&a.need(1, "repeats")?)?;
        while self.rank(x)? < counts.len() {
            x = self.then(Unsqueeze(0), vec![x])?;
        }
        let x = lowering::repeated(&mut self.builder, x, &counts)?;
        Ok(self.fresh(x))
    }

    /// Every item of an axis several times, one after the other.
    pub(super) fn repeat_each(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let count = a.need(1, "repeats")?;
        let (Value::Number(count), Some(axis)) = (count, a.get(2, "dim")) else {
            return Ok(self.unsupported("repeat_interleave by a tensor or of all axes"));
        };
        let rank = self.rank(x)?;
        let axis = self.axis(&axis, rank)?;
        let mut flat = self.builder.sizes(x)?;
        flat[axis] = self.then(Binary(BinaryKind::Mul), vec![flat[axis], count])?;
        let apart = self.then(Unsqueeze(axis + 1), vec![x])?;
        let mut spread = vec![Arg::int(-1); rank + 1];
        spread[axis + 1] = count;
        let spread = self.then(Expand, std::iter::once(apart).chain(spread).collect())?;
        self.emit(Reshape, std::iter::once(spread).chain(flat).collect())
    }

    pub(super) fn shuffle(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let factor = self.integer(&a.need(1, "factor")?)?.max(1);
        if name == "pixel_shuffle" {
            let y = lowering::pixels_of_channels(&mut self.builder, x, factor, true)?;
            return Ok(self.fresh(y));
        }
        let factor = Arg::int(factor);
        let [n, c, h, w] = self.builder.sizes(x)?[..] else {
            return Err("shuffles a tensor of other than four axes".into());
        };
        let divide = |this: &mut Self, x, y| this.then(Binary(BinaryKind::FloorDiv), vec![x, y]);
        let (split, axes, joined) = if name == "pixel_unshuffle" {
            let (low, narrow) = (divide(self, h, factor)?, divide(self, w, factor)?);
            let channels = lowering::product(&mut self.builder, &[c, factor, factor])?;
            (
                vec![n, c, low, factor, narrow, factor],
                vec![0, 1, 3, 5, 2, 4],
                [n, channels, low, narrow],
            )
        } else {
            let channels = divide(self, c, factor)?;
            (
                vec![n, factor, channels, h, w],
                vec![0, 2, 1, 3, 4],
                [n, c, h, w],
            )
        };
        let y = lowering::reshaped(&mut self.builder, x, split)?;
        let y = self.then(Permute(axes), vec![y])?;
        let y = lowering::reshaped(&mut self.builder, y, joined)?;
        Ok(self.fresh(y))
    }

    pub(super) fn roll(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let shifts = self.list(&a.need(1, "shifts")?)?;
        let rank = self.rank(x)?;
        let axes = self.axes_in_order(&a.need(2, "dims")?, rank)?;
        self.emit(Roll(axes), std::iter::once(x).chain(shifts).collect())
    }

    pub(super) fn flip(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        let axes = self.axes(a.get(1, "dims"), rank)?;
        self.emit(Flip(axes), vec![x])
    }
}
