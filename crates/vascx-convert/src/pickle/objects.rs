//! Globals, objects, calls and tensors: what a pickle would build, and this reader does not.

use std::sync::Arc;

use super::machine::Machine;
use super::{Global, Id, Object, Unknown, Value};
use crate::error::{Error, Result};
use crate::tensor::{StorageRef, TensorRef};

/// Tensors a pickle may hold, those of optimisers included.
const MAX_TENSORS: usize = 500_000;
/// Longest shape of a tensor; PyTorch itself stops at 64.
const MAX_RANK: usize = 8;
/// Longest name of a class.
const MAX_NAME: usize = 1000;
/// Longest name of a storage, which every tensor repeats.
const MAX_KEY: usize = 64;
/// What objects of unnamed classes are called.
const NAMELESS: &str = "an object of no named class";

impl Machine<'_> {
    fn is_lenient(&self) -> bool {
        self.unknown == Unknown::Opaque
    }

    pub(super) fn stack_global(&mut self) -> Result<()> {
        let operands = self.pop_many(2)?;
        let (Value::Str(module), Value::Str(name)) =
            (self.value(operands[0]), self.value(operands[1]))
        else {
            return Err(self.input.error("a class whose name is no text"));
        };
        let (module, name) = (module.clone(), name.clone());
        self.global(&module, &name)
    }

    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<()> {
        if module.len() + name.len() > MAX_NAME {
            return Err(self.input.error("a class whose name is too long"));
        }
        match Global::lookup(module, name, self.unknown) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Error::UnknownGlobal {
                entry: self.input.entry.to_owned(),
                global: format!("{module}.{name}"),
            }),
        }
    }

    pub(super) fn new_object(&mut self, class: Id, arguments: Id) -> Result<()> {
        let arguments = matches!(self.value(arguments), Value::Tuple(items) if !items.is_empty());
        if arguments && !self.is_lenient() {
            return Err(self.input.error("creates an object with arguments"));
        }
        self.instance(class)
    }

    /// An opaque object of a class.
    pub(super) fn instance(&mut self, class: Id) -> Result<()> {
        let object = match self.value(class) {
            Value::Global(Global::Class(class)) => object(class.clone()),
            Value::Global(Global::OrderedDict) => Value::Dict(Vec::new()),
            _ if self.is_lenient() => object(NAMELESS.into()),
            _ => {
                return Err(self
                    .input
                    .error("creates an object of something that is no class"));
            }
        };
        self.push(object)
    }

    pub(super) fn build(&mut self) -> Result<()> {
        let new_state = self.pop()?;
        let target = self.top()?;
        let lenient = self.is_lenient();
        if !lenient && !matches!(self.value(new_state), Value::Dict(_)) {
            return Err(self.input.error("an object's state is no dictionary"));
        }
        match &mut self.values[target.0 as usize] {
            Value::Object(object) if object.state.is_none() => object.state = Some(new_state),
            // The attributes of an OrderedDict (`_metadata` of a state dict) carry no tensors.
            Value::Dict(_) => {}
            _ if lenient => {}
            _ => {
                return Err(self
                    .input
                    .error("sets the state of something that has none"));
            }
        }
        Ok(())
    }

    pub(super) fn reduce(&mut self) -> Result<()> {
        let operands = self.pop_many(2)?;
        let result = match (self.value(operands[0]), self.value(operands[1])) {
            (Value::Global(function), Value::Tuple(arguments)) => {
                if let Some(result) = self.call(function, arguments)? {
                    result
                } else {
                    let count = arguments.len();
                    let function = format!("{function:?}");
                    return Err(self
                        .input
                        .error(format!("calls {function} with {count} arguments")));
                }
            }
            _ if self.is_lenient() => Called::New(object(NAMELESS.into())),
            _ => return Err(self.input.error("calls something that is no function")),
        };
        match result {
            Called::Argument(id) => self.push_id(id),
            Called::New(value) => {
                if matches!(value, Value::Tensor(_)) {
                    self.tensors += 1;
                    if self.tensors > MAX_TENSORS {
                        return Err(self.input.error(format!("more than {MAX_TENSORS} tensors")));
                    }
                }
                self.push(value)
            }
        }
    }

    /// What a function gives for arguments; `None` where it does not take them.
    fn call(&self, function: &Global, arguments: &[Id]) -> Result<Option<Called>> {
        let result = match (function, arguments) {
            (Global::RebuildTensor, &[storage, offset, shape, stride, _, _, ..]) => {
                Called::New(self.tensor(storage, offset, shape, stride)?)
            }
            (Global::RebuildFromType, &[function, _, arguments, ..]) => {
                match (self.value(function), self.value(arguments)) {
                    (
                        Value::Global(
                            function @ (Global::RebuildTensor | Global::RebuildParameter),
                        ),
                        Value::Tuple(arguments),
                    ) => return self.call(function, arguments),
                    _ => Called::New(object("a tensor of another type".into())),
                }
            }
            (Global::OrderedDict, []) => Called::New(Value::Dict(Vec::new())),
            (Global::OrderedDict, &[pairs]) => Called::New(Value::Dict(self.pairs(pairs)?)),
            (Global::RebuildParameter, &[tensor, ..]) => Called::Argument(tensor),
            (Global::TypedList | Global::Set, &[list]) => Called::Argument(list),
            (Global::RestoreTypeTag, &[value, _]) => Called::Argument(value),
            (Global::Reconstructor, &[class, ..]) if self.is_lenient() => {
                Called::New(match self.value(class) {
                    Value::Global(Global::Class(class)) => object(class.clone()),
                    _ => object(NAMELESS.into()),
                })
            }
            (Global::Class(class), _) if self.is_lenient() => Called::New(object(class.clone())),
            (_, _) if self.is_lenient() => Called::New(Value::Opaque),
            _ => return Ok(None),
        };
        Ok(Some(result))
    }

    /// The keys and values of a list of pairs, as Python 2 wrote an OrderedDict.
    fn pairs(&self, list: Id) -> Result<Vec<(Id, Id)>> {
        let Value::List(items) = self.value(list) else {
            return Err(self
                .input
                .error("a dictionary of something that is no list"));
        };
        let pair = |&item: &Id| match self.value(item) {
            Value::List(pair) => <[Id; 2]>::try_from(&pair[..]).ok(),
            Value::Tuple(pair) => <[Id; 2]>::try_from(&pair[..]).ok(),
            _ => None,
        };
        let pairs = items.iter().map(|item| {
            let [key, value] =
                pair(item).ok_or_else(|| self.input.error("a dictionary key lacks its value"))?;
            Ok((key, value))
        });
        pairs.collect()
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, stride: Id) -> Result<Value> {
        let storage = match self.value(storage) {
            Value::Storage(storage) => storage,
            // Of an element type that no weight has.
            Value::Object(other) if self.is_lenient() => {
                return Ok(object(other.class.clone()));
            }
            _ => return Err(self.input.error("a tensor without a storage")),
        };
        let tensor = TensorRef {
            storage: (**storage).clone(),
            offset: self.size(offset)?,
            shape: self.sizes(shape)?,
            stride: self.sizes(stride)?,
        };
        if self.is_lenient() && tensor.repeats_itself() {
            return Ok(object("an expanded tensor".into()));
        }
        tensor
            .validate()
            .map_err(|reason| self.input.error(reason))?;
        Ok(Value::Tensor(Box::new(tensor)))
    }

    fn size(&self, id: Id) -> Result<usize> {
        match *self.value(id) {
            Value::Int(value) => usize::try_from(value)
                .map_err(|_| self.input.error(format!("a size or stride of {value}"))),
            _ => Err(self.input.error("a size that is no integer")),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        match self.value(id) {
            Value::Tuple(sizes) if sizes.len() <= MAX_RANK => {
                sizes.iter().map(|&size| self.size(size)).collect()
            }
            _ => Err(self
                .input
                .error(format!("a shape that is no tuple of up to {MAX_RANK}"))),
        }
    }

    /// The same as Python prints it, which is what protocol 0 writes:
    /// `('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6)`.
    pub(super) fn printed_persistent_id(&mut self) -> Result<()> {
        let line = self.input.line()?;
        let parts = || {
            let parts = line
                .strip_prefix("('storage', <class '")?
                .strip_suffix(')')?;
            let (class, parts) = parts.split_once("'>, '")?;
            let (key, parts) = parts.split_once("', '")?;
            let (_device, numel) = parts.split_once("', ")?;
            let numel = numel.strip_suffix(", None").unwrap_or(numel);
            let (module, name) = class.rsplit_once('.')?;
            Some((module, name, key, numel.parse().ok()?))
        };
        let Some((module, name, key, numel)) = parts() else {
            return if self.is_lenient() {
                self.push(Value::Opaque)
            } else {
                Err(self.input.error("a persistent id that is no storage"))
            };
        };
        self.push(Value::Str("storage".into()))?;
        self.global(module, name)?;
        self.push(Value::Str(key.into()))?;
        self.push(Value::None)?;
        self.push(Value::Int(numel))?;
        let parts = self.pop_many(5)?;
        self.push(Value::Tuple(parts.into()))?;
        self.persistent_id()
    }

    /// `("storage", class, key, device, numel)`; the device it was saved from means nothing here.
    /// The legacy format adds a view into the storage, which is always `None` in state dicts, and
    /// has `("module", class, …)` for classes of modules.
    pub(super) fn persistent_id(&mut self) -> Result<()> {
        let id = self.pop()?;
        let parts: &[Id] = match self.value(id) {
            Value::Tuple(parts) => parts,
            _ => &[],
        };
        let named =
            |id: Id, name: &str| matches!(self.value(id), Value::Str(kind) if &**kind == name);
        let value = match *parts {
            [kind, class, key, _device, numel, ref view @ ..] if named(kind, "storage") => {
                let whole = match *view {
                    [] => true,
                    [view] => matches!(self.value(view), Value::None),
                    _ => false,
                };
                match (self.value(class), self.value(key)) {
                    (Value::Global(Global::Storage(dtype)), Value::Str(key))
                        if whole && key.len() <= MAX_KEY =>
                    {
                        Some(Value::Storage(Box::new(StorageRef {
                            key: key.clone(),
                            dtype: *dtype,
                            elements: self.size(numel)?,
                        })))
                    }
                    (Value::Global(Global::Class(class)), _) => Some(object(class.clone())),
                    _ => None,
                }
            }
            [kind, class, ..] if named(kind, "module") => return self.push_id(class),
            _ => None,
        };
        match value {
            Some(value) => self.push(value),
            None if self.is_lenient() => self.push(Value::Opaque),
            None => Err(self.input.error("a persistent id that is no storage")),
        }
    }
}

/// What a call gives.
enum Called {
    /// One of its arguments.
    Argument(Id),
    New(Value),
}

fn object(class: Arc<str>) -> Value {
    Value::Object(Box::new(Object {
        class,
        state: None,
        items: Vec::new(),
    }))
}
