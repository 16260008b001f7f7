//! Activation functions.

use vascx_graph::{
    Arg, Binary, BinaryKind, Clamp, Elu, LeakyRelu, Meta, Softmax, Unary, UnaryKind, Where,
};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, float, int};

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
        let mut x = self.argument(call.need(0)?)?;
        if call
            .node
            .attributes
            .iter()
            .any(|a| matches!(a.name, "min" | "max"))
        {
            let (min, max) = (call.float("min", f32::MIN), call.float("max", f32::MAX));
            let clamp = Clamp {
                min: Some(min),
                max: Some(max),
            };
            return self.emit(clamp, vec![x]);
        }
        let mut limits = [None, None];
        for (index, limit) in limits.iter_mut().enumerate() {
            if let Some(value) = call.get(1 + index) {
                *limit = Some(self.argument(value)?);
            }
        }
        let literal = |limit: Option<Arg>| match limit {
            None => Some(None),
            Some(Arg::Literal(literal)) => Some(Some(literal.as_f64())),
            Some(Arg::Node(_)) => None,
        };
        let tensor = matches!(self.builder.argument(x), Meta::Tensor { .. });
        if let (Some(min), Some(max), true) = (literal(limits[0]), literal(limits[1]), tensor) {
            return self.emit(Clamp { min, max }, vec![x]);
        }
        for (limit, kind) in limits.into_iter().zip([BinaryKind::Max, BinaryKind::Min]) {
            if let Some(limit) = limit {
                x = self.builder.call(Binary(kind), vec![x, limit])?;
            }
        }
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
        let negative = self.builder.call(Binary(BinaryKind::Mul), vec![x, slope])?;
        let positive = self
            .builder
            .call(Binary(BinaryKind::Greater), vec![x, int(0)])?;
        self.emit(Where, vec![positive, x, negative])
    }

    fn hard_sigmoid(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        let (alpha, beta) = (
            float(call.float("alpha", 0.2)),
            float(call.float("beta", 0.5)),
        );
        let scaled = self.builder.call(Binary(BinaryKind::Mul), vec![x, alpha])?;
        let shifted = self
            .builder
            .call(Binary(BinaryKind::Add), vec![scaled, beta])?;
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
