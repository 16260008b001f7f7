//! Elementwise arithmetic, comparisons and logic, on tensors and on the numbers of shapes.

use vascx_graph::{Arg, Binary, BinaryKind, DType, Meta, Unary, UnaryKind, Where};

use super::Outputs;
use crate::onnx::importer::{Call, Importer, Outcome, Value};

impl<'m> Importer<'m> {
    pub(super) fn map(&mut self, kind: UnaryKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = call.need(0)?;
        let Value::Numbers { items, vector } = x else {
            let x = self.argument(x)?;
            return self.emit(Unary(kind), vec![x]);
        };
        let map = |&item: &Arg| self.then(Unary(kind), vec![item]);
        let items = items.iter().map(map).collect::<Outcome<_>>()?;
        let vector = *vector;
        Ok(vec![Value::Numbers { items, vector }])
    }

    /// All inputs, two at a time.
    pub(super) fn combine(&mut self, kind: BinaryKind, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mut result = call.need(0)?.clone();
        for index in 1..call.inputs.len() {
            result = self.combine_two(kind, &result, call.need(index)?)?;
        }
        Ok(vec![result])
    }

    fn combine_two(
        &mut self,
        kind: BinaryKind,
        x: &Value<'m>,
        y: &Value<'m>,
    ) -> Outcome<Value<'m>> {
        let symbolic = matches!(x, Value::Numbers { .. }) || matches!(y, Value::Numbers { .. });
        if symbolic && x.is_numbers() && y.is_numbers() {
            let vector = x.is_vector() || y.is_vector();
            let (x, y) = (self.numbers(x)?, self.numbers(y)?);
            let pairs = broadcast(&x, &y)?.into_iter();
            let items = pairs.map(|(x, y)| self.combine_numbers(kind, x, y));
            let items = items.collect::<Outcome<_>>()?;
            return Ok(Value::Numbers { items, vector });
        }
        let (x, y) = (self.argument(x)?, self.argument(y)?);
        let result = self.combine_numbers(kind, x, y)?;
        let result = self.value(result);
        let whole = |value| self.builder.dtype(value) == DType::Int;
        if kind == BinaryKind::Div && matches!(result, Value::Tensor(_)) && whole(x) && whole(y) {
            return Err("divides tensors of integers".into());
        }
        Ok(result)
    }

    fn combine_numbers(&mut self, kind: BinaryKind, x: Arg, y: Arg) -> Outcome<Arg> {
        // Sizes are positive, where truncation and rounding down agree.
        let whole = self.builder.dtype(x) != DType::Float && self.builder.dtype(y) != DType::Float;
        let kind = match kind {
            BinaryKind::Div if whole => BinaryKind::FloorDiv,
            kind => kind,
        };
        self.then(Binary(kind), vec![x, y])
    }

    pub(super) fn choose(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let [condition, x, y] = [call.need(0)?, call.need(1)?, call.need(2)?];
        if condition.is_numbers() && x.is_numbers() && y.is_numbers() {
            let vector = condition.is_vector() || x.is_vector() || y.is_vector();
            let (x, y) = (self.numbers(x)?, self.numbers(y)?);
            let pairs = broadcast(&x, &y)?;
            let condition = self.numbers(condition)?;
            let first = *condition.first().ok_or("chooses by no numbers")?;
            let conditions = broadcast(&condition, &vec![first; pairs.len()])?;
            let mut items = Vec::with_capacity(conditions.len());
            for (index, (condition, _)) in conditions.into_iter().enumerate() {
                let (x, y) = pairs[index.min(pairs.len() - 1)];
                let first = x == y || self.builder.pin(condition)?.is_true();
                items.push(if first { x } else { y });
            }
            return Ok(vec![Value::Numbers { items, vector }]);
        }
        let condition = self.argument(condition)?;
        let (x, y) = (self.argument(x)?, self.argument(y)?);
        self.emit(Where, vec![condition, x, y])
    }

    pub(super) fn is_nan(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.argument(call.need(0)?)?;
        if matches!(self.builder.argument(x), Meta::Number(_)) {
            return Err("asks whether a number is NaN".into());
        }
        // Not by comparing with itself: NdArray's equality has NaN equal NaN on AVX2.
        let infinity = Arg::float(f64::INFINITY);
        let number = self.then(Binary(BinaryKind::LessEqual), vec![x, infinity])?;
        self.emit(Unary(UnaryKind::Not), vec![number])
    }
}

/// Pairs of two lists, one of which may be a single number.
fn broadcast(x: &[Arg], y: &[Arg]) -> Outcome<Vec<(Arg, Arg)>> {
    match (x, y) {
        ([], _) | (_, []) => Err("combines no numbers".into()),
        ([x], y) => Ok(y.iter().map(|&y| (*x, y)).collect()),
        (x, [y]) => Ok(x.iter().map(|&x| (x, *y)).collect()),
        (x, y) if x.len() == y.len() => Ok(x.iter().copied().zip(y.iter().copied()).collect()),
        (x, y) => Err(format!("combines {} with {} numbers", x.len(), y.len())),
    }
}
