//! Evaluating a program: statements, calls and expressions.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use vascx_models::graph::{Arg, GraphBuilder, Literal};

use super::Program;
use super::syntax::{
    BinaryOperator, Call, Expression, Function, Statement, StatementKind, Target, UnaryOperator,
};
use super::tensors::Storage;
use super::value::Value;
use crate::module_tree::{Attribute, Constant, ScriptModule};
use crate::tensor::TensorRef;

/// Statements and expressions evaluated; a thousand-layer network takes a hundred thousand.
const MAX_STEPS: usize = 4_000_000;
/// Calls inside calls.
const MAX_CALLS: usize = 64;
/// Entries of a list.
pub(super) const MAX_LIST: usize = 100_000;
/// Unsupported operators that are listed.
const MAX_LISTED: usize = 100;

/// Why evaluation stopped, without its place.
pub(super) type Outcome<T> = std::result::Result<T, String>;

/// Where a weight of the graph comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) tensor: TensorRef,
    pub(super) from_constants: bool,
}

/// How a block ended.
enum Flow<'a> {
    Next,
    Break,
    Continue,
    Return(Value<'a>),
}

/// Reads the integers of a tensor that is not a weight.
pub(super) type ReadIntegers<'r> = dyn FnMut(&Source) -> Outcome<Vec<i64>> + 'r;

pub(super) struct Evaluator<'a, 'r> {
    pub(super) program: &'a Program,
    pub(super) builder: GraphBuilder,
    pub(super) storages: Vec<Storage>,
    /// Weights already in the graph, by storage and view.
    pub(super) weights: HashMap<String, usize>,
    pub(super) sources: Vec<Source>,
    pub(super) read: &'r mut ReadIntegers<'r>,
    /// Unsupported operators with their places.
    pub(super) unsupported: Vec<String>,
    steps: usize,
    /// Entry, line and module path of every open call.
    places: Vec<(String, u32, String)>,
}

type Frame<'a> = HashMap<String, Value<'a>>;

impl<'a, 'r> Evaluator<'a, 'r> {
    pub(super) fn new(
        program: &'a Program,
        builder: GraphBuilder,
        read: &'r mut ReadIntegers<'r>,
    ) -> Self {
        Self {
            program,
            builder,
            storages: Vec::new(),
            weights: HashMap::new(),
            sources: Vec::new(),
            read,
            unsupported: Vec::new(),
            steps: 0,
            places: Vec::new(),
        }
    }

    /// Where evaluation stands, for messages.
    pub(super) fn place(&self) -> String {
        match self.places.last() {
            Some((entry, line, path)) => {
                let path = if path.is_empty() { "(root)" } else { path };
                format!("{entry}:{line} in {path}")
            }
            None => "(start)".into(),
        }
    }

