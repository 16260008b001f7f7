//! Expressions, attributes and calls.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Evaluator, Frame, Outcome};
use crate::module_tree::{Attribute, Constant, ScriptModule};
use crate::torchscript::syntax::{Call, Expression};
use crate::torchscript::value::Value;

impl<'a> Evaluator<'a, '_> {
    pub(in crate::torchscript) fn expression(
        &mut self,
        expression: &'a Expression,
        frame: &Frame<'a>,
    ) -> Outcome<Value<'a>> {
        self.step()?;
        Ok(match expression {
            Expression::None => Value::None,
            Expression::Bool(value) => Value::bool(*value),
            Expression::Int(value) => Value::int(*value),
            Expression::Float(value) => Value::float(*value),
            Expression::Text(text) => Value::Text(text.as_str().into()),
            Expression::Name(name) => match frame.get(name) {
                Some(value) => value.clone(),
                None => Value::Global(name.as_str().into()),
            },
            Expression::Attribute(object, name) => {
                let object = self.expression(object, frame)?;
                self.attribute(&object, name)?
            }
            Expression::Call(call) => self.call(call, frame)?,
            Expression::Index(object, index) => {
                let object = self.expression(object, frame)?;
                // Types such as `List[Tensor]` have no value.
                if let Value::Global(_) = object {
                    return Ok(Value::None);
                }
                let index = self.expression(index, frame)?;
                self.index(&object, &index)?
            }
            Expression::List(items) => {
                let items = self.expressions(items, frame)?;
                Value::list(items)
            }
            Expression::Tuple(items) => Value::Tuple(Rc::new(self.expressions(items, frame)?)),
            Expression::Dict(items) => {
                let items = items
                    .iter()
                    .map(|(key, value)| {
                        Ok((self.expression(key, frame)?, self.expression(value, frame)?))
                    })
                    .collect::<Outcome<Vec<_>>>()?;
                Value::Dict(Rc::new(RefCell::new(items)))
            }
            Expression::Unary(operator, operand) => {
                let operand = self.expression(operand, frame)?;
                self.builtin(operator, vec![operand], Vec::new())?
            }
            Expression::Binary(operator, left, right) => {
                self.binary(operator, left, right, frame)?
            }
            Expression::Conditional(parts) => {
                let condition = self.expression(&parts[0], frame)?;
                let branch = if self.truth(&condition)? { 1 } else { 2 };
                self.expression(&parts[branch], frame)?
            }
        })
    }

    fn binary(
        &mut self,
        operator: &str,
        left: &'a Expression,
        right: &'a Expression,
        frame: &Frame<'a>,
    ) -> Outcome<Value<'a>> {
        let left = self.expression(left, frame)?;
        if matches!(operator, "and" | "or") {
            let truth = self.truth(&left)?;
            return if truth == (operator == "and") {
                self.expression(right, frame)
            } else {
                Ok(left)
            };
        }
        let right = self.expression(right, frame)?;
        match operator {
            "in" | "not in" => {
                let value = self.builtin("__contains__", vec![right, left], Vec::new())?;
                match operator {
                    "in" => Ok(value),
                    _ => self.builtin("__not__", vec![value], Vec::new()),
                }
            }
            function => self.builtin(function, vec![left, right], Vec::new()),
        }
    }

    fn expressions(
        &mut self,
        items: &'a [Expression],
        frame: &Frame<'a>,
    ) -> Outcome<Vec<Value<'a>>> {
        let items = items.iter();
        items.map(|item| self.expression(item, frame)).collect()
    }

    fn attribute(&mut self, object: &Value<'a>, name: &str) -> Outcome<Value<'a>> {
        match object {
            Value::Global(global) if &**global == "CONSTANTS" => self.constant(name),
            Value::Global(global) => Ok(Value::Global(format!("{global}.{name}").into())),
            Value::Module(module, path) => self.module_attribute(module, path, name),
            Value::Unknown => Ok(Value::Unknown),
            Value::Tensor(_) => self.builtin(name, vec![object.clone()], Vec::new()),
            other => Err(format!("{} has no attribute `{name}`", other.kind())),
        }
    }

    pub(in crate::torchscript) fn module_attribute(
        &mut self,
        module: &'a ScriptModule,
        path: &str,
        name: &str,
    ) -> Outcome<Value<'a>> {
        let below = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        match module.attribute(name) {
            // A model is used evaluated, whatever it was doing when it was saved.
            Some(Attribute::Constant(Constant::Bool(training))) if name == "training" => {
                self.was_training |= training;
                Ok(Value::bool(false))
            }
            Some(Attribute::Module(module)) => Ok(Value::Module(module, below.into())),
            Some(Attribute::Tensor(tensor)) => self.weight(below, tensor, false),
            Some(Attribute::Constant(constant)) => self.python(constant, &below),
            None => {
                let program = self.program;
                let class = program.classes.get(&module.class);
                let constant = class.and_then(|(class, _)| {
                    let constants = class.constants.iter();
                    constants.rev().find(|(key, _)| key == name)
                });
                match constant {
                    Some((_, value)) => self.expression(value, &Frame::new()),
                    None => Err(format!("`{}` has no attribute `{name}`", module.class)),
                }
            }
        }
    }

    fn constant(&mut self, name: &str) -> Outcome<Value<'a>> {
        let program = self.program;
        let index = name
            .strip_prefix('c')
            .and_then(|text| text.parse::<usize>().ok());
        let constant = index.and_then(|index| program.constants.get(index));
        match constant {
            Some(Constant::Tensor(tensor)) => {
                self.weight(format!("constants.{name}"), tensor, true)
            }
            Some(constant) => self.python(constant, name),
            None => Err(format!("there is no constant `{name}`")),
        }
    }

    /// The value of an attribute that is no module.
    fn python(&mut self, constant: &'a Constant, path: &str) -> Outcome<Value<'a>> {
        Ok(match constant {
            Constant::None => Value::None,
            Constant::Bool(value) => Value::bool(*value),
            Constant::Int(value) => Value::int(*value),
            Constant::Float(value) => Value::float(*value),
            Constant::Text(text) => Value::Text(text.as_str().into()),
            Constant::Tensor(tensor) => self.weight(path.to_owned(), tensor, false)?,
            Constant::List(items) | Constant::Tuple(items) => {
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.python(item, &format!("{path}.{index}")))
                    .collect::<Outcome<Vec<_>>>()?;
                match constant {
                    Constant::List(_) => Value::list(items),
                    _ => Value::Tuple(Rc::new(items)),
                }
            }
            Constant::Dict(items) => {
                let items = items
                    .iter()
                    .map(|(key, value)| Ok((self.python(key, path)?, self.python(value, path)?)))
                    .collect::<Outcome<Vec<_>>>()?;
                Value::Dict(Rc::new(RefCell::new(items)))
            }
            Constant::Other => Value::Unknown,
        })
    }

    fn call(&mut self, call: &'a Call, frame: &Frame<'a>) -> Outcome<Value<'a>> {
        // A method call evaluates its object once and never makes a value of the method.
        if let Expression::Attribute(object, name) = &call.function {
            let object = self.expression(object, frame)?;
            if !matches!(object, Value::Global(_)) {
                let arguments = self.expressions(&call.arguments, frame)?;
                let named = self.named(call, frame)?;
                return match object {
                    Value::Module(module, path) => {
                        self.method(module, &path, name, arguments, named)
                    }
                    other => {
                        let arguments = std::iter::once(other).chain(arguments).collect();
                        self.builtin(name, arguments, named)
                    }
                };
            }
        }
        let Value::Global(name) = self.expression(&call.function, frame)? else {
            return Err("calls something that is no function".into());
        };
        // The first argument of these is a type.
        match &*name {
            "annotate" | "unchecked_cast" => {
                let value = call.arguments.get(1).ok_or("lacks an argument")?;
                return self.expression(value, frame);
            }
            "uninitialized" => return Ok(Value::Unknown),
            _ => {}
        }
        let arguments = self.expressions(&call.arguments, frame)?;
        let named = self.named(call, frame)?;
        let program = self.program;
        if let Some((function, entry)) = program.functions.get(&*name) {
            let path = self
                .places
                .last()
                .map_or(String::new(), |place| place.2.clone());
            return self.function(function, entry, &path, arguments, named);
        }
        if let Some((class, _)) = program.classes.get(&*name)
            && class.base == "NamedTuple"
        {
            return Ok(Value::Tuple(Rc::new(arguments)));
        }
        let short = ["torch.", "ops.prim.", "ops.aten."]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        self.builtin(short.unwrap_or(&name), arguments, named)
    }

    fn named(&mut self, call: &'a Call, frame: &Frame<'a>) -> Outcome<Vec<(String, Value<'a>)>> {
        call.named
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.expression(value, frame)?)))
            .collect()
    }
}
