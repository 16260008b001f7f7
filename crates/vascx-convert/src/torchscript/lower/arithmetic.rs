//! Elementwise arithmetic, comparisons and logic.

use vascx_graph::{Arg, Binary, BinaryKind, Cast, DType, Literal, Meta, Unary, UnaryKind, Where};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn map(&mut self, kind: UnaryKind, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = a.need(0, "self")?;
        let argument = self.argument(&x)?;
        let y = self.then(Unary(kind), vec![argument])?;
        // Python's rounding of numbers gives integers.
        let whole = matches!(kind, UnaryKind::Ceil | UnaryKind::Floor);
        if whole && matches!(x, Value::Number(_)) {
            return self.emit(Cast(DType::Int), vec![y]);
        }
        Ok(self.fresh(y))
    }

    pub(super) fn combine(&mut self, kind: BinaryKind, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (x, y) = (a.need(0, "self")?, a.need(1, "other")?);
        let mut arguments = vec![self.argument(&x)?, self.argument(&y)?];
        // A size times a constant, as for resampling by a factor, remains a number.
        if matches!(x, Value::Number(_)) != matches!(y, Value::Number(_)) {
            for argument in &mut arguments {
                if let Arg::Node(node) = argument
                    && let Some(&value) = self.scalars.get(node)
                {
                    *argument = Arg::float(value);
                }
            }
        }
        self.emit(Binary(kind), arguments)
    }

    pub(super) fn sum(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [mut x, mut y] = self.inputs(a, ["self", "other"])?;
        if let Some(alpha) = a.get(2, "alpha") {
            let alpha = self.argument(&alpha)?;
            if self.builder.argument(alpha) != Meta::Number(Literal::Int(1)) {
                y = self.then(Binary(BinaryKind::Mul), vec![y, alpha])?;
            }
        }
        if name == "rsub" {
            std::mem::swap(&mut x, &mut y);
        }
        let kind = match name {
            "add" => BinaryKind::Add,
            _ => BinaryKind::Sub,
        };
        self.emit(Binary(kind), vec![x, y])
    }

    pub(super) fn quotient(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y] = self.inputs(a, ["self", "other"])?;
        match a.get(2, "rounding_mode") {
            None => self.emit(Binary(BinaryKind::Div), vec![x, y]),
            Some(Value::Text(mode)) if &*mode == "floor" => {
                self.emit(Binary(BinaryKind::FloorDiv), vec![x, y])
            }
            Some(_) => {
                let ratio = self.then(Binary(BinaryKind::Div), vec![x, y])?;
                self.emit(Unary(UnaryKind::Trunc), vec![ratio])
            }
        }
    }

    pub(super) fn square(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        self.emit(Binary(BinaryKind::Mul), vec![x, x])
    }

    pub(super) fn add_product(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y, z] = self.inputs(a, ["self", "tensor1", "tensor2"])?;
        let product = self.then(Binary(BinaryKind::Mul), vec![y, z])?;
        let value = self.argument_or(a.get(3, "value"), Arg::int(1))?;
        let product = self.then(Binary(BinaryKind::Mul), vec![product, value])?;
        self.emit(Binary(BinaryKind::Add), vec![x, product])
    }

    pub(super) fn choose(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let all = self.inputs(a, ["condition", "self", "other"])?;
        self.emit(Where, all.to_vec())
    }

    pub(super) fn masked_fill(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, mask, fill] = self.inputs(a, ["self", "mask", "value"])?;
        self.emit(Where, vec![mask, fill, x])
    }
}
