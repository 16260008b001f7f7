//! Values while a program is evaluated: Python's as they are, tensors as nodes of a graph.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use vascx_graph::{Arg, Literal, Op};

use crate::module_tree::ScriptModule;

/// A value of the program.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    None,
    /// A number or truth value; it may depend on the image's size.
    Number(Arg),
    Text(Rc<str>),
    Tensor(Rc<Tensor>),
    List(Rc<RefCell<Vec<Value<'a>>>>),
    Tuple(Rc<Vec<Value<'a>>>),
    Dict(Rc<RefCell<Vec<(Value<'a>, Value<'a>)>>>),
    Module(&'a ScriptModule, Rc<str>),
    /// A function or class by its qualified name.
    Global(Rc<str>),
    /// A tensor without elements, which only concatenation takes.
    Empty,
    /// What an unsupported operator would have given.
    Unknown,
}

/// A tensor as the program sees it: a storage that in-place operations change, seen through views.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) storage: usize,
    /// Operations on the storage's value that share its memory, with their other arguments.
    pub(super) views: Rc<Vec<(Op, Vec<Arg>)>>,
    /// Node and the version of the storage that it was computed from.
    pub(super) node: Cell<(usize, usize)>,
}

impl Value<'_> {
    pub(super) fn int(value: i64) -> Self {
        Self::Number(Arg::Literal(Literal::Int(value)))
    }

    pub(super) fn float(value: f64) -> Self {
        Self::Number(Arg::Literal(Literal::Float(value)))
    }

    pub(super) fn bool(value: bool) -> Self {
        Self::Number(Arg::Literal(Literal::Bool(value)))
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Value::List(Rc::new(RefCell::new(items)))
    }

    /// What to call it in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Tensor(_) => "a tensor",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dictionary",
            Self::Module(..) => "a module",
            Self::Global(_) => "a function",
            Self::Empty => "an empty tensor",
            Self::Unknown => "an unknown value",
        }
    }
}
