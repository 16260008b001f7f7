//! Other shapes, joining and taking apart.

use vascx_graph::{
    Arg, Binary, BinaryKind, Cat, Expand, Literal, Meta, Reshape, Slice, Squeeze, Unsqueeze,
};

use super::Outputs;
use crate::lowering;
use crate::onnx::importer::{Call, Importer, MAX_NUMBERS, Outcome, Value};

/// What an operator of this family becomes.
pub(super) fn lower<'m>(importer: &mut Importer<'m>, call: &Call<'_, 'm>) -> Option<Outputs<'m>> {
    Some(match call.node.operator {
        "Shape" => importer.shape_of(call),
        "Size" => importer.count(call),
        "Reshape" => importer.reshape(call),
        "Flatten" => importer.flatten(call),
        "Transpose" => importer.transpose(call),
        "Squeeze" => importer.squeeze(call),
        "Unsqueeze" => importer.unsqueeze(call),
        "Expand" => importer.expand(call),
        "Tile" => importer.tile(call),
        "Concat" => importer.concat(call.inputs.iter().flatten().cloned().collect(), call),
        "Split" => importer.split(call),
        "SequenceConstruct" => importer.sequence(call),
        "SequenceAt" => importer.sequence_at(call),
        "ConcatFromSequence" => importer.concat_sequence(call),
        "DepthToSpace" => importer.depth_to_space(call),
        _ => return None,
    })
}

impl<'m> Importer<'m> {
    fn shape_of(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let items = match call.need(0)? {
            Value::Numbers {
                items,
                vector: true,
            } => vec![Arg::int(items.len() as i64)],
            Value::Stored(stored) => stored
                .shape
                .iter()
                .map(|&size| Arg::int(size as i64))
                .collect(),
            value => {
                let x = self.tensor(value)?;
                self.sizes(x)?
            }
        };
        let length = items.len() as i64;
        let bound = |value: i64| {
            let value = if value < 0 {
                value.saturating_add(length)
            } else {
                value
            };
            usize::try_from(value.clamp(0, length)).unwrap_or(0)
        };
        let (start, end) = (
            bound(call.int("start", 0)),
            bound(call.int("end", i64::MAX)),
        );
        let items = items[start..end.max(start)].to_vec();
        Ok(vec![Value::Numbers {
            items,
            vector: true,
        }])
    }

    fn count(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let sizes = self.sizes(x)?;
        let product = lowering::product(&mut self.builder, &sizes)?;
        Ok(vec![Value::Numbers {
            items: vec![product],
            vector: false,
        }])
    }

