//! Joining tensors and taking them apart.

use vascx_graph::{
    Arg, Binary, BinaryKind, Cast, Cat, DType, Meta, Slice, Squeeze, Unary, UnaryKind, Unsqueeze,
};

use super::Arguments;
use super::operands::tensor;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn join(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let list = a.need(0, "tensors")?;
        let items = items(&list)?;
        let mut tensors = Vec::with_capacity(items.len());
        for item in items {
            // Some programs begin a concatenation with a tensor of no channels.
            if !matches!(item, Value::Empty) {
                tensors.push(self.argument(&item)?);
            }
        }
        let first = *tensors.first().ok_or("joins nothing")?;
        if tensors.iter().all(|&x| self.is_number(x)) {
            let numbers = tensors.into_iter().map(Value::Number);
            return Ok(Value::list(numbers.collect()));
        }
        let rank = self.rank(first)?;
        let axis = match a.get(1, "dim") {
            Some(axis) => self.axis(&axis, rank + usize::from(name == "stack"))?,
            None => usize::from(name == "hstack" && rank > 1),
        };
        if name == "stack" {
            for tensor in &mut tensors {
                *tensor = self.then(Unsqueeze(axis), vec![*tensor])?;
            }
        }
        // Like PyTorch, concatenation lifts integers to floats.
        if tensors.iter().any(|&x| self.is_tensor_of(DType::Float, x)) {
            for tensor in &mut tensors {
                if !self.is_tensor_of(DType::Float, *tensor) {
                    *tensor = self.then(Cast(DType::Float), vec![*tensor])?;
                }
            }
        }
        self.emit(Cat(axis), tensors)
    }

    pub(super) fn split(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let shape = self.shape(&x)?;
        let position = if name == "unbind" { 1 } else { 2 };
        let axis = self.axis_or(a.get(position, "dim"), 0, shape.len())?;
        let mut parts = Vec::new();
        if name == "unbind" {
            // The number of parts shapes the program that follows, so it is pinned.
            let node = self.node(&x)?;
            let size = self.builder.size(node, axis)?;
            let count = self.builder.pin(size)?.as_i64().unwrap_or(0);
            for index in 0..count {
                let bounds = vec![Arg::int(index), Arg::int(index + 1)];
                let part = self.view(&x, Slice { axis, step: 1 }, bounds)?;
                let part = self.view(&part, Squeeze(vec![axis]), Vec::new())?;
                parts.push(Value::Tensor(part));
            }
            return Ok(Value::list(parts));
        }
        let given = a.need(1, "split_size")?;
        let node = self.node(&x)?;
        let total = self.builder.size(node, axis)?;
        let mut bounds = vec![Arg::int(0)];
        match &given {
            Value::List(_) | Value::Tuple(_) => {
                for size in self.list(&given)? {
                    let last = bounds[bounds.len() - 1];
                    bounds.push(self.then(Binary(BinaryKind::Add), vec![last, size])?);
                }
            }
            given => {
                let mut size = self.argument(given)?;
                let length = shape[axis] as i64;
                if name == "chunk" {
                    // ⌈total / count⌉
                    let count = Arg::int(self.integer(given)?.max(1));
                    let negative = self.then(Unary(UnaryKind::Neg), vec![total])?;
                    let down = self.then(Binary(BinaryKind::FloorDiv), vec![negative, count])?;
                    size = self.then(Unary(UnaryKind::Neg), vec![down])?;
                }
                let one = match self.builder.argument(size) {
                    Meta::Number(number) => number.as_i64().unwrap_or(0),
                    Meta::Tensor { .. } => 0,
                };
                if one < 1 {
                    return Err(format!("splits into parts of {one}"));
                }
                for index in 1..=(length + one - 1) / one {
                    bounds.push(self.then(Binary(BinaryKind::Mul), vec![size, Arg::int(index)])?);
                }
            }
        }
        for pair in bounds.windows(2) {
            let part = self.view(&x, Slice { axis, step: 1 }, pair.to_vec())?;
            parts.push(Value::Tensor(part));
        }
        Ok(Value::list(parts))
    }
}
