//! Activation functions.

use vascx_graph::{
    Arg, Binary, BinaryKind, Elu, LeakyRelu, Reshape, Slice, Softmax, Unary, UnaryKind, Where,
};

use super::Arguments;
use super::operands::tensor;
use crate::lowering;
use crate::tensor::shortest;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "clamp" | "clamp_min" | "clamp_max" | "relu6" | "hardtanh" | "clip" => {
            evaluator.clamp(name, a)
        }
        "gelu" => evaluator.gelu(a),
        "glu" => evaluator.glu(a),
        "rrelu" => evaluator.rrelu(a),
        "threshold" => evaluator.threshold(a),
        "leaky_relu" => evaluator.leaky_relu(a),
        "elu" | "celu" | "selu" => evaluator.elu(name, a),
        "softplus" => evaluator.softplus(a),
        "prelu" => evaluator.prelu(a),
        "softmax" | "log_softmax" | "_softmax" | "_log_softmax" => evaluator.softmax(name, a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn clamp(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let (min, max) = match name {
            "relu6" => (Some(Value::float(0.0)), Some(Value::float(6.0))),
            "hardtanh" => (
                Some(a.get(1, "min_val").unwrap_or(Value::float(-1.0))),
                Some(a.get(2, "max_val").unwrap_or(Value::float(1.0))),
            ),
            "clamp_max" => (None, a.get(1, "max")),
            "clamp_min" => (a.get(1, "min"), None),
            _ => (a.get(1, "min"), a.get(2, "max")),
        };
        let mut limit = |value: Option<Value<'a>>| value.map(|v| self.argument(&v)).transpose();
        let limits = [limit(min)?, limit(max)?];
        let x = lowering::clamped(&mut self.builder, x, limits)?;
        Ok(self.fresh(x))
    }

    fn gelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let tanh = matches!(a.get(1, "approximate"), Some(Value::Text(text)) if &*text == "tanh");
        let kind = if tanh {
            UnaryKind::GeluTanh
        } else {
            UnaryKind::Gelu
        };
        self.emit(Unary(kind), vec![x])
    }

    /// The first half of an axis times the sigmoid of the second.
    fn glu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        let axis = self.axis(&a.get(1, "dim").unwrap_or(Value::int(-1)), rank)?;
        let size = self.builder.size(x, axis)?;
        let half = self.then(Binary(BinaryKind::FloorDiv), vec![size, Arg::int(2)])?;
        let slice = Slice { axis, step: 1 };
        let values = self.then(slice.clone(), vec![x, Arg::int(0), half])?;
        let gates = self.then(slice, vec![x, half, Arg::int(i64::MAX)])?;
        let gates = self.then(Unary(UnaryKind::Sigmoid), vec![gates])?;
        self.emit(Binary(BinaryKind::Mul), vec![values, gates])
    }

    /// Evaluated, the slope is the middle of the range that it is drawn from.
    fn rrelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        if self.flag(a.get(3, "training"), false)? {
            return Ok(self.unsupported("rrelu in training mode, which draws lots"));
        }
        let lower = a.get(1, "lower").unwrap_or(Value::float(1.0 / 8.0));
        let upper = a.get(2, "upper").unwrap_or(Value::float(1.0 / 3.0));
        let slope = f64::midpoint(self.number(&lower)?, self.number(&upper)?);
        let slope = shortest(slope as f32);
        self.emit(LeakyRelu { slope }, vec![x])
    }

    fn threshold(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let limit = self.argument(&a.need(1, "threshold")?)?;
        let value = self.argument(&a.need(2, "value")?)?;
        let above = self.then(Binary(BinaryKind::Greater), vec![x, limit])?;
        self.emit(Where, vec![above, x, value])
    }

    fn leaky_relu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let slope = a.get(1, "negative_slope").unwrap_or(Value::float(0.01));
        let slope = self.number(&slope)?;
        self.emit(LeakyRelu { slope }, vec![x])
    }

    fn elu(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let mut number = |index: usize, default: f64| {
            let value = a.get(index, "alpha").unwrap_or(Value::float(default));
            self.number(&value)
        };
        let elu = match name {
            "selu" => Elu {
                alpha: 1.673_263_242_354_377_2,
                scale: 1.050_700_987_355_480_5,
                input_scale: 1.0,
            },
            "celu" => {
                let alpha = number(1, 1.0)?;
                Elu {
                    alpha,
                    scale: 1.0,
                    input_scale: 1.0 / alpha,
                }
            }
            _ => Elu {
                alpha: number(1, 1.0)?,
                scale: number(2, 1.0)?,
                input_scale: number(3, 1.0)?,
            },
        };
        self.emit(elu, vec![x])
    }

    /// Above its threshold it is a straight line, which makes a difference where that is low.
    fn softplus(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        /// From here on, f32 has no digits for the difference.
        const STRAIGHT: f64 = 20.0;
        let x = self.argument(&a.need(0, "self")?)?;
        let beta = a.get(1, "beta").unwrap_or(Value::int(1));
        let beta = self.argument(&beta)?;
        let threshold = a.get(2, "threshold").unwrap_or(Value::float(STRAIGHT));
        let scaled = self.then(Binary(BinaryKind::Mul), vec![x, beta])?;
        let soft = self.then(Unary(UnaryKind::Softplus), vec![scaled])?;
        if self.number(&threshold)? >= STRAIGHT {
            return self.emit(Binary(BinaryKind::Div), vec![soft, beta]);
        }
        let soft = self.then(Binary(BinaryKind::Div), vec![soft, beta])?;
        let threshold = self.argument(&threshold)?;
        let above = self.then(Binary(BinaryKind::Greater), vec![scaled, threshold])?;
        self.emit(Where, vec![above, x, soft])
    }

    fn prelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let weight = self.argument(&a.need(1, "weight")?)?;
        let rank = self.rank(x)?;
        let mut sizes = vec![weight, Arg::int(-1)];
        sizes.extend(std::iter::repeat_n(Arg::int(1), rank.saturating_sub(2)));
        let weight = self.then(Reshape, sizes)?;
        let y = lowering::prelu(&mut self.builder, x, weight)?;
        Ok(self.fresh(y))
    }

    fn softmax(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let rank = self.shape(&x)?.len();
        let axis = self.axis(&a.need(1, "dim")?, rank)?;
        let node = Arg::Node(self.node(&x)?);
        let log = name.contains("log");
        self.emit(Softmax { axis, log }, vec![node])
    }
}
