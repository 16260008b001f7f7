//! Activation functions.

use vascx_graph::{Arg, Binary, BinaryKind, Clamp, Elu, LeakyRelu, Softmax, Unary, UnaryKind};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "Clip" => importer.clip(call),
        "LeakyRelu" => importer.leaky_relu(call),
        "Elu" | "Selu" | "Celu" => importer.elu(call),
        "PRelu" => importer.prelu(call),
        "HardSigmoid" => importer.hard_sigmoid(call),
        "HardSwish" => importer.unary_of(UnaryKind::HardSwish, call),
        "Gelu" if call.text("approximate", "none") == "tanh" => {
            importer.unary_of(UnaryKind::GeluTanh, call)
        }
        "Gelu" => importer.unary_of(UnaryKind::Gelu, call),
        "Softmax" | "LogSoftmax" => importer.softmax(call),
        _ => return None,
    })
}

impl<'m> Importer<'m> {
    fn unary_of(&mut self, kind: UnaryKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        self.emit(Unary(kind), vec![x])
    }

    fn clip(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let mut attributes = call.node.attributes.iter();
        if attributes.any(|a| matches!(a.name, "min" | "max")) {
            let clamp = Clamp {
                min: Some(call.float("min", f32::MIN)),
                max: Some(call.float("max", f32::MAX)),
            };
            return self.emit(clamp, vec![x]);
        }
        let mut limit = |index| call.get(index).map(|v| self.argument(v)).transpose();
        let limits = [limit(1)?, limit(2)?];
        let x = lowering::clamped(&mut self.builder, x, limits)?;
        Ok(vec![self.value(x)])
    }

    fn leaky_relu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let slope = call.float("alpha", 0.01);
        self.emit(LeakyRelu { slope }, vec![x])
    }

    fn elu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let alpha = call.float("alpha", 1.0);
        let elu = match call.node.operator {
            "Selu" => Elu {
                alpha: call.float("alpha", 1.673_263_2),
                scale: call.float("gamma", 1.050_701),
                input_scale: 1.0,
            },
            "Celu" => Elu {
                alpha,
                scale: 1.0,
                input_scale: 1.0 / alpha,
            },
            _ => Elu {
                alpha,
                scale: 1.0,
                input_scale: 1.0,
            },
        };
        self.emit(elu, vec![x])
    }

    fn prelu(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let slope = self.argument(call.need(1)?)?;
        let y = lowering::prelu(&mut self.builder, x, slope)?;
        Ok(vec![self.value(y)])
    }

    fn hard_sigmoid(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let (alpha, beta) = (
            Arg::float(call.float("alpha", 0.2)),
            Arg::float(call.float("beta", 0.5)),
        );
        let scaled = self.then(Binary(BinaryKind::Mul), vec![x, alpha])?;
        let shifted = self.then(Binary(BinaryKind::Add), vec![scaled, beta])?;
        let clamp = Clamp {
            min: Some(0.0),
            max: Some(1.0),
        };
        self.emit(clamp, vec![shifted])
    }

    fn softmax(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let rank = self.shape(x)?.len();
        // Before version 13 all axes from the given one on are normalised together.
        let early = self.opset < 13;
        let axis = self.axis(call.int("axis", if early { 1 } else { -1 }), rank)?;
        if early && axis + 1 != rank {
            return self.unsupported(call, " over several axes");
        }
        let log = call.node.operator == "LogSoftmax";
        self.emit(Softmax { axis, log }, vec![Arg::Node(x)])
    }
}
