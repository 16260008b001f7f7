//! Other shapes, joining and taking apart.

use vascx_graph::{
    Arg, Binary, BinaryKind, Cat, Expand, Literal, Meta, Reshape, Squeeze, Unsqueeze,
};

use super::Outputs;
use super::index::slice_numbers;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, MAX_NUMBERS, Outcome, Value};

impl<'m> Importer<'m> {
    pub(super) fn shape_of(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let items = match call.need(0)? {
            Value::Numbers {
                items,
                vector: true,
            } => vec![Arg::int(items.len() as i64)],
            Value::Stored(stored) => {
                let sizes = stored.shape.iter();
                sizes.map(|&size| Arg::int(size as i64)).collect()
            }
            value => {
                let x = self.tensor(value)?;
                self.builder.sizes(x)?
            }
        };
        let (start, end) = (call.int("start", 0), call.int("end", i64::MAX));
        Ok(vec![Value::vector(slice_numbers(&items, start, end, 1)?)])
    }

    pub(super) fn count(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let sizes = self.builder.sizes(x)?;
        let product = lowering::product(&mut self.builder, &sizes)?;
        Ok(vec![Value::scalar(product)])
    }

    pub(super) fn reshape(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mut sizes = match call.numbers("shape") {
            Some(shape) => shape,
            None => self.numbers(call.need(1)?)?,
        };
        if let (Value::Table(rows), [_]) = (call.need(0)?, &sizes[..]) {
            return Ok(vec![Value::vector(rows.concat())]);
        }
        if let Value::Numbers { items, .. } = call.need(0)? {
            if let [rows, Arg::Literal(Literal::Int(columns @ 1..))] = sizes[..] {
                let columns = usize::try_from(columns).unwrap_or(usize::MAX);
                let count = (items.len() / columns) as i64;
                if items.len() % columns != 0 || rows != Arg::int(-1) && rows != Arg::int(count) {
                    return Err(format!("{} numbers in rows of {columns}", items.len()));
                }
                let rows = items.chunks(columns).map(<[_]>::to_vec);
                return Ok(vec![Value::Table(rows.collect())]);
            }
            if sizes.len() > 1 {
                return Err("numbers over several axes".into());
            }
            let vector = !sizes.is_empty();
            if !vector && items.len() != 1 {
                return Err("several numbers as one".into());
            }
            let items = items.clone();
            return Ok(vec![Value::Numbers { items, vector }]);
        }
        let x = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(x)?.len();
        if call.int("allowzero", 0) == 0 {
            for (axis, size) in sizes.iter_mut().enumerate() {
                if *size == Arg::int(0) && axis < rank {
                    *size = self.builder.size(x, axis)?;
                }
            }
        }
        let y = lowering::reshaped(&mut self.builder, x.into(), sizes)?;
        Ok(vec![self.value(y)])
    }

    pub(super) fn flatten(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let sizes = self.builder.sizes(x)?;
        let axis = match call.int("axis", 1) {
            // After the last one is a place, too.
            axis if axis == sizes.len() as i64 => sizes.len(),
            axis => lowering::axis(axis, sizes.len())?,
        };
        let rows = lowering::product(&mut self.builder, &sizes[..axis])?;
        self.emit(Reshape, vec![Arg::Node(x), rows, Arg::int(-1)])
    }

    pub(super) fn transpose(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Value::Table(rows) = call.need(0)? {
            if !matches!(call.ints("perm"), None | Some([1, 0])) {
                return Err("rows of numbers keep their order".into());
            }
            let columns = rows.first().map_or(0, Vec::len);
            let column = |index: usize| rows.iter().map(|row| row[index]).collect();
            return Ok(vec![Value::Table((0..columns).map(column).collect())]);
        }
        let x = self.tensor(call.need(0)?)?;
        let rank = self.builder.shape(x)?.len();
        let order = match call.ints("perm") {
            Some(order) => lowering::axes(order, rank)?,
            None => (0..rank).rev().collect(),
        };
        Ok(vec![Value::Tensor(self.permuted(x, &order)?)])
    }

