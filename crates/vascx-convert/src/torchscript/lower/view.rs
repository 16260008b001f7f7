//! Views, which share memory with their tensor.

use vascx_graph::{
    Arg, Binary, BinaryKind, Expand, Literal, Meta, Op, Permute, Reshape, Slice, Squeeze, Unsqueeze,
};

use super::Arguments;
use super::operands::tensor;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "reshape" | "view" | "flatten" | "permute" | "transpose" | "t" | "squeeze"
        | "unsqueeze" | "slice" | "select" | "narrow" | "swapaxes" | "movedim" | "unflatten"
        | "expand" | "expand_as" | "view_as" | "reshape_as" | "broadcast_to" | "numpy_T" => {
            evaluator.reshape(name, a)
        }
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    /// Views, which share memory with their tensor.
    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    fn reshape(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let node = self.node(&x)?;
        let rank = self.node_shape(node)?.len();
        let (op, arguments): (Op, Vec<Arg>) = match name {
            "reshape" | "view" => {
                let sizes = a.need(1, "shape")?;
                // A view as another element type has a number where the shape stands.
                (Reshape.into(), self.list(&sizes)?)
            }
            "view_as" | "reshape_as" | "expand_as" => {
                let other = tensor(&a.need(1, "other")?)?;
                let other = self.node(&other)?;
                let op = if name == "expand_as" {
                    Expand.into()
                } else {
                    Op::from(Reshape)
                };
                (op, self.sizes(other)?)
            }
            "expand" | "broadcast_to" => {
                let sizes = a.need(1, "size")?;
                (Expand.into(), self.list(&sizes)?)
            }
            "flatten" => {
                let start = a.get(1, "start_dim").unwrap_or(Value::int(0));
                let end = a.get(2, "end_dim").unwrap_or(Value::int(-1));
                let (start, end) = (self.axis(&start, rank)?, self.axis(&end, rank)?);
                let sizes = self.sizes(node)?;
                let mut shape = sizes[..start].to_vec();
                // One open size is all a reshape can have, and most are flattened fully.
                shape.push(Arg::int(-1));
                shape.extend(sizes.get(end + 1..).unwrap_or_default());
                (Reshape.into(), shape)
            }
            "unflatten" => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let inner = self.list(&a.need(2, "sizes")?)?;
                let mut sizes = self.sizes(node)?;
                sizes.splice(axis..=axis, inner);
                (Reshape.into(), sizes)
            }
            "permute" => {
                let given = a.need(1, "dims")?;
                let axes = self.integers(&given)?;
                let axes = axes
                    .into_iter()
                    .map(|axis| self.axis(&Value::int(axis), rank))
                    .collect::<Outcome<_>>()?;
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
                let shape = self.node_shape(node)?;
                let axes = match a.get(1, "dim") {
                    Some(axes) => self.axes(Some(axes), rank)?,
                    None => (0..rank).collect(),
                };
                let axes = axes.into_iter().filter(|&axis| shape[axis] == 1).collect();
                (Squeeze(axes).into(), Vec::new())
            }
            "unsqueeze" => {
                let axis = self.axis(&a.need(1, "dim")?, rank + 1)?;
                (Unsqueeze(axis).into(), Vec::new())
            }
            "slice" | "narrow" => {
                let axis = a.get(1, "dim").unwrap_or(Value::int(0));
                let axis = self.axis(&axis, rank)?;
                let start = a.get(2, "start").unwrap_or(Value::int(0));
                let start = self.argument(&start)?;
                let mut step = 1;
                let end = if name == "narrow" {
                    let length = a.need(3, "length")?;
                    let length = self.argument(&length)?;
                    self.then(Binary(BinaryKind::Add), vec![start, length])?
                } else {
                    let every = a.get(4, "step").unwrap_or(Value::int(1));
                    step = self.integer(&every)?.max(0) as usize;
                    let end = a.get(3, "end").unwrap_or(Value::int(i64::MAX));
                    self.argument(&end)?
                };
                (Slice { axis, step }.into(), vec![start, end])
            }
            _ => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let index = a.need(2, "index")?;
                let start = self.argument(&index)?;
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
