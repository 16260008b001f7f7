//! New tensors.

use vascx_graph::{
    Arange, Arg, Binary, BinaryKind, Cast, Cat, DType, Expand, Literal, Meta, Unsqueeze,
};

use super::Arguments;
use super::operands::{dtype_of, tensor};
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

/// What an operator of this family becomes.
pub(super) fn lower<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    name: &str,
    a: &Arguments<'a>,
) -> Option<Outcome<Value<'a>>> {
    Some(match name {
        "zeros" | "ones" | "full" | "empty" | "new_zeros" | "new_ones" | "new_full"
        | "new_empty" | "zeros_like" | "ones_like" | "full_like" | "empty_like" | "arange"
        | "linspace" => evaluator.create(name, a),
        "meshgrid" => evaluator.meshgrid(a),
        "eye" => evaluator.eye(a),
        _ => return None,
    })
}

impl<'a> Evaluator<'a, '_> {
    fn create(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let named = a
            .named
            .iter()
            .find(|(key, _)| key == "dtype")
            .map(|(_, value)| value.clone());
        let mut dtype = None;
        if let Some(Value::Number(code)) = named {
            dtype = dtype_of(self.builder.pin(code)?.as_i64().unwrap_or(6));
        }
        if name == "arange" || name == "linspace" {
            let mut numbers: Vec<Arg> = Vec::new();
            // The numbers come first; element type, layout and device follow.
            let count = match (name, a.positional.len()) {
                ("linspace", _) => 3,
                (_, 1 | 5) => 1,
                (_, 2 | 6) => 2,
                _ => 3,
            };
            for value in a.positional.iter().take(count) {
                numbers.push(self.argument(value)?);
            }
            if let Some(code) = a.positional.get(count)
                && let Value::Number(code) = code
            {
                dtype = dtype.or(dtype_of(self.builder.pin(*code)?.as_i64().unwrap_or(6)));
            }
            if name == "linspace" {
                let [start, end, count] = numbers[..] else {
                    return Err("lacks `steps`".into());
                };
                let steps = self.then(Binary(BinaryKind::Sub), vec![count, Arg::int(1)])?;
                let steps = self.then(Binary(BinaryKind::Max), vec![steps, Arg::int(1)])?;
                let zero = Arg::int(0);
                let index = self.then(Arange(DType::Float), vec![zero, count, Arg::int(1)])?;
                let distance = self.then(Binary(BinaryKind::Sub), vec![end, start])?;
                let step = self.then(Binary(BinaryKind::Div), vec![distance, steps])?;
                let offset = self.then(Binary(BinaryKind::Mul), vec![index, step])?;
                return self.emit(Binary(BinaryKind::Add), vec![offset, start]);
            }
            let all = match numbers[..] {
                [end] => vec![Arg::int(0), end, Arg::int(1)],
                [start, end] => vec![start, end, Arg::int(1)],
                _ => numbers,
            };
            let float = all.iter().any(|&number| {
                matches!(
                    self.builder.argument(number),
                    Meta::Number(Literal::Float(_))
                )
            });
            let dtype = dtype.unwrap_or(if float { DType::Float } else { DType::Int });
            return self.emit(Arange(dtype), all);
        }
        let like = name.ends_with("_like");
        let new = name.starts_with("new_");
        let mut present = DType::Float;
        let sizes = if like || new {
            let x = tensor(&a.need(0, "self")?)?;
            let node = self.node(&x)?;
            present = self.dtype(node);
            if like {
                self.sizes(node)?
            } else {
                self.list(&a.need(1, "size")?)?
            }
        } else {
            self.list(&a.need(0, "size")?)?
        };
        let (fill, code) = match name {
            "new_full" => (a.need(2, "fill_value")?, a.positional.get(3)),
            "full" | "full_like" => (a.need(1, "fill_value")?, a.positional.get(2)),
            "ones" | "ones_like" => (Value::int(1), a.positional.get(1)),
            "new_ones" => (Value::int(1), a.positional.get(2)),
            "new_zeros" | "new_empty" => (Value::int(0), a.positional.get(2)),
            _ => (Value::int(0), a.positional.get(1)),
        };
        if let Some(Value::Number(code)) = code {
            dtype = dtype.or(dtype_of(self.builder.pin(*code)?.as_i64().unwrap_or(6)));
        }
        let fill = self.argument(&fill)?;
        if !matches!(self.builder.argument(fill), Meta::Number(_)) {
            return Ok(self.unsupported(&format!("{name} with a tensor")));
        }
        self.full(fill, sizes, dtype.unwrap_or(present))
    }

    /// `torch.tensor` of a number or of a list of numbers.
    pub(in crate::torchscript) fn tensor_of(
        &mut self,
        value: &Value<'a>,
        a: &Arguments<'a>,
    ) -> Outcome<Value<'a>> {
        match value {
            Value::Number(number) => {
                let code = a.get(1, "dtype");
                let Some(Value::Number(code)) = code else {
                    return Ok(Value::Number(*number));
                };
                match dtype_of(self.builder.pin(code)?.as_i64().unwrap_or(6)) {
                    Some(dtype) => Ok(Value::Number(self.then(Cast(dtype), vec![*number])?)),
                    None => Ok(Value::Number(*number)),
                }
            }
            Value::List(_) => {
                let mut parts = Vec::new();
                for item in items(value)? {
                    let Value::Number(number) = item else {
                        return Ok(self.unsupported("tensor of lists"));
                    };
                    let dtype = match self.builder.argument(number) {
                        Meta::Number(literal) => literal.dtype(),
                        Meta::Tensor { dtype, .. } => dtype,
                    };
                    let part = self.full(number, vec![Arg::int(1)], dtype)?;
                    parts.push(self.argument(&part)?);
                }
                self.emit(Cat(0), parts)
            }
            other => Ok(other.clone()),
        }
    }

    fn meshgrid(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let list = a.need(0, "tensors")?;
        let items = items(&list)?;
        let xy = matches!(a.get(1, "indexing"), Some(Value::Text(text)) if &*text == "xy");
        if xy || items.len() != 2 {
            return Ok(self.unsupported("meshgrid other than of two axes by `ij`"));
        }
        let (x, y) = (self.argument(&items[0])?, self.argument(&items[1])?);
        let (Arg::Node(rows), Arg::Node(columns)) = (x, y) else {
            return Err("a grid of numbers".into());
        };
        let (height, width) = (self.builder.size(rows, 0)?, self.builder.size(columns, 0)?);
        let x = self.then(Unsqueeze(1), vec![x])?;
        let y = self.then(Unsqueeze(0), vec![y])?;
        let first = self.emit(Expand, vec![x, height, width])?;
        let second = self.emit(Expand, vec![y, height, width])?;
        Ok(Value::list(vec![first, second]))
    }

    /// Ones on the diagonal.
    fn eye(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let height = self.argument(&a.need(0, "n")?)?;
        let width = match a.positional.get(1) {
            Some(Value::Number(width)) if a.positional.len() != 5 => *width,
            _ => height,
        };
        let diagonal = self.compared([height, width], 0, BinaryKind::Equal)?;
        self.emit(Cast(DType::Float), vec![diagonal])
    }

    /// Where column − row − `offset` compares with 0, for a matrix of a size.
    pub(super) fn compared(
        &mut self,
        [height, width]: [Arg; 2],
        offset: i64,
        kind: BinaryKind,
    ) -> Outcome<Arg> {
        let rows = self.then(Arange(DType::Int), vec![Arg::int(0), height, Arg::int(1)])?;
        let rows = self.then(Unsqueeze(1), vec![rows])?;
        let columns = self.then(Arange(DType::Int), vec![Arg::int(0), width, Arg::int(1)])?;
        let columns = self.then(Unsqueeze(0), vec![columns])?;
        let shifted = self.then(Binary(BinaryKind::Sub), vec![columns, Arg::int(offset)])?;
        self.then(Binary(kind), vec![shifted, rows])
    }
}
