//! The arguments of a call, as the operators want them.

use std::rc::Rc;

use vascx_graph::{Arg, DType, Op};

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

    /// The numbers of a list, or a number alone.
    pub(super) fn list(&mut self, value: &Value<'a>) -> Outcome<Vec<Arg>> {
        match value {
            Value::List(_) | Value::Tuple(_) => {
                let items = items(value)?;
                items.iter().map(|item| self.argument(item)).collect()
            }
            value => Ok(vec![self.argument(value)?]),
        }
    }

    pub(super) fn integers(&mut self, value: &Value<'a>) -> Outcome<Vec<i64>> {
        match value {
            Value::List(_) | Value::Tuple(_) => {
                let items = items(value)?;
                items.iter().map(|item| self.integer(item)).collect()
            }
            value => Ok(vec![self.integer(value)?]),
        }
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

    /// Axes counted from the front, ascending; all when left out.
    pub(super) fn axes(&mut self, value: Option<Value<'a>>, rank: usize) -> Outcome<Vec<usize>> {
        let given = match value {
            Some(value @ (Value::List(_) | Value::Tuple(_))) => items(&value)?,
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let mut axes = given
            .iter()
            .map(|axis| self.axis(axis, rank))
            .collect::<Outcome<Vec<_>>>()?;
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