    pub(super) fn squeeze(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Value::Numbers { items, .. } = call.need(0)? {
            let [number] = items[..] else {
                return Err("several numbers as one".into());
            };
            return Ok(vec![Value::scalar(number)]);
        }
        let given = self.axes(call, 1)?;
        let x = self.tensor(call.need(0)?)?;
        let shape = self.builder.shape(x)?;
        let axes = match given {
            Some(axes) => lowering::axes(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        self.emit(Squeeze(axes), vec![Arg::Node(x)])
    }

    pub(super) fn unsqueeze(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let axes = self.axes(call, 1)?.ok_or("lacks axes")?;
        let value = call.need(0)?;
        if let (Value::Numbers { items, .. }, false, 1) = (value, value.is_vector(), axes.len()) {
            return Ok(vec![Value::vector(items.clone())]);
        }
        let mut x = self.tensor(value)?;
        let rank = self.builder.shape(x)?.len() + axes.len();
        let mut axes = lowering::axes(&axes, rank)?;
        axes.sort_unstable();
        for axis in axes {
            x = self.node(Unsqueeze(axis), vec![Arg::Node(x)])?;
        }
        Ok(vec![Value::Tensor(x)])
    }

    pub(super) fn expand(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let mut sizes = self.numbers(call.need(1)?)?;
        let shape = self.builder.shape(x)?;
        while sizes.len() < shape.len() {
            sizes.insert(0, Arg::int(-1));
        }
        let new = sizes.len() - shape.len();
        for (axis, size) in sizes.iter_mut().enumerate().skip(new) {
            // Either side may be the one that repeats.
            let keeps = *size == Arg::int(1)
                || shape[axis - new] != 1
                    && self.builder.argument(*size) == Meta::Number(Literal::Int(1));
            if keeps {
                *size = Arg::int(-1);
            }
        }
        self.emit(Expand, std::iter::once(Arg::Node(x)).chain(sizes).collect())
    }

    pub(super) fn tile(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let counts = self.numbers(call.need(1)?)?;
        let y = lowering::repeated(&mut self.builder, x.into(), &counts)?;
        Ok(vec![self.value(y)])
    }

    pub(super) fn concat(&mut self, parts: Vec<Value<'m>>, call: &Call<'_, 'm>) -> Outputs<'m> {
        let is_symbolic = |part: &Value| matches!(part, Value::Numbers { .. });
        if parts.iter().any(is_symbolic) && parts.iter().all(Value::is_numbers) {
            let mut items = Vec::new();
            for part in &parts {
                items.extend(self.numbers(part)?);
                if items.len() > MAX_NUMBERS {
                    return Err(format!("joins more than {MAX_NUMBERS} numbers"));
                }
            }
            return Ok(vec![Value::vector(items)]);
        }
        let mut tensors = Vec::with_capacity(parts.len());
        for part in &parts {
            tensors.push(Arg::Node(self.tensor(part)?));
        }
        let Some(&Arg::Node(first)) = tensors.first() else {
            return Err("joins nothing".into());
        };
        let axis = lowering::axis(call.int("axis", 0), self.builder.shape(first)?.len())?;
        self.emit(Cat(axis), tensors)
    }

    /// A sequence, whose items are copied: those of sequences would grow without bounds.
    pub(super) fn sequence(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let parts: Vec<_> = call.inputs.iter().flatten().cloned().collect();
        if parts.iter().any(|part| matches!(part, Value::Sequence(_))) {
            return self.unsupported(call, " of sequences");
        }
        Ok(vec![Value::Sequence(parts)])
    }

    pub(super) fn concat_sequence(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Value::Sequence(mut parts) = call.need(0)?.clone() else {
            return Err("joins something else than a sequence".into());
        };
        if call.int("new_axis", 0) != 0 {
            for part in &mut parts {
                let x = self.tensor(part)?;
                let axis = lowering::axis(call.int("axis", 0), self.builder.shape(x)?.len() + 1)?;
                *part = Value::Tensor(self.node(Unsqueeze(axis), vec![Arg::Node(x)])?);
            }
        }
        self.concat(parts, call)
    }

    pub(super) fn sequence_at(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Value::Sequence(parts) = call.need(0)? else {
            return Err("takes an item of something else than a sequence".into());
        };
        let index = self.integers(call.need(1)?)?;
        let index = *index.first().ok_or("has no index")?;
        Ok(vec![parts[lowering::axis(index, parts.len())?].clone()])
    }

    pub(super) fn split(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let sizes = match (call.numbers("split"), call.get(1)) {
            (Some(sizes), _) => Some(sizes),
            (None, Some(sizes)) => Some(self.numbers(sizes)?),
            (None, None) => None,
        };
        if let (Value::Numbers { items, .. }, Some(sizes)) = (call.need(0)?, &sizes) {
            let mut parts = Vec::new();
            let mut rest = &items[..];
            for &size in sizes {
                let size = usize::try_from(self.integer(size)?).map_err(|_| "a negative size")?;
                let (part, after) = rest.split_at_checked(size).ok_or("too many parts")?;
                parts.push(Value::vector(part.to_vec()));
                rest = after;
            }
            return Ok(parts);
        }
        let x = self.tensor(call.need(0)?)?;
        let axis = lowering::axis(call.int("axis", 0), self.builder.shape(x)?.len())?;
        let sizes = if let Some(sizes) = sizes {
            sizes
        } else {
            // Parts of ⌈total / count⌉, the last one perhaps smaller; slices end at the end.
            let outputs = call.node.outputs.len();
            let count = call.int("num_outputs", outputs as i64).max(1);
            let total = self.builder.size(x, axis)?;
            let raised = self.add(total, Arg::int(count - 1))?;
            let each = self.then(Binary(BinaryKind::FloorDiv), vec![raised, Arg::int(count)])?;
            vec![each; outputs.min(usize::try_from(count).unwrap_or(1))]
        };
        let mut parts = Vec::with_capacity(sizes.len());
        let mut start = Arg::int(0);
        for size in sizes {
            let end = self.add(start, size)?;
            let part = lowering::part(&mut self.builder, x, axis, [start, end])?;
            parts.push(self.value(part));
            start = end;
        }
        Ok(parts)
    }

    fn add(&mut self, x: Arg, y: Arg) -> Outcome<Arg> {
        self.then(Binary(BinaryKind::Add), vec![x, y])
    }

    pub(super) fn depth_to_space(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let neighbouring = call.text("mode", "DCR") == "CRD";
        let factor = call.int("blocksize", 1);
        let y = lowering::pixels_of_channels(&mut self.builder, x.into(), factor, neighbouring)?;
        Ok(vec![self.value(y)])
    }
}
