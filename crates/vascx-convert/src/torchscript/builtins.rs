//! Functions of Python values: lists, texts, types and tests. Everything on tensors and numbers is
//! in [`super::lower`].

use std::rc::Rc;

use vascx_graph::{Cast, DType, Meta};

use super::evaluate::{Evaluator, MAX_LIST, Outcome, items};
use super::lower::Arguments;
use super::value::Value;
use crate::lowering;

impl<'a> Evaluator<'a, '_> {
    /// Calls a function that TorchScript itself provides, by its name without `torch.`.
    #[allow(clippy::too_many_lines)] // A table: one arm per function.
    pub(super) fn builtin(
        &mut self,
        name: &str,
        positional: Vec<Value<'a>>,
        named: Vec<(String, Value<'a>)>,
    ) -> Outcome<Value<'a>> {
        let arguments = Arguments { positional, named };
        let first = arguments.positional.first().cloned();
        let second = arguments.positional.get(1).cloned();
        let third = arguments.positional.get(2).cloned();
        let identity = matches!(name, "__is__" | "__isnot__");
        if !identity && arguments.any_unknown() && name != "RaiseException" {
            // Once something is unknown, so is all that follows from it; it was reported.
            return Ok(Value::Unknown);
        }
        // Contexts of the profiler and of gradients mean nothing to a graph.
        let context = name.starts_with("ops.profiler.")
            || name.starts_with("__torch__.torch.autograd.") && name.ends_with(".__new__")
            || name == "__init__" && matches!(first, Some(Value::None));
        if context {
            return Ok(Value::None);
        }
        if let ("unchecked_unwrap_optional" | "_unwrap_optional", Some(value)) = (name, &first) {
            return Ok(value.clone());
        }
        match (name, first, second) {
            ("RaiseException", message, _) => {
                let text = match message {
                    Some(Value::Text(text)) => text.to_string(),
                    _ => String::new(),
                };
                Err(format!("the program refuses such images: {text}"))
            }
            // Devices mean nothing to a graph.
            ("warn" | "print" | "manual_seed" | "device" | "type" | "layout", ..) => {
                Ok(Value::None)
            }
            ("is_scripting", ..) => Ok(Value::bool(true)),
            (
                "is_tracing"
                | "requires_grad"
                | "is_grad_enabled"
                | "is_cuda"
                | "is_quantized"
                | "is_mkldnn"
                | "is_sparse"
                | "is_nested"
                | "is_autocast_enabled"
                | "is_autocast_cpu_enabled",
                ..,
            ) => Ok(Value::bool(false)),
            ("__is__" | "__isnot__", Some(a), Some(b)) => {
                let same = match (&a, &b) {
                    (Value::None, Value::None) => true,
                    (Value::None, _) | (_, Value::None) => false,
                    (Value::Number(a), Value::Number(b)) => a == b,
                    (Value::Tensor(a), Value::Tensor(b)) => self.node(a)? == self.node(b)?,
                    _ => return Err("compares identities".into()),
                };
                Ok(Value::bool(same == (name == "__is__")))
            }
            ("len", Some(value), None) => match &value {
                Value::List(_) | Value::Tuple(_) | Value::Dict(_) => {
                    Ok(Value::int(items(&value)?.len() as i64))
                }
                Value::Text(text) => Ok(Value::int(text.len() as i64)),
                Value::Module(module, path) => {
                    self.method(module, path, "__len__", Vec::new(), Vec::new())
                }
                Value::Tensor(tensor) => {
                    let node = self.node(tensor)?;
                    Ok(Value::Number(self.builder.size(node, 0)?))
                }
                other => Err(format!("length of {}", other.kind())),
            },
            ("append", Some(Value::List(list)), Some(item)) => {
                check_length(list.borrow().len() + 1)?;
                list.borrow_mut().push(item);
                Ok(Value::None)
            }
            ("extend", Some(Value::List(list)), Some(more)) => {
                let items = items(&more)?;
                check_length(list.borrow().len() + items.len())?;
                list.borrow_mut().extend(items);
                Ok(Value::None)
            }
            ("insert", Some(Value::List(list)), Some(position)) => {
                let item = third.ok_or("lacks an item")?;
                let position = self.integer(&position)?;
                let length = list.borrow().len() as i64;
                let from_front = if position < 0 { length } else { 0 };
                let at = position.saturating_add(from_front).clamp(0, length);
                list.borrow_mut().insert(at as usize, item);
                Ok(Value::None)
            }
            ("pop", Some(Value::List(list)), position) => {
                let length = list.borrow().len();
                let position = position.unwrap_or(Value::int(-1));
                let at = self.position(&position, length)?;
                Ok(list.borrow_mut().remove(at))
            }
            ("reverse", Some(Value::List(list)), None) => {
                list.borrow_mut().reverse();
                Ok(Value::None)
            }
            ("_set_item", Some(Value::List(list)), Some(position)) => {
                let item = third.ok_or("lacks an item")?;
                let length = list.borrow().len();
                let at = self.position(&position, length)?;
                list.borrow_mut()[at] = item;
                Ok(Value::None)
            }
            ("_set_item", Some(Value::Dict(items)), Some(key)) => {
                let item = third.ok_or("lacks an item")?;
                let found = self.find(&items.borrow(), &key);
                match found {
                    Some(at) => items.borrow_mut()[at].1 = item,
                    None if items.borrow().len() >= MAX_LIST => {
                        return Err(format!("a dictionary of more than {MAX_LIST} items"));
                    }
                    None => items.borrow_mut().push((key, item)),
                }
                Ok(Value::None)
            }
            ("dict", None, _) => Ok(Value::Dict(Rc::default())),
            ("dict", Some(Value::Dict(items)), None) => {
                let copy = items.borrow().clone();
                Ok(Value::Dict(Rc::new(copy.into())))
            }
            ("keys" | "values" | "items", Some(Value::Dict(items)), None) => {
                let pick = |(key, value): &(Value<'a>, Value<'a>)| match name {
                    "keys" => key.clone(),
                    "values" => value.clone(),
                    _ => Value::Tuple(Rc::new(vec![key.clone(), value.clone()])),
                };
                let items = items.borrow().iter().map(pick).collect();
                Ok(Value::list(items))
            }
            ("__contains__", Some(Value::Dict(items)), Some(key)) => {
                let found = self.find(&items.borrow(), &key).is_some();
                Ok(Value::bool(found))
            }
            ("__contains__", Some(list @ (Value::List(_) | Value::Tuple(_))), Some(item)) => {
                let items = items(&list)?;
                for other in items {
                    if self.same(&item, &other)? {
                        return Ok(Value::bool(true));
                    }
                }
                Ok(Value::bool(false))
            }
            (
                "__getitem__" | "select",
                Some(value @ (Value::List(_) | Value::Tuple(_) | Value::Dict(_))),
                Some(index),
            ) => self.index(&value, &index),
            ("list" | "copy", Some(value @ (Value::List(_) | Value::Tuple(_))), None) => {
                let items = items(&value)?;
                Ok(Value::list(items))
            }
            ("tuple", Some(value), None) => Ok(Value::Tuple(Rc::new(items(&value)?))),
            ("range", Some(_), _) => self.range(&arguments.positional),
            ("__range_length", Some(_), _) => {
                let numbers = self.range(&arguments.positional)?;
                Ok(Value::int(items(&numbers)?.len() as i64))
            }
            ("__derive_index", Some(index), Some(start)) => {
                let step = self.integer(&third.ok_or("lacks a step")?)?;
                let (index, start) = (self.integer(&index)?, self.integer(&start)?);
                let offset = index.checked_mul(step);
                let value = offset.and_then(|offset| offset.checked_add(start));
                Ok(Value::int(value.ok_or("an impossible range")?))
            }
            ("slice", Some(list @ (Value::List(_) | Value::Tuple(_))), _) => {
                let part = self.slice_list(&items(&list)?, &arguments.positional[1..])?;
                Ok(match list {
                    Value::Tuple(_) => Value::Tuple(Rc::new(part)),
                    _ => Value::list(part),
                })
            }
            ("add" | "add_", Some(a @ Value::List(_)), Some(b @ Value::List(_))) => {
                let mut joined = items(&a)?;
                joined.extend(items(&b)?);
                check_length(joined.len())?;
                Ok(Value::list(joined))
            }
            ("mul", Some(list @ Value::List(_)), Some(count)) => {
                let items = items(&list)?;
                let count = self.integer(&count)?.max(0) as usize;
                let total = items.len().saturating_mul(count);
                check_length(total)?;
                Ok(Value::list(items.into_iter().cycle().take(total).collect()))
            }
            ("sum" | "max" | "min", Some(list @ Value::List(_)), None) => {
                let items = items(&list)?;
                let name = if name == "sum" { "add" } else { name };
                let mut items = items.into_iter();
                let first = items.next().unwrap_or(Value::int(0));
                items.try_fold(first, |total, item| {
                    self.builtin(name, vec![total, item], Vec::new())
                })
            }
            ("any" | "all", Some(list @ Value::List(_)), None) => {
                let wanted = name == "any";
                for item in items(&list)? {
                    if self.truth(&item)? == wanted {
                        return Ok(Value::bool(wanted));
                    }
                }
                Ok(Value::bool(!wanted))
            }
            ("eq" | "ne", Some(a), Some(b)) if !is_operand(&a) || !is_operand(&b) => {
                let same = self.same(&a, &b)?;
                Ok(Value::bool(same == (name == "eq")))
            }
            ("format", Some(Value::Text(text)), _) => Ok(Value::Text(text)),
            ("str", ..) => Ok(Value::Text("".into())),
            ("add", Some(Value::Text(a)), Some(Value::Text(b))) => {
                if a.len() + b.len() > MAX_LIST {
                    return Err("a text that is too long".into());
                }
                Ok(Value::Text(format!("{a}{b}").into()))
            }
            ("getattr", Some(Value::Module(module, path)), Some(Value::Text(name))) => {
                self.module_attribute(module, &path, &name)
            }
            ("getattr" | "hasattr" | "isinstance", ..) => Err(format!("calls {name}")),
            ("dtype", Some(Value::Tensor(tensor)), None) => {
                let node = self.node(&tensor)?;
                Ok(Value::int(match self.builder.dtype(node) {
                    DType::Float => 6,
                    DType::Int => 4,
                    DType::Bool => 11,
                }))
            }
            (
                "NumToTensor"
                | "ScalarImplicit"
                | "Scalar"
                | "item"
                | "scalar_tensor"
                | "_shape_as_tensor_scalar",
                Some(value @ Value::Number(_)),
                _,
            ) => Ok(value),
            ("tensor" | "as_tensor", Some(value), _) => self.tensor_of(&value, &arguments),
            (
                "int" | "Int" | "IntImplicit" | "float" | "Float" | "FloatImplicit" | "bool"
                | "Bool",
                Some(value),
                None,
            ) => {
                let number = match &value {
                    Value::Number(number) => *number,
                    Value::Text(text) => {
                        let value: f64 =
                            text.parse().map_err(|_| format!("{text} is no number"))?;
                        return Ok(Value::float(value));
                    }
                    Value::List(_) if name.eq_ignore_ascii_case("bool") => {
                        return Ok(Value::bool(self.truth(&value)?));
                    }
                    other => return Err(format!("the number in {}", other.kind())),
                };
                let dtype = match name.as_bytes()[0].to_ascii_lowercase() {
                    b'i' => DType::Int,
                    b'f' => DType::Float,
                    _ => DType::Bool,
                };
                match self.builder.argument(number) {
                    Meta::Number(literal) if literal.dtype() == dtype => Ok(value),
                    _ => Ok(Value::Number(self.builder.call(Cast(dtype), vec![number])?)),
                }
            }
            _ => self.operator(name, &arguments),
        }
    }

    /// `items[start:end:step]` with Python's conventions.
    fn slice_list(&mut self, items: &[Value<'a>], bounds: &[Value<'a>]) -> Outcome<Vec<Value<'a>>> {
        let mut given = [None; 3];
        for (number, bound) in given.iter_mut().zip(bounds) {
            if !matches!(bound, Value::None) {
                *number = Some(self.integer(bound)?);
            }
        }
        let [start, end, step] = given;
        let step = step.unwrap_or(1);
        let length = items.len() as i64;
        let (low, high) = if step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let bound = |value: Option<i64>, default: i64| match value {
            None => default,
            Some(value) if value < 0 => value.saturating_add(length).clamp(low, high),
            Some(value) => value.clamp(low, high),
        };
        let every = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        match step {
            0 => Err("a list in steps of zero".into()),
            1.. => {
                let (start, end) = (bound(start, low), bound(end, high));
                let part = &items[start as usize..end.max(start) as usize];
                Ok(part.iter().step_by(every).cloned().collect())
            }
            _ => {
                let (start, end) = (bound(start, high), bound(end, low));
                let part = &items[(end + 1) as usize..(start + 1).max(end + 1) as usize];
                Ok(part.iter().rev().step_by(every).cloned().collect())
            }
        }
    }

    fn range(&mut self, arguments: &[Value<'a>]) -> Outcome<Value<'a>> {
        let numbers = arguments
            .iter()
            .map(|value| self.integer(value))
            .collect::<Outcome<Vec<_>>>()?;
        let (start, end, step) = match numbers[..] {
            [end] => (0, end, 1),
            [start, end] => (start, end, 1),
            [start, end, step] if step != 0 => (start, end, step),
            _ => return Err("an impossible range".into()),
        };
        let distance = if step > 0 {
            end.saturating_sub(start)
        } else {
            start.saturating_sub(end)
        };
        let count = distance.max(0) as u64;
        let count = count.div_ceil(step.unsigned_abs());
        if count > MAX_LIST as u64 {
            let most = format!("at most {MAX_LIST} are plausible");
            return Err(format!("a range of {count} numbers, {most}"));
        }
        let items = (0..count as i64).map(|index| Value::int(start + index * step));
        Ok(Value::list(items.collect()))
    }

    /// A position in a list, counted from the end when negative.
    fn position(&mut self, index: &Value<'a>, length: usize) -> Outcome<usize> {
        let index = self.integer(index)?;
        lowering::axis(index, length).map_err(|_| format!("item {index} of {length}"))
    }

    pub(super) fn index(&mut self, object: &Value<'a>, index: &Value<'a>) -> Outcome<Value<'a>> {
        match object {
            Value::List(_) | Value::Tuple(_) => {
                let items = items(object)?;
                let at = self.position(index, items.len())?;
                Ok(items[at].clone())
            }
            Value::Dict(items) => match self.find(&items.borrow(), index) {
                Some(at) => Ok(items.borrow()[at].1.clone()),
                None => Err("a dictionary lacks a key".into()),
            },
            Value::Unknown => Ok(Value::Unknown),
            Value::Tensor(_) => {
                let all = vec![object.clone(), Value::int(0), index.clone()];
                self.builtin("select", all, Vec::new())
            }
            other => Err(format!("takes an item of {}", other.kind())),
        }
    }

    fn find(&mut self, items: &[(Value<'a>, Value<'a>)], key: &Value<'a>) -> Option<usize> {
        let mut keys = items.iter().map(|(key, _)| key);
        keys.position(|other| self.same(other, key).unwrap_or(false))
    }

    /// Equality of Python values.
    fn same(&mut self, a: &Value<'a>, b: &Value<'a>) -> Outcome<bool> {
        match (a, b) {
            (Value::Text(a), Value::Text(b)) => Ok(a == b),
            (Value::Number(_), Value::Number(_)) => {
                // That sizes are equal is pinned, not what they are.
                let equal = self.builtin("eq", vec![a.clone(), b.clone()], Vec::new())?;
                self.truth(&equal)
            }
            (Value::None, Value::None) => Ok(true),
            (Value::List(_) | Value::Tuple(_), Value::List(_) | Value::Tuple(_)) => {
                let (a, b) = (items(a)?, items(b)?);
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(&b) {
                    if matches!(a, Value::List(_) | Value::Tuple(_)) || !self.same(a, b)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Refuses lists of implausible lengths.
fn check_length(length: usize) -> Outcome<()> {
    if length > MAX_LIST {
        return Err(format!("a list of more than {MAX_LIST} items"));
    }
    Ok(())
}

fn is_operand(value: &Value) -> bool {
    matches!(value, Value::Number(_) | Value::Tensor(_))
}
