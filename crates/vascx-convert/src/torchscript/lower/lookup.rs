//! Picking by index.

use vascx_models::graph::{Arg, Binary, BinaryKind, DType, Gather, IndexSelect, Meta, Reshape};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::tensors::int;
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "index" | "index_select" | "embedding" | "gather" => evaluator.lookup(name, a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn lookup(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
        let integers = used.iter().all(|&(_, index)| {
            matches!(
                self.builder.argument(index),
                Meta::Tensor {
                    dtype: DType::Int,
                    ..
                }
            )
        });
        let adjacent = used
            .iter()
            .enumerate()
            .all(|(offset, &(axis, _))| axis == first + offset);
        if !integers || !adjacent {
            return Ok(self.unsupported("index by masks or by axes apart"));
        }
        let Arg::Node(node) = x else {
            return Err("takes items of a number".into());
        };
        let sizes = self.sizes(node)?;
        for &(axis, next) in &used[1..] {
            index = self.then(Binary(BinaryKind::Mul), vec![index, sizes[axis]])?;
            index = self.then(Binary(BinaryKind::Add), vec![index, next])?;
        }
        if used.len() > 1 {
            let mut merged = sizes.clone();
            merged.splice(first..first + used.len(), [int(-1)]);
            x = self.then(Reshape, std::iter::once(x).chain(merged).collect())?;
        }
        self.emit(IndexSelect(first), vec![x, index])
    }
}
