//! Picking by index.

use std::rc::Rc;

use vascx_graph::{
    Arg, ArgMax, Binary, BinaryKind, Cast, Cat, DType, Gather, IndexSelect, Unary, UnaryKind,
    Unsqueeze, Where,
};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

/// Most values that the largest are looked for of, one after the other.
const MAX_TOP: i64 = 64;

impl<'a> Evaluator<'a, '_> {
    /// One where the class is, zero elsewhere, along a new last axis.
    pub(super) fn one_hot(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        let classes = self.integer_or(a.get(1, "num_classes"), -1)?;
        if classes <= 0 {
            return Ok(self.unsupported("one_hot without a number of classes"));
        }
        let x = self.then(Unsqueeze(rank), vec![x])?;
        let all = lowering::counted(&mut self.builder, DType::Int, Arg::int(classes))?;
        let same = self.then(Binary(BinaryKind::Equal), vec![x, all])?;
        self.emit(Cast(DType::Int), vec![same])
    }

    /// The largest values of an axis and their places: the largest, then the largest of the rest.
    pub(super) fn topk(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut x = self.argument(&a.need(0, "self")?)?;
        let count = self.integer(&a.need(1, "k")?)?;
        if !(1..=MAX_TOP).contains(&count) {
            return Ok(
                self.unsupported(&format!("topk of {count}; at most {MAX_TOP} are supported"))
            );
        }
        let rank = self.rank(x)?;
        let axis = self.axis_or(a.get(2, "dim"), -1, rank)?;
        let largest = self.flag(a.get(3, "largest"), true)?;
        let source = x;
        if !largest {
            x = self.then(Unary(UnaryKind::Neg), vec![x])?;
        }
        // The numbers of the places, shaped to lie along the axis.
        let size = self.builder.size(x, axis)?;
        let numbers = lowering::counted(&mut self.builder, DType::Int, size)?;
        let mut along = vec![Arg::int(1); rank];
        along[axis] = size;
        let numbers = lowering::reshaped(&mut self.builder, numbers, along)?;
        let never = Arg::float(f64::NEG_INFINITY);
        let (mut values, mut places) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let place = self.then(ArgMax { axis, keep: true }, vec![x])?;
            values.push(self.then(Gather(axis), vec![source, place])?);
            places.push(place);
            let taken = self.then(Binary(BinaryKind::Equal), vec![numbers, place])?;
            x = self.then(Where, vec![taken, never, x])?;
        }
        let values = self.emit(Cat(axis), values)?;
        let places = self.emit(Cat(axis), places)?;
        Ok(Value::Tuple(Rc::new(vec![values, places])))
    }

    pub(super) fn lookup(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        match name {
            "embedding" => {
                let indices = self.argument(&a.need(1, "indices")?)?;
                self.emit(IndexSelect(0), vec![x, indices])
            }
            "index_select" | "gather" => {
                let axis = self.axis(&a.need(1, "dim")?, rank)?;
                let indices = self.argument(&a.need(2, "index")?)?;
                if name == "gather" {
                    return self.emit(Gather(axis), vec![x, indices]);
                }
                self.emit(IndexSelect(axis), vec![x, indices])
            }
            _ => self.index_by_tensors(x, &a.need(1, "indices")?),
        }
    }

    /// `x[:, i, j]`: neighbouring axes with indices are merged into one.
    fn index_by_tensors(&mut self, mut x: Arg, indices: &Value<'a>) -> Outcome<Value<'a>> {
        let items = items(indices)?;
        let mut used = Vec::new();
        for (axis, item) in items.iter().enumerate() {
            if !matches!(item, Value::None) {
                used.push((axis, self.argument(item)?));
            }
        }
        let Some(&(first, mut index)) = used.first() else {
            return Ok(self.fresh(x));
        };
        let integers = |&(_, index): &(usize, Arg)| self.is_tensor_of(DType::Int, index);
        let adjacent = (first..).zip(&used).all(|(next, &(axis, _))| axis == next);
        if !used.iter().all(integers) || !adjacent {
            return Ok(self.unsupported("index by masks or by axes apart"));
        }
        let sizes = self.builder.sizes(x)?;
        for &(axis, next) in &used[1..] {
            index = self.then(Binary(BinaryKind::Mul), vec![index, sizes[axis]])?;
            index = self.then(Binary(BinaryKind::Add), vec![index, next])?;
        }
        if used.len() > 1 {
            let mut merged = sizes.clone();
            merged.splice(first..first + used.len(), [Arg::int(-1)]);
            x = lowering::reshaped(&mut self.builder, x, merged)?;
        }
        self.emit(IndexSelect(first), vec![x, index])
    }
}
