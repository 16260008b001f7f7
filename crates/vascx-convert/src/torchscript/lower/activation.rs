//! Activation functions.

use vascx_graph::{Arg, Binary, BinaryKind, Elu, LeakyRelu, Softmax, Unary, UnaryKind, Where};

use super::Arguments;
use super::operands::tensor;
use crate::lowering;
use crate::tensor::shortest;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn clamp(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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

    pub(super) fn gelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let kind = match a.get(1, "approximate") {
            Some(Value::Text(text)) if &*text == "tanh" => UnaryKind::GeluTanh,
            _ => UnaryKind::Gelu,
        };
        self.emit(Unary(kind), vec![x])
    }

    /// The first half of an axis times the sigmoid of the second.
    pub(super) fn glu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let rank = self.rank(x)?;
        let axis = self.axis_or(a.get(1, "dim"), -1, rank)?;
        let size = self.builder.size(x, axis)?;
        let half = self.then(Binary(BinaryKind::FloorDiv), vec![size, Arg::int(2)])?;
        let values = lowering::part(&mut self.builder, x, axis, [Arg::int(0), half])?;
        let gates = lowering::part(&mut self.builder, x, axis, [half, Arg::int(i64::MAX)])?;
        let gates = self.then(Unary(UnaryKind::Sigmoid), vec![gates])?;
        self.emit(Binary(BinaryKind::Mul), vec![values, gates])
    }

    /// Evaluated, the slope is the middle of the range that it is drawn from.
    pub(super) fn rrelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        if self.flag(a.get(3, "training"), false)? {
            return Ok(self.unsupported("rrelu in training mode, which draws lots"));
        }
        let lower = self.number_or(a.get(1, "lower"), 1.0 / 8.0)?;
        let upper = self.number_or(a.get(2, "upper"), 1.0 / 3.0)?;
        let slope = shortest(f64::midpoint(lower, upper) as f32);
        self.emit(LeakyRelu { slope }, vec![x])
    }

    pub(super) fn threshold(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, limit, value] = self.inputs(a, ["self", "threshold", "value"])?;
        let above = self.then(Binary(BinaryKind::Greater), vec![x, limit])?;
        self.emit(Where, vec![above, x, value])
    }

    pub(super) fn leaky_relu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let slope = self.number_or(a.get(1, "negative_slope"), 0.01)?;
        self.emit(LeakyRelu { slope }, vec![x])
    }

    pub(super) fn elu(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = self.argument(&a.need(0, "self")?)?;
        let mut number = |index: usize| self.number_or(a.get(index, "alpha"), 1.0);
        let (alpha, scale, input_scale) = match name {
            "selu" => (1.673_263_242_354_377_2, 1.050_700_987_355_480_5, 1.0),
            "celu" => (number(1)?, 1.0, 1.0 / number(1)?),
            _ => (number(1)?, number(2)?, number(3)?),
        };
        let elu = Elu {
            alpha,
            scale,
            input_scale,
        };
        self.emit(elu, vec![x])
    }

    /// Above its threshold it is a straight line, which makes a difference where that is low.
    pub(super) fn softplus(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        /// From here on, f32 has no digits for the difference.
        const STRAIGHT: f64 = 20.0;
        let x = self.argument(&a.need(0, "self")?)?;
        let beta = self.argument_or(a.get(1, "beta"), Arg::int(1))?;
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

    pub(super) fn prelu(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let [x, weight] = self.inputs(a, ["self", "weight"])?;
        let mut sizes = vec![Arg::int(1); self.rank(x)?.saturating_sub(1).max(1)];
        sizes[0] = Arg::int(-1);
        let weight = lowering::reshaped(&mut self.builder, weight, sizes)?;
        let y = lowering::prelu(&mut self.builder, x, weight)?;
        Ok(self.fresh(y))
    }

    pub(super) fn softmax(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = tensor(&a.need(0, "self")?)?;
        let rank = self.shape(&x)?.len();
        let axis = self.axis(&a.need(1, "dim")?, rank)?;
        let node = Arg::Node(self.node(&x)?);
        let log = name.contains("log");
        self.emit(Softmax { axis, log }, vec![node])
    }
}
