//! New tensors, constants, and changes of element type.

use vascx_graph::{Arange, Arg, DType, Full, Literal};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, Outcome, Value};

impl<'m> Importer<'m> {
    /// The branch that a known condition chooses, such as one on a size; the graph then holds only
    /// where it does.
    pub(super) fn branch(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Ok(condition) = self.numbers(call.need(0)?) else {
            return self.unsupported(call, " on the values of a tensor");
        };
        let condition = *condition.first().ok_or("has no condition")?;
        let name = if self.builder.pin(condition)?.is_true() {
            "then_branch"
        } else {
            "else_branch"
        };
        let attribute = call.attribute(name);
        let graph = attribute.and_then(|attribute| attribute.graph.as_ref());
        let graph = graph.ok_or_else(|| format!("has no `{name}`"))?;
        self.nodes(graph)?;
        if !self.unsupported.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = graph.outputs.iter();
        outputs.map(|output| self.computed(output.name)).collect()
    }

    pub(super) fn constant_value(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Some(value) = self.constant(call) {
            return Ok(vec![value]);
        }
        let Some(attribute) = call.node.attributes.first() else {
            return Err("has no value".into());
        };
        let (items, vector) = match attribute.name {
            "value_int" => (vec![Arg::int(attribute.int)], false),
            "value_float" => (vec![Arg::float(call.float("value_float", 0.0))], false),
            "value_ints" => (call.numbers("value_ints").unwrap_or_default(), true),
            _ => return self.unsupported(call, &format!(" by `{}`", attribute.name)),
        };
        Ok(vec![Value::Numbers { items, vector }])
    }

    pub(super) fn filled(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let sizes = self.numbers(call.need(0)?)?;
        let fill = match self.constant(call) {
            Some(value) => *self.numbers(&value)?.first().ok_or("has no value")?,
            None => Arg::float(0.0),
        };
        // A vector of integers is usually on its way to become a shape.
        if let ([Arg::Literal(Literal::Int(length @ 1..=8))], true) =
            (&sizes[..], self.builder.dtype(fill) == DType::Int)
        {
            let items = vec![fill; usize::try_from(*length).unwrap_or(0)];
            return Ok(vec![Value::vector(items)]);
        }
        let dtype = self.builder.dtype(fill);
        self.emit(Full(dtype), std::iter::once(fill).chain(sizes).collect())
    }

    pub(super) fn range(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mut all = Vec::new();
        for index in 0..3 {
            let numbers = self.numbers(call.need(index)?)?;
            all.push(*numbers.first().ok_or("lacks a bound")?);
        }
        let dtype = self.builder.dtype(all[0]);
        self.emit(Arange(dtype), all)
    }

    pub(super) fn cast_like(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let like = self.argument(call.need(1)?)?;
        let dtype = self.builder.dtype(like);
        self.cast_to(call, dtype)
    }

    pub(super) fn cast_to(&mut self, call: &Call<'_, 'm>, dtype: DType) -> Outputs<'m> {
        let value = call.need(0)?;
        if let Value::Numbers { items, vector } = value {
            let items = items.iter().map(|&item| self.cast(item, dtype));
            let items = items.collect::<Outcome<_>>()?;
            let vector = *vector;
            return Ok(vec![Value::Numbers { items, vector }]);
        }
        let x = self.argument(value)?;
        let cast = self.cast(x, dtype)?;
        Ok(vec![self.value(cast)])
    }
}