    fn reshape(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let mut sizes = match call.ints("shape") {
            Some(shape) => shape.iter().map(|&size| Arg::int(size)).collect(),
            None => self.numbers(call.need(1)?)?,
        };
        if let (Value::Table(rows), [_]) = (call.need(0)?, &sizes[..]) {
            return Ok(vec![Value::Numbers {
                items: rows.concat(),
                vector: true,
            }]);
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
            return Ok(vec![Value::Numbers {
                items: items.clone(),
                vector,
            }]);
        }
        let x = self.tensor(call.need(0)?)?;
        let rank = self.shape(x)?.len();
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

    fn flatten(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let sizes = self.sizes(x)?;
        let axis = call.int("axis", 1);
        let axis = if axis < 0 {
            axis.saturating_add(sizes.len() as i64)
        } else {
            axis
        };
        let axis = usize::try_from(axis)
            .ok()
            .filter(|&axis| axis <= sizes.len());
        let axis = axis.ok_or("flattens at no axis")?;
        let rows = lowering::product(&mut self.builder, &sizes[..axis])?;
        self.emit(Reshape, vec![Arg::Node(x), rows, Arg::int(-1)])
    }

    fn transpose(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Value::Table(rows) = call.need(0)? {
            if !matches!(call.ints("perm"), None | Some([1, 0])) {
                return Err("rows of numbers keep their order".into());
            }
            let columns = rows.first().map_or(0, Vec::len);
            let column = |index: usize| rows.iter().map(|row| row[index]).collect();
            return Ok(vec![Value::Table((0..columns).map(column).collect())]);
        }
        let x = self.tensor(call.need(0)?)?;
        let rank = self.shape(x)?.len();
        let order = match call.ints("perm") {
            Some(order) => order
                .iter()
                .map(|&axis| self.axis(axis, rank))
                .collect::<Outcome<Vec<_>>>()?,
            None => (0..rank).rev().collect(),
        };
        Ok(vec![Value::Tensor(self.permuted(x, &order)?)])
    }

    fn squeeze(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        if let Value::Numbers { items, .. } = call.need(0)? {
            if items.len() != 1 {
                return Err("several numbers as one".into());
            }
            let items = items.clone();
            return Ok(vec![Value::Numbers {
                items,
                vector: false,
            }]);
        }
        let given = self.axes(call, 1)?;
        let x = self.tensor(call.need(0)?)?;
        let shape = self.shape(x)?;
        let axes = match given {
            Some(axes) => axes
                .into_iter()
                .map(|axis| self.axis(axis, shape.len()))
                .collect::<Outcome<_>>()?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        self.emit(Squeeze(axes), vec![Arg::Node(x)])
    }

    fn unsqueeze(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let axes = self.axes(call, 1)?.ok_or("lacks axes")?;
        let value = call.need(0)?;
        if let (
            Value::Numbers {
                items,
                vector: false,
            },
            1,
        ) = (value, axes.len())
        {
            let items = items.clone();
            return Ok(vec![Value::Numbers {
                items,
                vector: true,
            }]);
        }
        let mut x = self.tensor(value)?;
        let rank = self.shape(x)?.len() + axes.len();
        let mut axes = axes
            .into_iter()
            .map(|axis| self.axis(axis, rank))
            .collect::<Outcome<Vec<_>>>()?;
        axes.sort_unstable();
        for axis in axes {
            x = self.node(Unsqueeze(axis), vec![Arg::Node(x)])?;
        }
        Ok(vec![Value::Tensor(x)])
    }

    fn expand(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let mut sizes = self.numbers(call.need(1)?)?;
        let shape = self.shape(x)?;
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

    fn tile(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let counts = self.numbers(call.need(1)?)?;
        let y = lowering::repeated(&mut self.builder, x.into(), &counts)?;
        Ok(vec![self.value(y)])
    }

    fn concat(&mut self, parts: Vec<Value<'m>>, call: &Call<'_, 'm>) -> Outputs<'m> {
        let symbolic = parts
            .iter()
            .any(|part| matches!(part, Value::Numbers { .. }));
        if symbolic && parts.iter().all(|part| self.is_numbers(part)) {
            let mut items = Vec::new();
            for part in &parts {
                items.extend(self.numbers(part)?);
                if items.len() > MAX_NUMBERS {
                    return Err(format!("joins more than {MAX_NUMBERS} numbers"));
                }
            }
            return Ok(vec![Value::Numbers {
                items,
                vector: true,
            }]);
        }
        let mut tensors = Vec::with_capacity(parts.len());
        for part in &parts {
            tensors.push(Arg::Node(self.tensor(part)?));
        }
        let Some(&Arg::Node(first)) = tensors.first() else {
            return Err("joins nothing".into());
        };
        let axis = self.axis(call.int("axis", 0), self.shape(first)?.len())?;
        self.emit(Cat(axis), tensors)
    }

    /// A sequence, whose items are copied: those of sequences would grow without bounds.
    fn sequence(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let parts: Vec<_> = call.inputs.iter().flatten().cloned().collect();
        if parts.iter().any(|part| matches!(part, Value::Sequence(_))) {
            return self.unsupported(call, " of sequences");
        }
        Ok(vec![Value::Sequence(parts)])
    }

    fn concat_sequence(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Value::Sequence(mut parts) = call.need(0)?.clone() else {
            return Err("joins something else than a sequence".into());
        };
        if call.int("new_axis", 0) != 0 {
            for part in &mut parts {
                let x = self.tensor(part)?;
                let axis = self.axis(call.int("axis", 0), self.shape(x)?.len() + 1)?;
                *part = Value::Tensor(self.node(Unsqueeze(axis), vec![Arg::Node(x)])?);
            }
        }
        self.concat(parts, call)
    }

    fn sequence_at(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let Value::Sequence(parts) = call.need(0)? else {
            return Err("takes an item of something else than a sequence".into());
        };
        let index = *self
            .integers(call.need(1)?)?
            .first()
            .ok_or("has no index")?;
        Ok(vec![parts[self.axis(index, parts.len())?].clone()])
    }

    fn split(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let sizes = match (call.ints("split"), call.get(1)) {
            (Some(sizes), _) => Some(sizes.iter().map(|&size| Arg::int(size)).collect()),
            (None, Some(sizes)) => Some(self.numbers(sizes)?),
            (None, None) => None,
        };
        if let (Value::Numbers { items, .. }, Some(sizes)) = (call.need(0)?, &sizes) {
            let mut parts = Vec::new();
            let mut rest = &items[..];
            for &size in sizes {
                let size = usize::try_from(self.integer(size)?).map_err(|_| "a negative size")?;
                let (part, after) = rest.split_at_checked(size).ok_or("too many parts")?;
                parts.push(Value::Numbers {
                    items: part.to_vec(),
                    vector: true,
                });
                rest = after;
            }
            return Ok(parts);
        }
        let x = self.tensor(call.need(0)?)?;
        let axis = self.axis(call.int("axis", 0), self.shape(x)?.len())?;
        let sizes = if let Some(sizes) = sizes {
            sizes
        } else {
            // Parts of ⌈total / count⌉, the last one perhaps smaller; slices end at the end.
            let count = call
                .int("num_outputs", call.node.outputs.len() as i64)
                .max(1);
            let total = self.builder.size(x, axis)?;
            let raised = self.add(total, Arg::int(count - 1))?;
            let each = self.then(Binary(BinaryKind::FloorDiv), vec![raised, Arg::int(count)])?;
            let parts = usize::try_from(count).unwrap_or(1);
            vec![each; parts.min(call.node.outputs.len())]
        };
        let mut parts = Vec::with_capacity(sizes.len());
        let mut start = Arg::int(0);
        for size in sizes {
            let end = self.add(start, size)?;
            let slice = Slice { axis, step: 1 };
            parts.push(Value::Tensor(
                self.node(slice, vec![Arg::Node(x), start, end])?,
            ));
            start = end;
        }
        Ok(parts)
    }

    fn add(&mut self, x: Arg, y: Arg) -> Outcome<Arg> {
        self.then(Binary(BinaryKind::Add), vec![x, y])
    }

    fn depth_to_space(&mut self, call: &Call<'_, 'm>) -> Outputs<'m> {
        let x = self.tensor(call.need(0)?)?;
        let neighbouring = call.text("mode", "DCR") == "CRD";
        let factor = call.int("blocksize", 1);
        let y = lowering::pixels_of_channels(&mut self.builder, x.into(), factor, neighbouring)?;
        Ok(vec![self.value(y)])
    }
}
