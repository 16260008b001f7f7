//! Elementwise arithmetic, comparisons and logic.

use vascx_graph::{Arg, Binary, BinaryKind, Cast, DType, Literal, Meta, Unary, UnaryKind, Where};

use super::Arguments;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

fn unary(name: &str) -> Option<UnaryKind> {
    Some(match name {
        "abs" => UnaryKind::Abs,
        "ceil" => UnaryKind::Ceil,
        "cos" => UnaryKind::Cos,
        "erf" => UnaryKind::Erf,
        "exp" => UnaryKind::Exp,
        "floor" => UnaryKind::Floor,
        "hardsigmoid" => UnaryKind::HardSigmoid,
        "hardswish" => UnaryKind::HardSwish,
        "log" => UnaryKind::Log,
        "log1p" => UnaryKind::Log1p,
        "log_sigmoid" => UnaryKind::LogSigmoid,
        "mish" => UnaryKind::Mish,
        "neg" => UnaryKind::Neg,
        "__not__" | "logical_not" | "bitwise_not" => UnaryKind::Not,
        "reciprocal" => UnaryKind::Reciprocal,
        "relu" => UnaryKind::Relu,
        "round" => UnaryKind::Round,
        "rsqrt" => UnaryKind::Rsqrt,
        "sigmoid" => UnaryKind::Sigmoid,
        "sign" => UnaryKind::Sign,
        "silu" => UnaryKind::Silu,
        "sin" => UnaryKind::Sin,
        "sqrt" => UnaryKind::Sqrt,
        "tanh" => UnaryKind::Tanh,
        "trunc" => UnaryKind::Trunc,
        _ => return None,
    })
}

fn binary(name: &str) -> Option<BinaryKind> {
    Some(match name {
        "mul" | "multiply" => BinaryKind::Mul,
        "true_divide" => BinaryKind::Div,
        "floor_divide" | "floordiv" => BinaryKind::FloorDiv,
        "remainder" => BinaryKind::Remainder,
        "pow" => BinaryKind::Pow,
        "eq" => BinaryKind::Equal,
        "ne" => BinaryKind::NotEqual,
        "lt" => BinaryKind::Less,
        "le" => BinaryKind::LessEqual,
        "gt" => BinaryKind::Greater,
        "ge" => BinaryKind::GreaterEqual,
        "maximum" => BinaryKind::Max,
        "minimum" => BinaryKind::Min,
        "__and__" | "logical_and" | "bitwise_and" => BinaryKind::And,
        "__or__" | "logical_or" | "bitwise_or" => BinaryKind::Or,
        _ => return None,
    })
}

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "add" | "sub" | "subtract" | "rsub" => evaluator.sum(name, a),
        "div" | "divide" => evaluator.quotient(a),
        "square" => evaluator.square(a),
        "addcmul" => evaluator.add_product(a),
        "where" => evaluator.choose(a),
        "masked_fill" => evaluator.masked_fill(a),
        _ => match (unary(name), binary(name)) {
            (Some(kind), _) => evaluator.map(kind, a),
            (_, Some(kind)) => evaluator.combine(kind, a),
            _ => return None,
        },
    })
}

impl<'a> Evaluator<'a, '_> {
    fn map(&mut self, kind: UnaryKind, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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

    fn combine(&mut self, kind: BinaryKind, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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

    fn sum(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let (mut x, mut y) = (
            self.argument(&a.need(0, "self")?)?,
            self.argument(&a.need(1, "other")?)?,
        );
        if let Some(alpha) = a.get(2, "alpha") {
            let alpha = self.argument(&alpha)?;
            if self.builder.argument(alpha) != Meta::Number(Literal::Int(1)) {
                y = self.then(Binary(BinaryKind::Mul), vec![y, alpha])?;
            }
        }
        if name == "rsub" {
            std::mem::swap(&mut x, &mut y);
        }
        let kind = if name == "add" {
            BinaryKind::Add
        } else {
            BinaryKind::Sub
        };
        self.emit(Binary(kind), vec![x, y])
    }

    fn quotient(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let y = self.argument(&a.need(1, "other")?)?;
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

    fn square(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        self.emit(Binary(BinaryKind::Mul), vec![x, x])
    }

    fn add_product(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "tensor"));
        let (x, y, z) = (
            self.argument(&x?)?,
            self.argument(&y?)?,
            self.argument(&z?)?,
        );
        let product = self.then(Binary(BinaryKind::Mul), vec![y, z])?;
        let value = a.get(3, "value").unwrap_or(Value::int(1));
        let value = self.argument(&value)?;
        let product = self.then(Binary(BinaryKind::Mul), vec![product, value])?;
        self.emit(Binary(BinaryKind::Add), vec![x, product])
    }

    fn choose(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "self"));
        let all = vec![
            self.argument(&x?)?,
            self.argument(&y?)?,
            self.argument(&z?)?,
        ];
        self.emit(Where, all)
    }

    fn masked_fill(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, y, z] = [0, 1, 2].map(|index| a.need(index, "self"));
        let (x, mask, fill) = (
            self.argument(&x?)?,
            self.argument(&y?)?,
            self.argument(&z?)?,
        );
        self.emit(Where, vec![mask, fill, x])
    }
}
