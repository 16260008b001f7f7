//! Reductions.

use vascx_graph::{Arg, ArgMax, Binary, BinaryKind, Reduce, ReduceKind, Unary, UnaryKind};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Outcome, Value};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "ArgMax" => importer.arg_max(call),
        "ReduceMean" => importer.reduce(ReduceKind::Mean, call),
        "ReduceSum" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" => {
            importer.reduce(ReduceKind::Sum, call)
        }
        "ReduceMax" => importer.reduce(ReduceKind::Max, call),
        "ReduceMin" => importer.reduce(ReduceKind::Min, call),
        "ReduceProd" => importer.reduce(ReduceKind::Prod, call),
        _ => return None,
    })
}

impl<'m> Importer<'m> {
    fn reduce(&mut self, kind: ReduceKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let keep = call.int("keepdims", 1) != 0;
        if let (Value::Numbers { items, .. }, ReduceKind::Prod) = (call.need(0)?, kind) {
            let product = lowering::product(&mut self.builder, items)?;
            return Ok(vec![Value::Numbers {
                items: vec![product],
                vector: keep,
            }]);
        }
        let node = self.tensor(call.need(0)?)?;
        let rank = self.shape(node)?.len();
        let axes = self.axes(call, 1)?.unwrap_or_default();
        let mut axes = axes
            .into_iter()
            .map(|axis| self.axis(axis, rank))
            .collect::<Outcome<Vec<_>>>()?;
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

    fn arg_max(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.int("select_last_index", 0) != 0 {
            return self.unsupported(call, " of the last");
        }
        let x = self.tensor(call.need(0)?)?;
        let axis = self.axis(call.int("axis", 0), self.shape(x)?.len())?;
        let keep = call.int("keepdims", 1) != 0;
        self.emit(ArgMax { axis, keep }, vec![Arg::Node(x)])
    }
}
