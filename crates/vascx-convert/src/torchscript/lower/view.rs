//! Views, which share memory with their tensor.

use vascx_graph::{
    Arg, Binary, BinaryKind, Expand, Literal, Meta, Op, Permute, Reshape, Slice, Squeeze, Unsqueeze,
};

use super::Arguments;
use super::operands::tensor;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    /// Views, which share memory with their tensor.
    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    pub(super) fn reshape(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let node = self.node(&x)?;
        let rank = self.builder.shape(node)?.len();
        let (op, arguments): (Op, Vec<Arg>) = match name {
            // A view as another element type has a number where the shape stands.
            "reshape" | "view" => (Reshape.into(), self.list(&a.need(1, "shape")?)?),
            "expand" | "broadcast_to" => (Expand.into(), self.list(&a.need(1, "size")?)?),
            "view_as" | "reshape_as" | "expand_as" => {
                let other = tensor(&a.need(1, "other")?)?;
                let other = self.node(&other)?;
                let op = match name {
                    "expand_as" => Expand.into(),
                    _ => Op::from(Reshape),
                };
                (op, self.builder.sizes(other)?)
            }
            "flatten" => {
                let start = self.axis_or(a.get(1, "start_dim"), 0, rank)?;
                let end = self.axis_or(a.get(2, "end_dim"), -1, rank)?;
                let sizes = self.builder.sizes(node)?;
                let mut shape = sizes[..start].to_vec();
                // One open size is all a reshape can have, and most are flattened fully.
                shape.push(Arg::int(-1));
                shape.extend(sizes.get(end + 1..).unwrap_or_default());
                (Reshape.into(), shape)
            }
            "unflatten" => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let inner = self.list(&a.need(2, "sizes")?)?;
                let mut sizes = self.builder.sizes(node)?;
                sizes.splice(axis..=axis, inner);
                (Reshape.into(), sizes)
            }
            "permute" => {
                let axes = self.axes_in_order(&a.need(1, "dims")?, rank)?;
                (Permute(axes).into(), Vec::new())
            }
            "transpose" | "swapaxes" | "t" | "numpy_T" => {
                let mut axes: Vec<usize> = (0..rank).collect();
                if matches!(name, "t" | "numpy_T") {
                    axes.reverse();
                } else {
                    let first = self.axis(&a.need(1, "dim0")?, rank)?;
                    let second = self.axis(&a.need(2, "dim1")?, rank)?;
                    axes.swap(first, second);
                }
                (Permute(axes).into(), Vec::new())
            }
            "movedim" => {
                let from = self.axis(&a.need(1, "source")?, rank)?;
                let to = self.axis(&a.need(2, "destination")?, rank)?;
                let mut axes: Vec<usize> = (0..rank).filter(|&axis| axis != from).collect();
                axes.insert(to, from);
                (Permute(axes).into(), Vec::new())
            }
            "squeeze" => {
                let shape = self.builder.shape(node)?;
                let axes = self.axes(a.get(1, "dim"), rank)?.into_iter();
                let axes = axes.filter(|&axis| shape[axis] == 1).collect();
                (Squeeze(axes).into(), Vec::new())
            }
            "unsqueeze" => {
                let axis = self.axis(&a.need(1, "dim")?, rank + 1)?;
                (Unsqueeze(axis).into(), Vec::new())
            }
            "slice" | "narrow" => {
                let axis = self.axis_or(a.get(1, "dim"), 0, rank)?;
                let start = self.argument_or(a.get(2, "start"), Arg::int(0))?;
                let mut step = 1;
                let end = if name == "narrow" {
                    let length = self.argument(&a.need(3, "length")?)?;
                    self.then(Binary(BinaryKind::Add), vec![start, length])?
                } else {
                    step = self.integer_or(a.get(4, "step"), 1)?.max(0) as usize;
                    self.argument_or(a.get(3, "end"), Arg::int(i64::MAX))?
                };
                (Slice { axis, step }.into(), vec![start, end])
            }
            _ => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let start = self.argument(&a.need(2, "index")?)?;
                // The last element's range ends at the end, not at zero.
                let end = if self.builder.argument(start) == Meta::Number(Literal::Int(-1)) {
                    Arg::int(i64::MAX)
                } else {
                    self.then(Binary(BinaryKind::Add), vec![start, Arg::int(1)])?
                };
                let part = self.view(&x, Slice { axis, step: 1 }, vec![start, end])?;
                let part = self.view(&part, Squeeze(vec![axis]), Vec::new())?;
                return Ok(Value::Tensor(part));
            }
        };
        Ok(Value::Tensor(self.view(&x, op, arguments)?))
    }
}
