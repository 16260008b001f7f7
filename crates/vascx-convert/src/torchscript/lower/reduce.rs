//! Reductions.

use std::rc::Rc;

use vascx_graph::{
    Arg, ArgMax, Binary, BinaryKind, Cast, CumSum, DType, Literal, Reduce, ReduceKind, Unary,
    UnaryKind,
};

use super::Arguments;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    #[allow(clippy::too_many_lines)] // A table: one arm per name.
    pub(super) fn reduce(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let first = a.need(0, "self")?;
        let x = self.argument(&first)?;
        if matches!(name, "max" | "min") && matches!(a.get(1, "other"), Some(Value::Tensor(_)))
            || matches!(first, Value::Number(_))
        {
            let y = self.argument(&a.need(1, "other")?)?;
            let kind = match name {
                "max" => BinaryKind::Max,
                _ => BinaryKind::Min,
            };
            return self.emit(Binary(kind), vec![x, y]);
        }
        let rank = self.rank(x)?;
        if name == "cumsum" {
            let axis = self.axis(&a.need(1, "dim")?, rank)?;
            return self.emit(CumSum(axis), vec![x]);
        }
        let norm = matches!(name, "norm" | "linalg_vector_norm");
        let (at, mut keep_at) = if norm { (2, 3) } else { (1, 2) };
        let spread = matches!(name, "var" | "std" | "var_mean");
        if spread {
            keep_at = 3;
        }
        // `var(x, unbiased)` has a truth value where the axes stand.
        let mut given = a.get(at, "dim");
        let mut unbiased = true;
        if spread {
            if let Some(Value::Number(Arg::Literal(Literal::Bool(value)))) = given {
                unbiased = value;
                given = None;
            } else if let Some(value) = a.get(2, "unbiased").or(a.get(2, "correction")) {
                unbiased = self.number(&value)? != 0.0;
            }
        }
        let keep = self.flag(a.get(keep_at, "keepdim"), false)?;
        if name == "argmax" {
            let axis = self.axis(&given.ok_or("lacks `dim`")?, rank)?;
            return self.emit(ArgMax { axis, keep }, vec![x]);
        }
        let one_axis = given.is_some();
        let axes = self.axes(given, rank)?;
        let reduce = |kind, keep| Reduce {
            kind,
            axes: axes.clone(),
            keep,
        };
        let extreme = match name {
            "max" | "any" => ReduceKind::Max,
            _ => ReduceKind::Min,
        };
        match name {
            "sum" => self.emit(reduce(ReduceKind::Sum, keep), vec![x]),
            "mean" => self.emit(reduce(ReduceKind::Mean, keep), vec![x]),
            "prod" => self.emit(reduce(ReduceKind::Prod, keep), vec![x]),
            "amax" => self.emit(reduce(ReduceKind::Max, keep), vec![x]),
            "amin" => self.emit(reduce(ReduceKind::Min, keep), vec![x]),
            "any" | "all" => {
                let truth = self.then(Cast(DType::Bool), vec![x])?;
                let y = self.then(reduce(extreme, keep), vec![truth])?;
                self.emit(Cast(DType::Bool), vec![y])
            }
            "max" | "min" => {
                let values = self.emit(reduce(extreme, keep), vec![x])?;
                if !one_axis {
                    return Ok(values);
                }
                let axis = axes[0];
                let indices = match name {
                    "max" => self.emit(ArgMax { axis, keep }, vec![x])?,
                    _ => Value::Unknown,
                };
                Ok(Value::Tuple(Rc::new(vec![values, indices])))
            }
            "logsumexp" => {
                let exp = self.then(Unary(UnaryKind::Exp), vec![x])?;
                let sum = self.then(reduce(ReduceKind::Sum, keep), vec![exp])?;
                self.emit(Unary(UnaryKind::Log), vec![sum])
            }
            "var" | "std" | "var_mean" => {
                let mean = self.then(reduce(ReduceKind::Mean, true), vec![x])?;
                let centred = self.then(Binary(BinaryKind::Sub), vec![x, mean])?;
                let square = self.then(Binary(BinaryKind::Mul), vec![centred, centred])?;
                let mut variance = self.then(reduce(ReduceKind::Mean, keep), vec![square])?;
                if unbiased {
                    let sizes = axes.iter().map(|&axis| self.builder.size(x, axis));
                    let sizes = sizes.collect::<Outcome<Vec<_>>>()?;
                    let count = lowering::product(&mut self.builder, &sizes)?;
                    let less = self.then(Binary(BinaryKind::Sub), vec![count, Arg::int(1)])?;
                    let ratio = self.then(Binary(BinaryKind::Div), vec![count, less])?;
                    variance = self.then(Binary(BinaryKind::Mul), vec![variance, ratio])?;
                }
                match name {
                    "std" => self.emit(Unary(UnaryKind::Sqrt), vec![variance]),
                    "var_mean" => {
                        let mean = self.emit(reduce(ReduceKind::Mean, keep), vec![x])?;
                        let variance = self.fresh(variance);
                        Ok(Value::Tuple(Rc::new(vec![variance, mean])))
                    }
                    _ => Ok(self.fresh(variance)),
                }
            }
            _ => {
                let order = self.number_or(a.get(1, "p").filter(|_| norm), 2.0)?;
                let size = self.then(Unary(UnaryKind::Abs), vec![x])?;
                if order == f64::INFINITY {
                    return self.emit(reduce(ReduceKind::Max, keep), vec![size]);
                }
                if order == 1.0 {
                    return self.emit(reduce(ReduceKind::Sum, keep), vec![size]);
                }
                let raised = self.then(Binary(BinaryKind::Pow), vec![size, Arg::float(order)])?;
                let sum = self.then(reduce(ReduceKind::Sum, keep), vec![raised])?;
                if order == 2.0 {
                    return self.emit(Unary(UnaryKind::Sqrt), vec![sum]);
                }
                self.emit(Binary(BinaryKind::Pow), vec![sum, Arg::float(1.0 / order)])
            }
        }
    }
}