    /// Notes an unsupported operator and goes on with an unknown value.
    pub(super) fn unsupported(&mut self, what: &str) -> Value<'a> {
        let text = format!("{what} at {}", self.place());
        if self.unsupported.len() < MAX_LISTED && !self.unsupported.contains(&text) {
            self.unsupported.push(text);
        }
        Value::Unknown
    }

    fn step(&mut self) -> Outcome<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(format!("runs for more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    /// Calls a method of a module.
    pub(super) fn method(
        &mut self,
        module: &'a ScriptModule,
        path: &Rc<str>,
        name: &str,
        mut arguments: Vec<Value<'a>>,
        named: Vec<(String, Value<'a>)>,
    ) -> Outcome<Value<'a>> {
        let program = self.program;
        let found = program
            .classes
            .get(&module.class)
            .and_then(|(class, entry)| {
                let method = class.methods.iter().find(|method| method.name == name)?;
                Some((method, entry))
            });
        let Some((method, entry)) = found else {
            return Err(format!("`{}` has no method `{name}`", module.class));
        };
        arguments.insert(0, Value::Module(module, path.clone()));
        self.function(method, entry, path, arguments, named)
    }

    fn function(
        &mut self,
        function: &'a Function,
        entry: &str,
        path: &str,
        arguments: Vec<Value<'a>>,
        named: Vec<(String, Value<'a>)>,
    ) -> Outcome<Value<'a>> {
        if self.places.len() >= MAX_CALLS {
            return Err(format!("calls nest deeper than {MAX_CALLS}"));
        }
        self.places
            .push((entry.to_owned(), function.line, path.to_owned()));
        let mut frame = Frame::new();
        let given = arguments.len();
        if given > function.parameters.len() {
            return Err(format!("`{}` takes fewer arguments", function.name));
        }
        for (parameter, value) in function.parameters.iter().zip(arguments) {
            frame.insert(parameter.name.clone(), value);
        }
        frame.extend(named);
        for parameter in &function.parameters[given..] {
            if !frame.contains_key(&parameter.name) {
                let Some(default) = &parameter.default else {
                    return Err(format!("`{}` lacks `{}`", function.name, parameter.name));
                };
                let value = self.expression(default, &frame)?;
                frame.insert(parameter.name.clone(), value);
            }
        }
        let flow = self.block(&function.body, &mut frame)?;
        // On an error, the place stays for the message.
        self.places.pop();
        Ok(match flow {
            Flow::Return(value) => value,
            _ => Value::None,
        })
    }

    fn block(&mut self, body: &'a [Statement], frame: &mut Frame<'a>) -> Outcome<Flow<'a>> {
        for statement in body {
            self.step()?;
            if let Some(place) = self.places.last_mut() {
                place.1 = statement.line;
            }
            match self.statement(statement, frame)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'a Statement, frame: &mut Frame<'a>) -> Outcome<Flow<'a>> {
        match &statement.kind {
            StatementKind::Assign(targets, value) => {
                let value = self.expression(value, frame)?;
                match &targets[..] {
                    [Target::Group(targets)] => self.unpack(targets, value, frame)?,
                    [target] => self.assign(target, value, frame)?,
                    targets => self.unpack(targets, value, frame)?,
                }
            }
            StatementKind::Expression(value) => {
                self.expression(value, frame)?;
            }
            StatementKind::Return(value) => {
                return Ok(Flow::Return(self.expression(value, frame)?));
            }
            StatementKind::If(condition, then, otherwise) => {
                let condition = self.expression(condition, frame)?;
                let body = if self.truth(&condition)? {
                    then
                } else {
                    otherwise
                };
                return self.block(body, frame);
            }
            StatementKind::For(targets, iterable, body) => {
                let iterable = self.expression(iterable, frame)?;
                for item in items(&iterable)? {
                    match &targets[..] {
                        [target] => self.assign(target, item, frame)?,
                        targets => self.unpack(targets, item, frame)?,
                    }
                    match self.block(body, frame)? {
                        Flow::Break => break,
                        Flow::Return(value) => return Ok(Flow::Return(value)),
                        Flow::Next | Flow::Continue => {}
                    }
                }
            }
            StatementKind::While(condition, body) => loop {
                self.step()?;
                let condition = self.expression(condition, frame)?;
                if !self.truth(&condition)? {
                    break;
                }
                match self.block(body, frame)? {
                    Flow::Break => break,
                    Flow::Return(value) => return Ok(Flow::Return(value)),
                    Flow::Next | Flow::Continue => {}
                }
            },
            StatementKind::Raise => return Err("the program raises an exception".into()),
            StatementKind::Assert(condition) => {
                let condition = self.expression(condition, frame)?;
                if !self.truth(&condition)? {
                    return Err("an assertion of the program fails".into());
                }
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
            StatementKind::Pass => {}
        }
        Ok(Flow::Next)
    }

    fn assign(&mut self, target: &Target, value: Value<'a>, frame: &mut Frame<'a>) -> Outcome<()> {
        match target {
            Target::Name(name) => {
                frame.insert(name.clone(), value);
                Ok(())
            }
            Target::Group(targets) => self.unpack(targets, value, frame),
            // State between calls, such as a cache: a conversion sees one call only.
            Target::Attribute => Ok(()),
        }
    }

    fn unpack(
        &mut self,
        targets: &[Target],
        value: Value<'a>,
        frame: &mut Frame<'a>,
    ) -> Outcome<()> {
        let items = match value {
            Value::Unknown => vec![Value::Unknown; targets.len()],
            value => items(&value)?,
        };
        if items.len() != targets.len() {
            return Err(format!(
                "{} values for {} names",
                items.len(),
                targets.len()
            ));
        }
        for (target, item) in targets.iter().zip(items) {
            self.assign(target, item, frame)?;
        }
        Ok(())
    }

    /// The truth of a condition; one that depends on the image's size pins the graph to it.
    pub(super) fn truth(&mut self, value: &Value<'a>) -> Outcome<bool> {
        match value {
            Value::Number(argument) => Ok(self.builder.pin(*argument)?.is_true()),
            Value::None => Ok(false),
            Value::Text(text) => Ok(!text.is_empty()),
            Value::List(items) => Ok(!items.borrow().is_empty()),
            Value::Tensor(_) => Err("a decision depends on the values of a tensor".into()),
            other => Err(format!("{} is no condition", other.kind())),
        }
    }

    pub(super) fn expression(
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
                let name = match operator {
                    UnaryOperator::Minus => "neg",
                    UnaryOperator::Not => "__not__",
                    UnaryOperator::Invert => "bitwise_not",
                };
                self.builtin(name, vec![operand], Vec::new())?
            }
            Expression::Binary(operator, left, right) => {
                self.binary(*operator, left, right, frame)?
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
        operator: BinaryOperator,
        left: &'a Expression,
        right: &'a Expression,
        frame: &Frame<'a>,
    ) -> Outcome<Value<'a>> {
        let left = self.expression(left, frame)?;
        if matches!(operator, BinaryOperator::And | BinaryOperator::Or) {
            let truth = self.truth(&left)?;
            return if truth == (operator == BinaryOperator::And) {
                self.expression(right, frame)
            } else {
                Ok(left)
            };
        }
        let right = self.expression(right, frame)?;
        let name = match operator {
            BinaryOperator::Equal => "eq",
            BinaryOperator::NotEqual => "ne",
            BinaryOperator::Less => "lt",
            BinaryOperator::LessEqual => "le",
            BinaryOperator::Greater => "gt",
            BinaryOperator::GreaterEqual => "ge",
            BinaryOperator::Is => "__is__",
            BinaryOperator::IsNot => "__isnot__",
            BinaryOperator::In | BinaryOperator::NotIn => "__contains__",
            BinaryOperator::Add => "add",
            BinaryOperator::Sub => "sub",
            BinaryOperator::Mul => "mul",
            BinaryOperator::Div => "div",
            BinaryOperator::FloorDiv => "floordiv",
            BinaryOperator::Remainder => "remainder",
            BinaryOperator::MatMul => "matmul",
            BinaryOperator::Pow => "pow",
            BinaryOperator::And | BinaryOperator::Or => unreachable!("handled above"),
        };
        let contains = matches!(operator, BinaryOperator::In | BinaryOperator::NotIn);
        let arguments = if contains {
            vec![right, left]
        } else {
            vec![left, right]
        };
        let value = self.builtin(name, arguments, Vec::new())?;
        if operator == BinaryOperator::NotIn {
            return self.builtin("__not__", vec![value], Vec::new());
        }
        Ok(value)
    }

    fn expressions(
        &mut self,
        items: &'a [Expression],
        frame: &Frame<'a>,
    ) -> Outcome<Vec<Value<'a>>> {
        items
            .iter()
            .map(|item| self.expression(item, frame))
            .collect()
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

    pub(super) fn module_attribute(
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

    /// The integer a value has; one that depends on the image's size pins the graph to it.
    pub(super) fn integer(&mut self, value: &Value<'a>) -> Outcome<i64> {
        match value {
            Value::Number(argument) => match self.builder.pin(*argument)? {
                Literal::Float(value) => Err(format!("{value} is no integer")),
                other => Ok(other.as_i64().unwrap_or(0)),
            },
            other => Err(format!("{} is no integer", other.kind())),
        }
    }

    /// The number a value has.
    pub(super) fn number(&mut self, value: &Value<'a>) -> Outcome<f64> {
        match value {
            Value::Number(argument) => Ok(self.builder.pin(*argument)?.as_f64()),
            other => Err(format!("{} is no number", other.kind())),
        }
    }

    /// The value as an argument of an operator.
    pub(super) fn argument(&mut self, value: &Value<'a>) -> Outcome<Arg> {
        match value {
            Value::Number(argument) => Ok(*argument),
            Value::Tensor(tensor) => Ok(Arg::Node(self.node(tensor)?)),
            other => Err(format!("{} is neither number nor tensor", other.kind())),
        }
    }
}

/// What a loop or an unpacking goes through.
pub(super) fn items<'a>(value: &Value<'a>) -> Outcome<Vec<Value<'a>>> {
    match value {
        Value::List(items) => Ok(items.borrow().clone()),
        Value::Tuple(items) => Ok(items.to_vec()),
        Value::Dict(items) => Ok(items.borrow().iter().map(|(key, _)| key.clone()).collect()),
        other => Err(format!("cannot go through {}", other.kind())),
    }
}
