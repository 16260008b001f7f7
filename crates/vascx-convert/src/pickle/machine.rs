//! The pickle stack machine.

use std::collections::HashMap;

use super::{Global, Id, Pickle, Value};
use crate::error::{Error, Result};
use crate::tensor::{StorageRef, TensorRef};

/// Values a pickle may hold. A five-member ensemble of thousand-layer networks needs about 200 000.
const MAX_VALUES: usize = 2_000_000;

/// Longest shape of a tensor; PyTorch itself stops at 64.
const MAX_RANK: usize = 8;

/// Parses the pickle `bytes` of archive entry `entry`.
pub(crate) fn parse(entry: &str, bytes: &[u8]) -> Result<Pickle> {
    Ok(parse_first(entry, bytes)?.0)
}

/// Parses the pickle that `bytes` begin with; also returns its length.
pub(crate) fn parse_first(entry: &str, bytes: &[u8]) -> Result<(Pickle, usize)> {
    let mut machine = Machine {
        input: Input {
            entry,
            bytes,
            position: 0,
        },
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let pickle = Pickle {
        values: machine.values,
        root,
    };
    Ok((pickle, machine.input.position))
}

/// The bytes and how far they were read.
struct Input<'a> {
    entry: &'a str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Input<'a> {
    fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::entry(self.entry, format!("byte {}: {reason}", self.position))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(count);
        let Some(slice) = end.and_then(|end| self.bytes.get(self.position..end)) else {
            return Err(self.error("ends early"));
        };
        self.position += count;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let slice = self.take(N)?;
        Ok(slice
            .try_into()
            .expect("`take` gives as many bytes as asked for"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn text(&mut self, length: usize) -> Result<&'a str> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a string is not UTF-8"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(self.error("ends inside a line"));
        };
        let line = self.text(length)?;
        self.position += 1;
        Ok(line)
    }
}

struct Machine<'a> {
    input: Input<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id> {
        loop {
            match self.input.byte()? {
                // PROTO
                0x80 => {
                    let version = self.input.byte()?;
                    if version > 4 {
                        return Err(self.input.error(format!("pickle protocol {version}")));
                    }
                }
                b'.' => return self.pop(), // STOP
                b'N' => self.push(Value::None)?,
                opcode @ (0x88 | 0x89) => self.push(Value::Bool(opcode == 0x88))?,
                b'K' => {
                    let value = self.input.byte()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    let value = f64::from_be_bytes(self.input.array()?);
                    self.push(Value::Float(value))?;
                }
                b'X' => {
                    let length = self.input.u32()? as usize;
                    self.string(length)?;
                }
                0x8c => {
                    let length = self.input.byte()? as usize;
                    self.string(length)?;
                }
                b'(' => self.mark()?,
                b')' => self.push(Value::Tuple(Box::default()))?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.push(Value::Tuple(items.into()))?;
                }
                opcode @ 0x85..=0x87 => {
                    let items = self.pop_many(usize::from(opcode - 0x84))?;
                    self.push(Value::Tuple(items.into()))?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(&[item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?;
                    self.extend_list(&items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b's' => {
                    let items = self.pop_many(2)?;
                    self.extend_dict(&items)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.extend_dict(&items)?;
                }
                b'q' => {
                    let slot = self.input.byte()?.into();
                    self.put(slot)?;
                }
                b'r' => {
                    let slot = self.input.u32()?;
                    self.put(slot)?;
                }
                b'h' => {
                    let slot = self.input.byte()?.into();
                    self.get(slot)?;
                }
                b'j' => {
                    let slot = self.input.u32()?;
                    self.get(slot)?;
                }
                b'c' => self.global()?,
                0x81 => self.new_object()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => self.persistent_id()?,
                opcode => {
                    self.input.position -= 1;
                    return Err(self
                        .input
                        .error(format!("unexpected pickle opcode {opcode:#04x}")));
                }
            }
        }
    }

    fn push(&mut self, value: Value) -> Result<()> {
        if self.values.len() >= MAX_VALUES {
            return Err(self.input.error(format!("more than {MAX_VALUES} values")));
        }
        let id = Id(self.values.len() as u32);
        self.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= MAX_VALUES {
            return Err(self.input.error("the stack overflows"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Height below which the innermost open mark forbids to pop.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(self.input.error("the stack is empty")),
        }
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= MAX_VALUES {
            return Err(self.input.error("too many open marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let start = self
            .marks
            .pop()
            .ok_or_else(|| self.input.error("no open mark"))?;
        Ok(self.stack.split_off(start))
    }

    fn top(&mut self) -> Result<Id> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }

    fn value(&self, id: Id) -> &Value {
        &self.values[id.0 as usize]
    }

    fn put(&mut self, slot: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(slot, top);
        if self.memo.len() > MAX_VALUES {
            return Err(self.input.error("too many memo slots"));
        }
        Ok(())
    }

    fn get(&mut self, slot: u32) -> Result<()> {
        let id = self.memo.get(&slot).copied();
        let id = id.ok_or_else(|| self.input.error(format!("memo slot {slot} is empty")))?;
        self.push_id(id)
    }

    fn string(&mut self, length: usize) -> Result<()> {
        let text = self.input.text(length)?;
        self.push(Value::Str(text.into()))
    }

    /// LONG1: a little-endian two's-complement integer of up to 255 bytes.
    fn long(&mut self) -> Result<()> {
        let length = self.input.byte()? as usize;
        let bytes = self.input.take(length)?;
        if length > 8 {
            return Err(self.input.error("an integer of more than 64 bits"));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn extend_list(&mut self, items: &[Id]) -> Result<()> {
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::List(list) => {
                list.extend_from_slice(items);
                Ok(())
            }
            _ => Err(self.input.error("appends to something that is no list")),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.input.error("a dictionary key lacks its value"));
        }
        let target = self.top()?;
        match &mut self.values[target.0 as usize] {
            Value::Dict(dict) => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self
                .input
                .error("sets items of something that is no dictionary")),
        }
    }

    fn global(&mut self) -> Result<()> {
        let module = self.input.line()?;
        let name = self.input.line()?;
        match Global::lookup(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Error::UnknownGlobal {
                entry: self.input.entry.to_owned(),
                global: format!("{module}.{name}"),
            }),
        }
    }

    fn new_object(&mut self) -> Result<()> {
        let operands = self.pop_many(2)?;
        let object = match (self.value(operands[0]), self.value(operands[1])) {
            (Value::Global(Global::Class(class)), Value::Tuple(arguments))
                if arguments.is_empty() =>
            {
                Value::Object {
                    class: class.clone(),
                    state: None,
                }
            }
            (Value::Global(Global::AttributeDict), Value::Tuple(arguments))
                if arguments.is_empty() =>
            {
                Value::Dict(Vec::new())
            }
            _ => {
                return Err(self
                    .input
                    .error("creates an object of something that is no class"));
            }
        };
        self.push(object)
    }

    fn build(&mut self) -> Result<()> {
        let new_state = self.pop()?;
        let target = self.top()?;
        if matches!(self.value(target), Value::Opaque) {
            return Ok(());
        }
        if !matches!(self.value(new_state), Value::Dict(_)) {
            return Err(self.input.error("an object's state is no dictionary"));
        }
        match &mut self.values[target.0 as usize] {
            Value::Object {
                state: state @ None,
                ..
            } => *state = Some(new_state),
            // The attributes of an OrderedDict (`_metadata` of a state dict) carry no tensors.
            Value::Dict(_) => {}
            _ => {
                return Err(self
                    .input
                    .error("sets the state of something that has none"));
            }
        }
        Ok(())
    }

    fn reduce(&mut self) -> Result<()> {
        let operands = self.pop_many(2)?;
        let (Value::Global(function), Value::Tuple(arguments)) =
            (self.value(operands[0]), self.value(operands[1]))
        else {
            return Err(self.input.error("calls something that is no function"));
        };
        let result = match (function, &arguments[..]) {
            (Global::RebuildTensor, &[storage, offset, shape, stride, _, _, ..]) => {
                let tensor = self.tensor(storage, offset, shape, stride)?;
                return self.push(Value::Tensor(Box::new(tensor)));
            }
            (Global::OrderedDict, []) => return self.push(Value::Dict(Vec::new())),
            (Global::Opaque, _) => return self.push(Value::Opaque),
            (Global::RebuildParameter, &[tensor, ..]) => tensor,
            (Global::TypedList, &[list]) => list,
            (Global::RestoreTypeTag, &[value, _]) => value,
            (function, arguments) => {
                let count = arguments.len();
                return Err(self
                    .input
                    .error(format!("calls {function:?} with {count} arguments")));
            }
        };
        self.push_id(result)
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, stride: Id) -> Result<TensorRef> {
        let Value::Storage(storage) = self.value(storage) else {
            return Err(self.input.error("a tensor without a storage"));
        };
        let tensor = TensorRef {
            storage: (**storage).clone(),
            offset: self.size(offset)?,
            shape: self.sizes(shape)?,
            stride: self.sizes(stride)?,
        };
        tensor
            .validate()
            .map_err(|reason| self.input.error(reason))?;
        Ok(tensor)
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

    /// `("storage", class, key, device, numel)`; the device it was saved from means nothing here.
    /// The legacy format adds a view into the storage, which is always `None` in state dicts.
    fn persistent_id(&mut self) -> Result<()> {
        let id = self.pop()?;
        let storage = match self.value(id) {
            Value::Tuple(parts) => match (&parts[..parts.len().min(5)], parts.get(5)) {
                (&[kind, class, key, _device, numel], view)
                    if view.is_none_or(|&view| matches!(self.value(view), Value::None))
                        && parts.len() <= 6 =>
                {
                    match (self.value(kind), self.value(class), self.value(key)) {
                        (
                            Value::Str(kind),
                            Value::Global(Global::Storage(dtype)),
                            Value::Str(key),
                        ) if &**kind == "storage" => Some(StorageRef {
                            key: key.clone(),
                            dtype: *dtype,
                            elements: self.size(numel)?,
                        }),
                        _ => None,
                    }
                }
                _ => None,
            },
            _ => None,
        };
        match storage {
            Some(storage) => self.push(Value::Storage(Box::new(storage))),
            None => Err(self.input.error("a persistent id that is no storage")),
        }
    }
}
