//! A pickled object as a tree of named parts with tensors at its leaves. Modules that were pickled
//! whole are walked by the dictionaries in which PyTorch keeps their weights; their code is not in
//! the file, and nothing of it is needed.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::Tensors;
use crate::error::{Error, Result};
use crate::pickle::{Id, Object, Pickle, Value};

/// Depth no checkpoint reaches; ends self-referencing dictionaries.
const MAX_DEPTH: usize = 32;
/// Values no checkpoint has; ends dictionaries that multiply by sharing.
const MAX_VISITED: usize = 100_000;
/// Bytes of all names together; keys may be long, and every tensor below repeats them.
const MAX_NAMES: usize = 64 << 20;
/// Classes of opaque objects that are listed.
const MAX_CLASSES: usize = 6;

pub(super) struct Tree<'a> {
    pickle: &'a Pickle,
    /// Whether tensors lie at or below each value.
    fertile: Vec<bool>,
    visited: Cell<usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(pickle: &'a Pickle) -> Self {
        Self {
            fertile: fertile(pickle),
            pickle,
            visited: Cell::new(0),
        }
    }

    pub(super) fn root(&self) -> Id {
        self.pickle.root()
    }

    pub(super) fn is_tensor(&self, id: Id) -> bool {
        matches!(self.pickle.get(id), Value::Tensor(_))
    }

    pub(super) fn holds_tensors(&self, id: Id) -> bool {
        self.fertile[id.index()]
    }

    /// Whether a whole module lies here.
    pub(super) fn is_module(&self, id: Id) -> bool {
        matches!(self.pickle.get(id), Value::Object(object) if self.module(object).is_some())
    }

    /// Classes of the opaque objects, the first few.
    pub(super) fn classes(&self) -> Vec<&'a str> {
        let classes: BTreeSet<&str> = self.pickle.classes().collect();
        classes.into_iter().take(MAX_CLASSES).collect()
    }

    /// Named parts: items of dictionaries and lists, weights and submodules of modules, attributes
    /// of other objects.
    pub(super) fn parts(&self, id: Id) -> Vec<(String, Id)> {
        let list = |items: &[Id]| {
            let items = items.iter().enumerate();
            items
                .map(|(index, &item)| (index.to_string(), item))
                .collect()
        };
        match self.pickle.get(id) {
            Value::Dict(items) => self.named(items),
            Value::List(items) => list(items),
            Value::Tuple(items) => list(items),
            Value::Object(object) => match self.module(object) {
                Some(module) => module,
                None if !object.items.is_empty() => self.named(&object.items),
                None => self
                    .attributes(object)
                    .map_or_else(Vec::new, |items| self.named(items)),
            },
            _ => Vec::new(),
        }
    }

    fn named(&self, items: &[(Id, Id)]) -> Vec<(String, Id)> {
        let named = items.iter().filter_map(|&(key, value)| {
            let name = match self.pickle.get(key) {
                Value::Str(name) => name.to_string(),
                Value::Int(index) => index.to_string(),
                _ => return None,
            };
            Some((name, value))
        });
        named.collect()
    }

    /// The attributes of an object; those of slots, which stand second, are left out.
    fn attributes(&self, object: &Object) -> Option<&'a [(Id, Id)]> {
        let mut state = self.pickle.get(object.state?);
        if let Value::Tuple(parts) = state {
            state = self.pickle.get(*parts.first()?);
        }
        match state {
            Value::Dict(items) => Some(items),
            _ => None,
        }
    }

    fn attribute(&self, object: &Object, name: &str) -> Option<&'a Value> {
        let items = self.attributes(object)?;
        let is_it = |key: Id| matches!(self.pickle.get(key), Value::Str(key) if &**key == name);
        let &(_, value) = items.iter().find(|&&(key, _)| is_it(key))?;
        Some(self.pickle.get(value))
    }

    /// Parameters, buffers and submodules of a module, as its state dict names them.
    fn module(&self, object: &Object) -> Option<Vec<(String, Id)>> {
        let (Value::Dict(parameters), Value::Dict(modules)) = (
            self.attribute(object, "_parameters")?,
            self.attribute(object, "_modules")?,
        ) else {
            return None;
        };
        let mut parts = self.named(parameters);
        if let Some(Value::Dict(buffers)) = self.attribute(object, "_buffers") {
            let unsaved = self.attribute(object, "_non_persistent_buffers_set");
            let unsaved: BTreeSet<&str> = match unsaved {
                Some(Value::List(names)) => names
                    .iter()
                    .filter_map(|&name| match self.pickle.get(name) {
                        Value::Str(name) => Some(&**name),
                        _ => None,
                    })
                    .collect(),
                _ => BTreeSet::new(),
            };
            let buffers = self.named(buffers).into_iter();
            parts.extend(buffers.filter(|(name, _)| !unsaved.contains(name.as_str())));
        }
        parts.extend(self.named(modules));
        Some(parts)
    }

    /// The tensors at and below a place, by dotted name.
    pub(super) fn flattened(&self, place: Id, prefix: &str) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        let mut names = 0;
        self.flatten(place, prefix, 0, &mut names, &mut tensors)?;
        if tensors.is_empty() {
            let class = match self.pickle.get(place) {
                Value::Object(object) => format!(", but an object of `{}`", object.class),
                Value::Global(global) => format!(", but {global:?}"),
                _ => String::new(),
            };
            return Err(Error::Foreign {
                expected: "state dict",
                reason: format!(
                    "it holds no named tensors{class}; save the weights in Python with \
                     torch.save(model.state_dict(), …), or network and weights with \
                     torch.jit.trace(model.eval(), example).save(…)"
                ),
            });
        }
        Ok(tensors)
    }

    /// Collects the tensors below `id`. What is no tensor, dictionary, list or module carries no
    /// weights.
    fn flatten(
        &self,
        id: Id,
        path: &str,
        depth: usize,
        names: &mut usize,
        tensors: &mut Tensors,
    ) -> Result<()> {
        self.visited.set(self.visited.get() + 1);
        if depth > MAX_DEPTH || self.visited.get() > MAX_VISITED {
            let reason = format!("`{path:.100}`: dictionaries nest too deeply or repeat too often");
            return Err(Error::entry("state dict", reason));
        }
        match self.pickle.get(id) {
            Value::Tensor(tensor) => {
                *names += path.len();
                if *names > MAX_NAMES {
                    return Err(Error::entry(
                        "state dict",
                        "the names of tensors are too long",
                    ));
                }
                let tensor = (**tensor).clone();
                if tensors.insert(path.to_owned(), tensor).is_some() {
                    return Err(Error::tensor(path, "is there twice"));
                }
            }
            Value::Object(object) if object.items.is_empty() && self.module(object).is_none() => {}
            _ => {
                for (name, part) in self.parts(id) {
                    let name = if path.is_empty() {
                        name
                    } else {
                        format!("{path}.{name}")
                    };
                    self.flatten(part, &name, depth + 1, names, tensors)?;
                }
            }
        }
        Ok(())
    }
}

/// For each value whether tensors lie at or below it: from the tensors upwards.
fn fertile(pickle: &Pickle) -> Vec<bool> {
    let mut parents: Vec<Vec<u32>> = vec![Vec::new(); pickle.len()];
    let mut open = Vec::new();
    let mut fertile = vec![false; pickle.len()];
    for (index, value) in pickle.values().enumerate() {
        let mut holds = |id: Id| parents[id.index()].push(index as u32);
        match value {
            Value::Tensor(_) => {
                fertile[index] = true;
                open.push(index);
            }
            Value::Tuple(items) => items.iter().copied().for_each(&mut holds),
            Value::List(items) => items.iter().copied().for_each(&mut holds),
            Value::Dict(items) => items.iter().for_each(|item| holds(item.1)),
            Value::Object(object) => {
                object.state.into_iter().for_each(&mut holds);
                object.items.iter().for_each(|item| holds(item.1));
            }
            _ => {}
        }
    }
    while let Some(index) = open.pop() {
        for &parent in &parents[index] {
            let parent = parent as usize;
            if !fertile[parent] {
                fertile[parent] = true;
                open.push(parent);
            }
        }
    }
    fertile
}
