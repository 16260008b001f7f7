//! Activation functions.

use vascx_graph::{Arg, Binary, BinaryKind, Clamp, Elu, LeakyRelu, Softmax, UnaryKind};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer};

impl<'m> Importer<'m> {
    pub(super) fn gelu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let kind = match call.text("approximate", "none") {
            "tanh" => UnaryKind::GeluTanh,
            _ => UnaryKind::Gelu,
        };
        self.map(kind, call)
    }

    pub(super) fn clip(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let mut attributes = call.node.attributes.iter();
        if attributes.any(|a| matches!(a.name, "min" | "max")) {
            let min = Some(call.float("min", f32::MIN));
            let max = Some(call.float("max", f32::MAX));
            return self.emit(Clamp { min, max }, vec![x]);
        }
        let mut limit = |index| call.get(index).map(|v| self.argument(v)).transpose();
        let limits = [limit(1)?, limit(2)?];
        let x = lowering::clamped(&mut self.builder, x, limits)?;
        Ok(vec![self.value(x)])
    }

    pub(super) fn leaky_relu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let slope = call.float("alpha", 0.01);
        self.emit(LeakyRelu { slope }, vec![x])
    }

    pub(super) fn elu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let alpha = call.float("alpha", 1.0);
        let (alpha, scale, input_scale) = match call.node.operator {
            "Selu" => {
                let alpha = call.float("alpha", 1.673_263_2);
                (alpha, call.float("gamma", 1.050_701), 1.0)
            }
            "Celu" => (alpha, 1.0, 1.0 / alpha),
            _ => (alpha, 1.0, 1.0),
        };
        let elu = Elu {
            alpha,
            scale,
            input_scale,
        };
        self.emit(elu, vec![x])
    }

    pub(super) fn prelu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let slope = self.argument(call.need(1)?)?;
        let y = lowering::prelu(&mut self.builder, x, slope)?;
        Ok(vec![self.value(y)])
    }

    pub(super) fn hard_sigmoid(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let alpha = Arg::float(call.float("alpha", 0.2));
        let beta = Arg::float(call.float("beta", 0.5));
        let scaled = self.then(Binary(BinaryKind::Mul), vec![x, alpha])?;
        let shifted = self.then(Binary(BinaryKind::Add), vec![scaled, beta])?;
        let (min, max) = (Some(0.0), Some(1.0));
        self.emit(Clamp { min, max }, vec![shifted])
    }

    pub(super) fn softmax(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(x)?.len();
        // Before version 13 all axes from the given one on are normalised together.
        let early = self.opset < 13;
        let axis = lowering::axis(call.int("axis", if early { 1 } else { -1 }), rank)?;
        if early && axis + 1 != rank {
            return self.unsupported(call, " over several axes");
        }
        let log = call.node.operator == "LogSoftmax";
        self.emit(Softmax { axis, log }, vec![Arg::Node(x)])
    }
}
