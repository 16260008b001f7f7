//! A restricted reader of Python pickles (protocols 0 to 5), as PyTorch writes them.
//!
//! Nothing is executed: the reader knows a handful of globals (see [`Global`]). Any other is an
//! error in a release; beside the weights of a state dict it stands for an opaque object, which
//! holds what the pickle gives it and is never built. Values live in an arena and refer to each
//! other by index, so that self-referencing and deeply nested pickles are harmless.

mod global;
mod input;
mod machine;
mod objects;

use std::sync::Arc;

pub(crate) use global::{Global, Unknown};
pub(crate) use machine::{parse, parse_first};

use crate::tensor::{StorageRef, TensorRef};

/// Index of a value in a [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

impl Id {
    /// Place among [`Pickle::values`].
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A parsed pickle.
#[derive(Debug)]
pub(crate) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.values[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// All values, each at the index of its id.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Every storage that is referred to, as often as it is.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &StorageRef> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// Classes of all objects, as often as there are.
    pub(crate) fn classes(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter_map(|value| match value {
            Value::Object(object) => Some(&*object.class),
            _ => None,
        })
    }
}

/// One Python value. Containers hold indices; every index is valid in the pickle it came from.
#[derive(Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Box<str>),
    Tuple(Box<[Id]>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Object(Box<Object>),
    /// Bytes and numbers of more than 64 bits, which nothing looks into.
    Opaque,
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
}

/// An instance of a class that is never built.
#[derive(Debug)]
pub(crate) struct Object {
    /// Qualified name.
    pub(crate) class: Arc<str>,
    /// Its attributes, a dictionary where the class is one of TorchScript.
    pub(crate) state: Option<Id>,
    /// Its items, where the class is a kind of dictionary.
    pub(crate) items: Vec<(Id, Id)>,
}
