//! New tensors, constants, and changes of element type.

use vascx_graph::{Arange, Arg, DType, Full, Literal};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, Outcome, Value, dtype_of};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "Dropout" if call.get(2).is_some() => importer.unsupported(call, " in training mode"),
        "If" => importer.branch(call),
        "Identity" | "Dropout" => call.need(0).map(|value| vec![value.clone()]),
        "Constant" => importer.constant_value(call),
        "ConstantOfShape" => importer.filled(call),
        "Range" => importer.range(call),
        "Cast" => dtype_of(call.int("to", 1)).and_then(|dtype| importer.cast_to(call, dtype)),
        "CastLike" => importer.cast_like(call),
        _ => return None,
    })
}

impl<'m> Importer<'m> {
    /// The branch that a known condition chooses, such as one on a size; the graph then holds only
    /// where it does.
    fn branch(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Ok(condition) = self.numbers(call.need(0)?) else {
            return self.unsupported(call, " on the values of a tensor");
        };
        let condition = *condition.first().ok_or("has no condition")?;
        let name = if self.builder.pin(condition)?.is_true() {
            "then_branch"
        } else {
            "else_branch"
        };
        let attributes = call.node.attributes.iter();
        let mut graphs = attributes.filter(|attribute| attribute.name == name);
        let graph = graphs.next().and_then(|attribute| attribute.graph.as_ref());
        let graph = graph.ok_or_else(|| format!("has no `{name}`"))?;
        self.nodes(graph)?;
        if !self.unsupported.is_empty() {
            return Ok(Vec::new());
        }
        let outputs = graph.outputs.iter();
        outputs.map(|output| self.computed(output.name)).collect()
    }

    fn constant_value(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Some(value) = self.constant(call) {
            return Ok(vec![value]);
        }
        let Some(attribute) = call.node.attributes.first() else {
            return Err("has no value".into());
        };
        let (items, vector) = match attribute.name {
            "value_int" => (vec![Arg::int(attribute.int)], false),
            "value_float" => (vec![Arg::float(call.float("value_float", 0.0))], false),
            "value_ints" => (
                attribute
                    .ints
                    .iter()
                    .map(|&value| Arg::int(value))
                    .collect(),
                true,
            ),
            _ => return self.unsupported(call, &format!(" by `{}`", attribute.name)),
        };
        Ok(vec![Value::Numbers { items, vector }])
    }

    fn filled(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let sizes = self.numbers(call.need(0)?)?;
        let fill = match self.constant(call) {
            Some(value) => self
                .numbers(&value)?
                .first()
                .copied()
                .ok_or("has no value")?,
            None => Arg::float(0.0),
        };
        // A vector of integers is usually on its way to become a shape.
        if let ([Arg::Literal(Literal::Int(length @ 1..=8))], true) =
            (&sizes[..], self.dtype(fill) == DType::Int)
        {
            let items = vec![fill; usize::try_from(*length).unwrap_or(0)];
            return Ok(vec![Value::Numbers {
                items,
                vector: true,
            }]);
        }
        let dtype = self.dtype(fill);
        self.emit(Full(dtype), std::iter::once(fill).chain(sizes).collect())
    }

    fn range(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mut all = Vec::new();
        for index in 0..3 {
            let numbers = self.numbers(call.need(index)?)?;
            all.push(*numbers.first().ok_or("lacks a bound")?);
        }
        let dtype = self.dtype(all[0]);
        self.emit(Arange(dtype), all)
    }

    fn cast_like(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let like = self.argument(call.need(1)?)?;
        let dtype = self.dtype(like);
        self.cast_to(call, dtype)
    }

    fn cast_to(&mut self, call: &Call<'_, 'm>, dtype: DType) -> Outputs<'m> {
        let value = call.need(0)?;
        if let Value::Numbers { items, vector } = value {
            let items = items.iter().map(|&item| self.cast(item, dtype));
            let items = items.collect::<Outcome<_>>()?;
            return Ok(vec![Value::Numbers {
                items,
                vector: *vector,
            }]);
        }
        let x = self.argument(value)?;
        let cast = self.cast(x, dtype)?;
        Ok(vec![self.value(cast)])
    }
}
