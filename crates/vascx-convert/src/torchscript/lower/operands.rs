//! The arguments of a call, as the operators want them.

use std::rc::Rc;

use vascx_graph::{Arg, DType, Meta, Op, Reduce, ReduceKind};

use crate::lowering;
use crate::torchscript::evaluate::{Evaluator, Outcome, items};
use crate::torchscript::value::{Tensor, Value};

/// The arguments of a call.
pub(in crate::torchscript) struct Arguments<'a> {
    pub(in crate::torchscript) positional: Vec<Value<'a>>,
    pub(in crate::torchscript) named: Vec<(String, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// An argument by position or name; `None` where it is left out or None.
    pub(super) fn get(&self, position: usize, name: &str) -> Option<Value<'a>> {
        let named = self.named.iter().find(|(key, _)| key == name);
        let value = self
            .positional
            .get(position)
            .or(named.map(|(_, value)| value));
        value.filter(|value| !matches!(value, Value::None)).cloned()
    }

    pub(super) fn need(&self, position: usize, name: &str) -> Outcome<Value<'a>> {
        self.get(position, name)
            .ok_or_else(|| format!("lacks `{name}`"))
    }

    pub(in crate::torchscript) fn any_unknown(&self) -> bool {
        let named = self.named.iter().map(|(_, value)| value);
        self.positional.iter().chain(named).any(is_unknown)
    }
}

pub(super) fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Unknown => true,
        Value::List(items) => items
            .borrow()
            .iter()
            .any(|item| matches!(item, Value::Unknown)),
        Value::Tuple(items) => items.iter().any(|item| matches!(item, Value::Unknown)),
        _ => false,
    }
}

impl<'a> Evaluator<'a, '_> {
    pub(super) fn emit(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<Value<'a>> {
        let node = self.builder.call(op, arguments)?;
        Ok(self.fresh(node))
    }

    /// Calls an operator and gives the argument for the next.
    pub(super) fn then(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Outcome<Arg> {
        self.builder.call(op, arguments)
    }

    /// The first arguments, all of which must be there, by their names.
    pub(super) fn inputs<const N: usize>(
        &mut self,
        a: &Arguments<'a>,
        names: [&str; N],
    ) -> Outcome<[Arg; N]> {
        let mut inputs = [Arg::int(0); N];
        for (position, name) in names.into_iter().enumerate() {
            inputs[position] = self.argument(&a.need(position, name)?)?;
        }
        Ok(inputs)
    }

    pub(super) fn argument_or(&mut self, value: Option<Value<'a>>, default: Arg) -> Outcome<Arg> {
        value.map_or(Ok(default), |value| self.argument(&value))
    }

    pub(super) fn number_or(&mut self, value: Option<Value<'a>>, default: f64) -> Outcome<f64> {
        value.map_or(Ok(default), |value| self.number(&value))
    }

    pub(super) fn integer_or(&mut self, value: Option<Value<'a>>, default: i64) -> Outcome<i64> {
        value.map_or(Ok(default), |value| self.integer(&value))
    }

    /// The numbers of a list, or a number alone.
    pub(super) fn list(&mut self, value: &Value<'a>) -> Outcome<Vec<Arg>> {
        let items = one_or_more(value)?;
        items.iter().map(|item| self.argument(item)).collect()
    }

    pub(super) fn integers(&mut self, value: &Value<'a>) -> Outcome<Vec<i64>> {
        let items = one_or_more(value)?;
        items.iter().map(|item| self.integer(item)).collect()
    }

    /// Height and width, given once or twice.
    pub(super) fn pair(
        &mut self,
        value: Option<Value<'a>>,
        default: [usize; 2],
    ) -> Outcome<[usize; 2]> {
        let Some(value) = value else {
            return Ok(default);
        };
        let sizes = self.integers(&value)?;
        let sizes: Vec<usize> = sizes
            .into_iter()
            .map(|size| usize::try_from(size).map_err(|_| format!("{size} is no size")))
            .collect::<Outcome<_>>()?;
        match sizes[..] {
            [] => Ok(default),
            [both] => Ok([both, both]),
            [height, width] => Ok([height, width]),
            _ => Err(format!("{} axes, supported are two", sizes.len())),
        }
    }

    pub(super) fn flag(&mut self, value: Option<Value<'a>>, default: bool) -> Outcome<bool> {
        value.map_or(Ok(default), |value| self.truth(&value))
    }

    /// An axis counted from the front.
    pub(super) fn axis(&mut self, value: &Value<'a>, rank: usize) -> Outcome<usize> {
        // A scalar has an axis to count, too.
        lowering::axis(self.integer(value)?, rank.max(1))
    }

    pub(super) fn axis_or(
        &mut self,
        value: Option<Value<'a>>,
        default: i64,
        rank: usize,
    ) -> Outcome<usize> {
        self.axis(&value.unwrap_or(Value::int(default)), rank)
    }

    /// Axes counted from the front, in the order given.
    pub(super) fn axes_in_order(&mut self, value: &Value<'a>, rank: usize) -> Outcome<Vec<usize>> {
        let items = one_or_more(value)?;
        items.iter().map(|item| self.axis(item, rank)).collect()
    }

    /// Axes counted from the front, ascending; all when left out.
    pub(super) fn axes(&mut self, value: Option<Value<'a>>, rank: usize) -> Outcome<Vec<usize>> {
        let mut axes = match value {
            Some(value) => self.axes_in_order(&value, rank)?,
            None => Vec::new(),
        };
        axes.sort_unstable();
        axes.dedup();
        Ok(if axes.is_empty() {
            (0..rank).collect()
        } else {
            axes
        })
    }

    pub(super) fn rank(&mut self, x: Arg) -> Outcome<usize> {
        Ok(self.builder.shape(x)?.len())
    }

    pub(super) fn is_number(&self, x: Arg) -> bool {
        matches!(self.builder.argument(x), Meta::Number(_))
    }

    /// Whether it is a tensor of elements of a type.
    pub(super) fn is_tensor_of(&self, wanted: DType, x: Arg) -> bool {
        matches!(self.builder.argument(x), Meta::Tensor { dtype, .. } if dtype == wanted)
    }

    /// The sum over axes, which vanish.
    pub(super) fn sum_over(&mut self, axes: Vec<usize>, x: Arg) -> Outcome<Value<'a>> {
        let (kind, keep) = (ReduceKind::Sum, false);
        self.emit(Reduce { kind, axes, keep }, vec![x])
    }
}

/// The items of a list, or a value alone.
pub(super) fn one_or_more<'a>(value: &Value<'a>) -> Outcome<Vec<Value<'a>>> {
    match value {
        Value::List(_) | Value::Tuple(_) => items(value),
        value => Ok(vec![value.clone()]),
    }
}

pub(super) fn tensor(value: &Value) -> Outcome<Rc<Tensor>> {
    match value {
        Value::Tensor(tensor) => Ok(tensor.clone()),
        other => Err(format!("{} stands where a tensor is needed", other.kind())),
    }
}

/// PyTorch's numbers for element types.
pub(super) fn dtype_of(code: i64) -> Option<DType> {
    match code {
        0..=4 => Some(DType::Int),
        5..=7 | 15 => Some(DType::Float),
        11 => Some(DType::Bool),
        _ => None,
    }
}
