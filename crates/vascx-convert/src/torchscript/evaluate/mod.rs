//! Evaluating a program: functions and statements.

mod expressions;

use std::collections::HashMap;
use std::rc::Rc;

use vascx_graph::{Arg, GraphBuilder, Literal};

use super::Program;
use super::syntax::{Function, Statement, StatementKind, Target};
use super::tensors::Storage;
use super::value::Value;
use crate::module_tree::ScriptModule;
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

/// Reads the numbers of a tensor that is not a weight.
pub(super) type ReadNumbers<'r> = dyn FnMut(&Source) -> Outcome<Vec<f32>> + 'r;

pub(super) struct Evaluator<'a, 'r> {
    pub(super) program: &'a Program,
    pub(super) builder: GraphBuilder,
    pub(super) storages: Vec<Storage>,
    /// Weights already in the graph, by storage and view.
    pub(super) weights: HashMap<String, usize>,
    pub(super) sources: Vec<Source>,
    pub(super) read: &'r mut ReadNumbers<'r>,
    /// Constants of one number, by node.
    pub(super) scalars: HashMap<usize, f64>,
    /// Whether a module was saved while it was trained.
    pub(super) was_training: bool,
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
        read: &'r mut ReadNumbers<'r>,
    ) -> Self {
        Self {
            program,
            builder,
            storages: Vec::new(),
            weights: HashMap::new(),
            sources: Vec::new(),
            read,
            scalars: HashMap::new(),
            was_training: false,
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
        let class = program.classes.get(&module.class);
        let found = class.and_then(|(class, entry)| {
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
            StatementKind::With(contexts, body) => {
                for context in contexts {
                    let context = self.expression(context, frame)?;
                    if !matches!(context, Value::None) {
                        return Err(format!("enters {}", context.kind()));
                    }
                }
                return self.block(body, frame);
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
            let (values, names) = (items.len(), targets.len());
            return Err(format!("{values} values for {names} names"));
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
