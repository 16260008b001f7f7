//! Picking by range or index.

use vascx_graph::{
    Arg, Binary, BinaryKind, CumSum, Flip, Gather, IndexSelect, Literal, Reshape, ScatterRows,
    Slice, Squeeze,
};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, Outcome, Value};

impl<'m> Importer<'m> {
    pub(super) fn slice(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let value = call.need(0)?;
        // The first version has its bounds as attributes.
        let (starts, ends) = if let Some(starts) = call.numbers("starts") {
            (starts, call.numbers("ends").unwrap_or_default())
        } else {
            (self.numbers(call.need(1)?)?, self.numbers(call.need(2)?)?)
        };
        let axes = self.axes(call, 3)?;
        let steps = call.get(4).map(|steps| self.integers(steps)).transpose()?;
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err("bounds, axes and steps differ in number".into());
        }
        if let (Value::Numbers { items, .. }, [start], [end], [step]) =
            (value, &starts[..], &ends[..], &steps[..])
        {
            let (start, end) = (self.integer(*start)?, self.integer(*end)?);
            let items = slice_numbers(items, start, end, *step)?;
            return Ok(vec![Value::vector(items)]);
        }
        if let (Value::Table(rows), [start], [end], [0], [-1]) =
            (value, &starts[..], &ends[..], &axes[..], &steps[..])
            && whole_backwards(*start, *end)
        {
            return Ok(vec![Value::Table(rows.iter().rev().cloned().collect())]);
        }
        let mut x = self.tensor(value)?;
        let rank = self.builder.shape(x)?.len();
        for (index, &axis) in axes.iter().enumerate() {
            let axis = lowering::axis(axis, rank)?;
            let (mut start, mut end, mut step) = (starts[index], ends[index], steps[index]);
            if step == -1 && whole_backwards(start, end) {
                x = self.node(Flip(vec![axis]), vec![Arg::Node(x)])?;
                (start, end, step) = (Arg::int(0), Arg::int(i64::MAX), 1);
            }
            let step = usize::try_from(step).map_err(|_| format!("steps of {step}"))?;
            x = self.node(Slice { axis, step }, vec![Arg::Node(x), start, end])?;
        }
        Ok(vec![Value::Tensor(x)])
    }

    pub(super) fn gather(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let (data, index) = (call.need(0)?, call.need(1)?);
        let axis = call.int("axis", 0);
        let scalar = index.is_numbers() && !index.is_vector();
        if let Value::Numbers { items, .. } = data {
            let mut picked = Vec::new();
            for index in self.integers(index)? {
                picked.push(items[lowering::axis(index, items.len())?]);
            }
            let (items, vector) = (picked, !scalar);
            return Ok(vec![Value::Numbers { items, vector }]);
        }
        let x = self.tensor(data)?;
        let axis = lowering::axis(axis, self.builder.shape(x)?.len())?;
        if scalar {
            let start = *self.numbers(index)?.first().ok_or("has no index")?;
            // The last element's range ends at the end, not at zero.
            let end = match start {
                Arg::Literal(Literal::Int(-1)) => Arg::int(i64::MAX),
                Arg::Literal(Literal::Int(start)) => Arg::int(start.saturating_add(1)),
                start => Arg::int(self.integer(start)?.saturating_add(1)),
            };
            let part = lowering::part(&mut self.builder, x, axis, [start, end])?;
            return self.emit(Squeeze(vec![axis]), vec![part]);
        }
        let index = self.tensor(index)?;
        self.emit(IndexSelect(axis), vec![Arg::Node(x), Arg::Node(index)])
    }

    /// Replaces the parts of a tensor that indices, along the last axis of theirs, lead to.
    pub(super) fn scatter(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.text("reduction", "none") != "none" {
            return self.unsupported(call, " that adds or multiplies");
        }
        let x = self.tensor(call.need(0)?)?;
        let indices = self.tensor(call.need(1)?)?;
        let rows = self.tensor(call.need(2)?)?;
        let (sizes, steps) = (self.builder.sizes(x)?, self.builder.shape(indices)?);
        let depth = steps.last().copied();
        let depth = depth.filter(|depth| (1..=sizes.len()).contains(depth));
        let depth = depth.ok_or("indices of no axes of the tensor")?;
        let last = steps.len() - 1;
        // One index into the axes that are indexed, taken as one.
        let mut place = Arg::Literal(Literal::Int(0));
        for (axis, &size) in sizes[..depth].iter().enumerate() {
            let part = lowering::place(&mut self.builder, indices, last, axis)?;
            let mut calculate = |kind, x, y| self.then(Binary(kind), vec![x, y]);
            // Negative ones count from the end.
            let part = calculate(BinaryKind::Remainder, part, size)?;
            let row = calculate(BinaryKind::Mul, place, size)?;
            place = calculate(BinaryKind::Add, row, part)?;
        }
        let place = self.node(Reshape, vec![place, Arg::int(-1)])?;
        let count = self.builder.size(place, 0)?;
        let product = lowering::product(&mut self.builder, &sizes[depth..])?;
        let dtype = self.builder.dtype(Arg::Node(x));
        let matrix = self.node(Reshape, vec![Arg::Node(x), Arg::int(-1), product])?;
        let rows = self.node(Reshape, vec![Arg::Node(rows), count, product])?;
        let all = [matrix, place, rows].map(Arg::Node).to_vec();
        let replaced = self.node(ScatterRows, all)?;
        let all = std::iter::once(Arg::Node(replaced)).chain(sizes).collect();
        let whole = self.then(Reshape, all)?;
        let whole = self.cast(whole, dtype)?;
        Ok(vec![self.value(whole)])
    }

    pub(super) fn gather_elements(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let (x, index) = (self.tensor(call.need(0)?)?, self.tensor(call.need(1)?)?);
        let axis = lowering::axis(call.int("axis", 0), self.builder.shape(x)?.len())?;
        self.emit(Gather(axis), vec![Arg::Node(x), Arg::Node(index)])
    }

    pub(super) fn cumulative_sum(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if call.int("exclusive", 0) != 0 || call.int("reverse", 0) != 0 {
            return self.unsupported(call, " backwards or without the element itself");
        }
        let x = self.tensor(call.need(0)?)?;
        let axis = *self.integers(call.need(1)?)?.first().ok_or("has no axis")?;
        let axis = lowering::axis(axis, self.builder.shape(x)?.len())?;
        self.emit(CumSum(axis), vec![Arg::Node(x)])
    }
}

fn whole_backwards(start: Arg, end: Arg) -> bool {
    matches!(start, Arg::Literal(Literal::Int(-1 | i64::MAX)))
        && matches!(end, Arg::Literal(Literal::Int(end)) if end < i64::from(i32::MIN) + 2)
}

/// `items[start:end:step]`.
pub(super) fn slice_numbers(items: &[Arg], start: i64, end: i64, step: i64) -> Outcome<Vec<Arg>> {
    let length = items.len() as i64;
    let bound = |value: i64| {
        let value = if value < 0 {
            value.saturating_add(length)
        } else {
            value
        };
        usize::try_from(value.clamp(0, length)).unwrap_or(0)
    };
    let step = usize::try_from(step).ok().filter(|&step| step > 0);
    let step = step.ok_or("steps backwards through a shape")?;
    let (start, end) = (bound(start), bound(end));
    Ok(items[start..end.max(start)]
        .iter()
        .copied()
        .step_by(step)
        .collect())
}
