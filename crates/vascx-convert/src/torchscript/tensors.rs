//! Tensors of the program: weights, views, and in-place changes with value semantics.
//!
//! An in-place operation gives its storage a new value and a new version. A view remembers the
//! operations that lead to it from its storage, and is computed anew when the version has moved on.
//! Writing through a view writes the changed part back into the storage.

use std::cell::Cell;
use std::rc::Rc;

use vascx_graph::{
    Arg, DType, Expand, Full, Meta, Op, Permute, Reshape, SliceAssign, Squeeze, Unsqueeze,
};

use super::evaluate::{Evaluator, Outcome, Source};
use super::value::{Tensor, Value};
use crate::lowering;
use crate::tensor::{DType as Stored, TensorRef, shortest};

/// Memory that tensors share.
#[derive(Debug)]
pub(super) struct Storage {
    node: usize,
    version: usize,
}

impl<'a> Evaluator<'a, '_> {
    /// A new tensor, or the number if there is no tensor to it.
    pub(super) fn fresh(&mut self, value: Arg) -> Value<'a> {
        match value {
            Arg::Node(node) if matches!(self.builder.meta(node), Meta::Tensor { .. }) => {
                self.storages.push(Storage { node, version: 0 });
                Value::Tensor(Rc::new(Tensor {
                    storage: self.storages.len() - 1,
                    views: Rc::default(),
                    node: Cell::new((node, 0)),
                }))
            }
            number => Value::Number(number),
        }
    }

    /// The tensor stored in the archive under a path.
    pub(super) fn weight(
        &mut self,
        path: String,
        tensor: &TensorRef,
        from_constants: bool,
    ) -> Outcome<Value<'a>> {
        let key = format!("{from_constants}{tensor:?}");
        let source = Source {
            path,
            tensor: tensor.clone(),
            from_constants,
        };
        let float = matches!(
            tensor.storage.dtype,
            Stored::F64 | Stored::F32 | Stored::F16 | Stored::BF16
        );
        if let Some(&node) = self.weights.get(&key) {
            return Ok(self.fresh(Arg::Node(node)));
        }
        let elements = tensor.validate()?;
        if !float {
            let is_bool = tensor.storage.dtype == Stored::Bool;
            let mut integers = || -> Outcome<Vec<i64>> {
                let values = (self.read)(&source)?.into_iter();
                Ok(values.map(|value| value as i64).collect())
            };
            if tensor.shape.is_empty()
                && let [value] = integers()?[..]
            {
                return Ok(if is_bool {
                    Value::bool(value != 0)
                } else {
                    Value::int(value)
                });
            }
            let node = lowering::table(
                &mut self.builder,
                &source.path,
                is_bool,
                &tensor.shape,
                integers,
            )?;
            self.weights.insert(key, node);
            return Ok(self.fresh(Arg::Node(node)));
        }
        // Constants have no place in a module.
        let name = if from_constants {
            String::new()
        } else {
            source.path.clone()
        };
        let node = self.builder.parameter(name, tensor.shape.clone())?;
        if from_constants && elements == 1 && tensor.shape.is_empty() {
            let value = (self.read)(&source)?;
            self.scalars
                .extend(value.first().map(|&value| (node, shortest(value))));
        }
        self.sources.push(source);
        self.weights.insert(key, node);
        Ok(self.fresh(Arg::Node(node)))
    }

    /// The node of a tensor's present value.
    pub(super) fn node(&mut self, tensor: &Tensor) -> Outcome<usize> {
        let storage = &self.storages[tensor.storage];
        let (node, version) = tensor.node.get();
        if version == storage.version {
            return Ok(node);
        }
        let version = storage.version;
        let mut node = storage.node;
        for (op, arguments) in tensor.views.iter() {
            node = self.apply(op, node, arguments)?;
        }
        tensor.node.set((node, version));
        Ok(node)
    }

    fn apply(&mut self, op: &Op, node: usize, arguments: &[Arg]) -> Outcome<usize> {
        let all = [&[Arg::Node(node)], arguments].concat();
        lowering::node(&mut self.builder, op.clone(), all)
    }

    /// A tensor that shares the memory of another.
    pub(super) fn view(
        &mut self,
        tensor: &Rc<Tensor>,
        op: impl Into<Op>,
        arguments: Vec<Arg>,
    ) -> Outcome<Rc<Tensor>> {
        let op = op.into();
        let base = self.node(tensor)?;
        let node = self.apply(&op, base, &arguments)?;
        let mut views = tensor.views.to_vec();
        views.push((op, arguments));
        let version = self.storages[tensor.storage].version;
        Ok(Rc::new(Tensor {
            storage: tensor.storage,
            views: Rc::new(views),
            node: Cell::new((node, version)),
        }))
    }

    /// The shape for the example.
    pub(super) fn shape(&mut self, tensor: &Tensor) -> Outcome<Vec<usize>> {
        let node = self.node(tensor)?;
        self.builder.shape(node)
    }

    /// Changes a tensor in place; `value` is broadcast to it.
    pub(super) fn write(&mut self, tensor: &Rc<Tensor>, value: Arg) -> Outcome<()> {
        let storage = tensor.storage;
        // What each view sees before the change, from the storage outwards.
        let mut seen = vec![self.storages[storage].node];
        for (op, arguments) in tensor.views.iter() {
            let last = seen[seen.len() - 1];
            let node = self.apply(op, last, arguments)?;
            seen.push(node);
        }
        let mut new = self.like(value, seen[seen.len() - 1])?;
        for (index, (op, arguments)) in tensor.views.iter().enumerate().rev() {
            new = self.write_back(seen[index], op, arguments, new)?;
        }
        let storage = &mut self.storages[storage];
        storage.node = new;
        storage.version += 1;
        Ok(())
    }

    /// The value in the shape of a node.
    pub(super) fn like(&mut self, value: Arg, node: usize) -> Outcome<usize> {
        let target = self.builder.shape(node)?;
        let op = match (value, self.builder.argument(value)) {
            (Arg::Node(value), Meta::Tensor { shape, .. }) if shape == target => return Ok(value),
            (_, Meta::Tensor { .. }) => Op::from(Expand),
            (_, Meta::Number(_)) => Full(self.builder.dtype(node)).into(),
        };
        let all = [vec![value], self.builder.sizes(node)?].concat();
        lowering::node(&mut self.builder, op, all)
    }

    /// The value before a view such that the view gives `new`.
    fn write_back(
        &mut self,
        before: usize,
        op: &Op,
        arguments: &[Arg],
        new: usize,
    ) -> Outcome<usize> {
        let rank = self.builder.shape(before)?.len();
        match op {
            Op::Slice(slice) => {
                let all = [&[before, new].map(Arg::Node), arguments].concat();
                lowering::node(&mut self.builder, SliceAssign(slice.clone()), all)
            }
            Op::Reshape(_) => {
                let sizes = self.builder.sizes(before)?;
                self.apply(&Reshape.into(), new, &sizes)
            }
            Op::Permute(Permute(axes)) => {
                let mut inverse = vec![0; rank];
                for (position, &axis) in axes.iter().enumerate() {
                    inverse[axis] = position;
                }
                self.apply(&Permute(inverse).into(), new, &[])
            }
            Op::Squeeze(Squeeze(axes)) => axes.iter().try_fold(new, |node, &axis| {
                self.apply(&Unsqueeze(axis).into(), node, &[])
            }),
            Op::Unsqueeze(Unsqueeze(axis)) => self.apply(&Squeeze(vec![*axis]).into(), new, &[]),
            other => Err(format!("writes through a view by {}", other.name())),
        }
    }

    /// A tensor of one number.
    pub(super) fn full(&mut self, value: Arg, sizes: Vec<Arg>, dtype: DType) -> Outcome<Value<'a>> {
        if sizes.contains(&Arg::int(0)) {
            return Ok(Value::Empty);
        }
        let node = self
            .builder
            .call(Full(dtype), [vec![value], sizes].concat())?;
        Ok(self.fresh(node))
    }
}
