//! What changes no value, changes of element type, and measuring.

use vascx_graph::{Arg, Cast, DType, Literal};

use super::Arguments;
use super::operands::dtype_of;
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    /// Copies, and changes of element type. Devices and precisions mean nothing to a graph.
    pub(super) fn copy(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = a.need(0, "self")?;
        let argument = self.argument(&x)?;
        let present = self.builder.dtype(argument);
        let wanted = match name {
            "float" | "double" | "half" => Some(DType::Float),
            "long" | "int" => Some(DType::Int),
            "bool" => Some(DType::Bool),
            "clone" => None,
            _ => {
                let mut wanted = None;
                let named = a.named.iter().filter(|(name, _)| name == "dtype");
                let named = named.map(|(_, value)| value);
                for value in a.positional[1..].iter().chain(named) {
                    match value {
                        Value::Number(Arg::Literal(Literal::Int(code))) => {
                            wanted = wanted.or(dtype_of(*code));
                        }
                        Value::Tensor(other) => {
                            let node = self.node(other)?;
                            wanted = Some(self.builder.dtype(node));
                        }
                        _ => {}
                    }
                }
                wanted
            }
        };
        match wanted {
            Some(dtype) if dtype != present => self.emit(Cast(dtype), vec![argument]),
            _ if name == "to" || name == "type_as" => Ok(x),
            _ => Ok(self.fresh(argument)),
        }
    }

    pub(super) fn measure(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let x = a.need(0, "self")?;
        let Value::Tensor(x) = x else {
            return Ok(match name {
                "numel" => Value::int(1),
                "dim" | "ndim" => Value::int(0),
                _ => Value::list(Vec::new()),
            });
        };
        let node = self.node(&x)?;
        let rank = self.builder.shape(node)?.len();
        if matches!(name, "dim" | "ndim") {
            return Ok(Value::int(rank as i64));
        }
        if let Some(axis) = a.get(1, "dim") {
            let axis = self.axis(&axis, rank)?;
            return Ok(Value::Number(self.builder.size(node, axis)?));
        }
        let sizes = self.builder.sizes(node)?;
        if name == "numel" {
            let product = lowering::product(&mut self.builder, &sizes)?;
            return Ok(Value::Number(product));
        }
        Ok(Value::list(sizes.into_iter().map(Value::Number).collect()))
    }
}
