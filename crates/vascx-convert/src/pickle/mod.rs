//! A restricted reader of Python pickles (protocol 2), as PyTorch writes them.
//!
//! Nothing is executed: the reader knows a handful of globals (see [`Global`]) and turns everything
//! else into an error that names it. Values live in an arena and refer to each other by index, so
//! that self-referencing and deeply nested pickles are harmless.

mod global;
mod machine;

pub(crate) use global::Global;
pub(crate) use machine::{parse, parse_first};

use crate::tensor::{StorageRef, TensorRef};

/// Index of a value in a [`Pickle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

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

    /// Every storage that is referred to, as often as it is.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &StorageRef> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(&**storage),
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
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// An instance of a TorchScript class with its state (a dictionary), once that was read.
    Object {
        class: Box<str>,
        state: Option<Id>,
    },
    /// What a call of [`Global::Opaque`] gave.
    Opaque,
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
}
