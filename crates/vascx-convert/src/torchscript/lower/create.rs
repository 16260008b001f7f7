//! New tensors.

use vascx_graph::{Arange, Arg, Binary, BinaryKind, Cast, Cat, DType, Expand, Unsqueeze};

use super::Arguments;
use super::operands::{dtype_of, tensor};
use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(super) fn create(&mut self, name: &str, a: &Arguments<'a>) -> Outcome<Value<'a>> {
        let mut named = a.named.iter();
        let named = named.find(|(key, _)| key == "dtype");
        let named = self.dtype_by(named.map(|(_, value)| value))?;
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
            let dtype = named.or(self.dtype_by(a.positional.get(count))?);
            if name == "linspace" {
                let [start, end, count] = numbers[..] else {
                    return Err("lacks `steps`".into());
                };
                let steps = self.then(Binary(BinaryKind::Sub), vec![count, Arg::int(1)])?;
                let steps = self.then(Binary(BinaryKind::Max), vec![steps, Arg::int(1)])?;
                let index = lowering::counted(&mut self.builder, DType::Float, count)?;
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
            let is_float = |&number: &Arg| {
                self.is_number(number) && self.builder.dtype(number) == DType::Float
            };
            let float = all.iter().any(is_float);
            let dtype = dtype.unwrap_or(if float { DType::Float } else { DType::Int });
            return self.emit(Arange(dtype), all);
        }
        let like = name.ends_with("_like");
        let new = name.starts_with("new_");
        let mut present = DType::Float;
        let sizes = if like || new {
            let x = tensor(&a.need(0, "self")?)?;
            let node = self.node(&x)?;
            present = self.builder.dtype(node);
            if like {
                self.builder.sizes(node)?
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
        let dtype = named.or(self.dtype_by(code)?);
        let fill = self.argument(&fill)?;
        if !self.is_number(fill) {
            return Ok(self.unsupported(&format!("{name} with a tensor")));
        }
        self.full(fill, sizes, dtype.unwrap_or(present))
    }

    /// The element type that a number stands for.
    fn dtype_by(&mut self, code: Option<&Value<'a>>) -> Outcome<Option<DType>> {
        let Some(Value::Number(code)) = code else {
            return Ok(None);
        };
        Ok(dtype_of(self.builder.pin(*code)?.as_i64().unwrap_or(6)))
    }

    /// `torch.tensor` of a number or of a list of numbers.
    pub(in crate::torchscript) fn tensor_of(
        &mut self,
        value: &Value<'a>,
        a: &Arguments<'a>,
    ) -> Outcome<Value<'a>> {
        match value {
            Value::Number(number) => {
                let number = match self.dtype_by(a.get(1, "dtype").as_ref())? {
                    Some(dtype) => self.then(Cast(dtype), vec![*number])?,
                    None => *number,
                };
                Ok(Value::Number(number))
            }
            Value::List(_) => {
                let mut parts = Vec::new();
                for item in items(value)? {
                    let Value::Number(number) = item else {
                        return Ok(self.unsupported("tensor of lists"));
                    };
                    let dtype = self.builder.dtype(number);
                    let part = self.full(number, vec![Arg::int(1)], dtype)?;
                    parts.push(self.argument(&part)?);
                }
                self.emit(Cat(0), parts)
            }
            other => Ok(other.clone()),
        }
    }

    pub(super) fn meshgrid(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
    pub(super) fn eye(&mut self, a: &Arguments<'a>) -> Outcome<Value<'a>> {
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
        let rows = lowering::counted(&mut self.builder, DType::Int, height)?;
        let rows = self.then(Unsqueeze(1), vec![rows])?;
        let columns = lowering::counted(&mut self.builder, DType::Int, width)?;
        let columns = self.then(Unsqueeze(0), vec![columns])?;
        let shifted = self.then(Binary(BinaryKind::Sub), vec![columns, Arg::int(offset)])?;
        self.then(Binary(kind), vec![shifted, rows])
    }
}
