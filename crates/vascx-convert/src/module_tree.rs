//! The module tree that a TorchScript `data.pkl` describes.

use std::fmt::Write as _;

use crate::error::{Error, Result};
use crate::pickle::{Id, Pickle, Value};
use crate::tensor::TensorRef;

/// Depth no network reaches; ends self-referencing trees.
const MAX_DEPTH: usize = 64;
/// Modules no ensemble reaches; ends trees that multiply by sharing.
const MAX_MODULES: usize = 100_000;

/// One `nn.Module` of the saved program.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScriptModule {
    /// Qualified class name, e.g. `__torch__.torch.nn.modules.conv.___torch_mangle_3.Conv2d`.
    pub(crate) class: String,
    /// Attributes in the order they were saved.
    pub(crate) attributes: Vec<(String, Attribute)>,
}

/// What a module holds under a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attribute {
    Module(ScriptModule),
    Tensor(TensorRef),
    /// Numbers, flags such as `training`, texts, and collections of them.
    Constant(Constant),
}

/// A Python value beside modules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constant {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tensor(TensorRef),
    List(Vec<Constant>),
    Tuple(Vec<Constant>),
    Dict(Vec<(Constant, Constant)>),
    /// Something no program needs to look into.
    Other,
}

impl Constant {
    /// The value at `id`.
    pub(crate) fn from_pickle(
        pickle: &Pickle,
        id: Id,
        depth: usize,
        remaining: &mut usize,
    ) -> Result<Self> {
        *remaining = remaining
            .checked_sub(1)
            .filter(|_| depth <= MAX_DEPTH)
            .ok_or_else(|| Error::entry("data.pkl", "its attributes are too large or too deep"))?;
        let mut all = |ids: &[Id]| -> Result<Vec<Self>> {
            let items = ids.iter();
            items
                .map(|&id| Self::from_pickle(pickle, id, depth + 1, remaining))
                .collect()
        };
        Ok(match pickle.get(id) {
            Value::None => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::Str(text) => Self::Text(text.to_string()),
            Value::Tensor(tensor) => Self::Tensor((**tensor).clone()),
            Value::List(items) => Self::List(all(items)?),
            Value::Tuple(items) => Self::Tuple(all(items)?),
            Value::Dict(items) => {
                let keys: Vec<Id> = items.iter().map(|item| item.0).collect();
                let values: Vec<Id> = items.iter().map(|item| item.1).collect();
                Self::Dict(all(&keys)?.into_iter().zip(all(&values)?).collect())
            }
            Value::Global(_) | Value::Object(_) | Value::Opaque | Value::Storage(_) => Self::Other,
        })
    }
}

impl ScriptModule {
    /// The tree below the root object of a pickle.
    pub(crate) fn from_pickle(pickle: &Pickle) -> Result<Self> {
        let mut remaining = MAX_MODULES;
        Self::build(pickle, pickle.root(), 0, &mut remaining)?.ok_or_else(|| Error::Foreign {
            expected: "TorchScript release",
            reason: "its `data.pkl` does not hold a module".into(),
        })
    }

    /// The module at `id`, or `None` when another kind of value is there.
    fn build(pickle: &Pickle, id: Id, depth: usize, remaining: &mut usize) -> Result<Option<Self>> {
        let Value::Object(object) = pickle.get(id) else {
            return Ok(None);
        };
        let class = &object.class;
        let invalid = |reason: String| Error::entry("data.pkl", reason);
        if depth > MAX_DEPTH {
            return Err(invalid(format!(
                "modules nest deeper than {MAX_DEPTH} levels"
            )));
        }
        *remaining = remaining
            .checked_sub(1)
            .ok_or_else(|| invalid(format!("more than {MAX_MODULES} modules")))?;
        let items = match object.state.map(|state| pickle.get(state)) {
            Some(Value::Dict(items)) => &items[..],
            _ => &[],
        };
        let mut attributes = Vec::with_capacity(items.len());
        for &(key, value) in items {
            let Value::Str(name) = pickle.get(key) else {
                return Err(invalid(format!("an attribute of `{class}` has no name")));
            };
            let attribute = match pickle.get(value) {
                Value::Tensor(tensor) => Attribute::Tensor((**tensor).clone()),
                _ => match Self::build(pickle, value, depth + 1, remaining)? {
                    Some(module) => Attribute::Module(module),
                    None => {
                        Attribute::Constant(Constant::from_pickle(pickle, value, depth, remaining)?)
                    }
                },
            };
            attributes.push((name.to_string(), attribute));
        }
        Ok(Some(Self {
            class: class.to_string(),
            attributes,
        }))
    }

    /// The class name without its module path: `Conv2d`.
    pub(crate) fn class_name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    /// What the module holds under a name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find_map(|(key, attribute)| (key == name).then_some(attribute))
    }

    /// Direct submodules, in order.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&str, &ScriptModule)> {
        self.attributes
            .iter()
            .filter_map(|(name, attribute)| match attribute {
                Attribute::Module(module) => Some((name.as_str(), module)),
                _ => None,
            })
    }

    /// Tensors of this module itself, in order.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &TensorRef)> {
        self.attributes
            .iter()
            .filter_map(|(name, attribute)| match attribute {
                Attribute::Tensor(tensor) => Some((name.as_str(), tensor)),
                _ => None,
            })
    }

    /// Calls `visit` with the dotted path of every tensor of the tree.
    pub(crate) fn for_each_tensor<'a>(&'a self, visit: &mut impl FnMut(&str, &'a TensorRef)) {
        self.visit_tensors(&mut String::new(), visit);
    }

    fn visit_tensors<'a>(&'a self, path: &mut String, visit: &mut impl FnMut(&str, &'a TensorRef)) {
        let length = path.len();
        for (name, attribute) in &self.attributes {
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            match attribute {
                Attribute::Tensor(tensor) => visit(path, tensor),
                Attribute::Module(module) => module.visit_tensors(path, visit),
                Attribute::Constant(_) => {}
            }
            path.truncate(length);
        }
    }

    /// The top levels as indented text, at most `lines` lines.
    pub(crate) fn outline(&self, levels: usize, lines: usize) -> String {
        let mut text = String::new();
        let mut remaining = lines;
        self.outline_into("(root)", 1, levels, &mut remaining, &mut text);
        if remaining == 0 {
            text.push_str("  …\n");
        }
        text
    }

    fn outline_into(
        &self,
        name: &str,
        level: usize,
        levels: usize,
        remaining: &mut usize,
        text: &mut String,
    ) {
        if *remaining == 0 {
            return;
        }
        *remaining -= 1;
        let indent = "  ".repeat(level);
        let _ = write!(text, "{indent}{name}: {}", self.class_name());
        for (name, tensor) in self.tensors().take(4) {
            let _ = write!(text, " {name}{:?}", tensor.shape);
        }
        text.push('\n');
        if level <= levels {
            for (name, module) in self.modules() {
                module.outline_into(name, level + 1, levels, remaining, text);
            }
        }
    }
}
