//! Reductions.

use vascx_graph::{Arg, ArgMax, Binary, BinaryKind, Reduce, ReduceKind, Unary, UnaryKind};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Value};

impl<'m> Importer<'m> {
    pub(super) fn reduce(&mut self, kind: ReduceKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let keep = call.int("keepdims", 1) != 0;
        if let (Value::Numbers { items, .. }, ReduceKind::Prod) = (call.need(0)?, kind) {
            let product = lowering::product(&mut self.builder, items)?;
            let (items, vector) = (vec![product], keep);
            return Ok(vec![Value::Numbers { items, vector }]);
        }
        let node = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(node)?.len();
        let axes = self.axes(call, 1)?.unwrap_or_default();
        let mut axes = lowering::axes(&axes, rank)?;
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() {
            if call.int("noop_with_empty_axes", 0) != 0 {
                return Ok(vec![Value::Tensor(node)]);
            }
            axes = (0..rank).collect();
        }
        let x = Arg::Node(node);
        let before = match call.node.operator {
            "ReduceSumSquare" | "ReduceL2" => self.node(Binary(BinaryKind::Mul), vec![x, x])?,
            "ReduceL1" => self.node(Unary(UnaryKind::Abs), vec![x])?,
            _ => node,
        };
        let after = self.node(Reduce { kind, axes, keep }, vec![Arg::Node(before)])?;
        match call.node.operator {
            "ReduceL2" => self.emit(Unary(UnaryKind::Sqrt), vec![Arg::Node(after)]),
            _ => Ok(vec![Value::Tensor(after)]),
        }
    }

    pub(super) fn arg_max(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.int("select_last_index", 0) != 0 {
            return self.unsupported(call, " of the last");
        }
        let x = self.tensor(call.need(0)?)?;
        let axis = lowering::axis(call.int("axis", 0), self.builder.shape(x)?.len())?;
        let keep = call.int("keepdims", 1) != 0;
        self.emit(ArgMax { axis, keep }, vec![Arg::Node(x)])
    }
}
