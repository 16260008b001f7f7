//! The pickle stack machine.

use super::input::Input;
use super::{Id, Pickle, Unknown, Value};
use crate::error::Result;
use std::collections::HashMap;

/// Values a pickle may hold. A five-member ensemble of thousand-layer networks needs about 200 000.
const MAX_VALUES: usize = 2_000_000;

/// Parses the pickle `bytes` of archive entry `entry`.
pub(crate) fn parse(entry: &str, bytes: &[u8], unknown: Unknown) -> Result<Pickle> {
    Ok(parse_first(entry, bytes, unknown)?.0)
}

/// Parses the pickle that `bytes` begin with; also returns its length.
pub(crate) fn parse_first(entry: &str, bytes: &[u8], unknown: Unknown) -> Result<(Pickle, usize)> {
    let mut machine = Machine {
        input: Input {
            entry,
            bytes,
            position: 0,
        },
        unknown,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        tensors: 0,
    };
    let root = machine.run()?;
    let pickle = Pickle {
        values: machine.values,
        root,
    };
    Ok((pickle, machine.input.position))
}

pub(super) struct Machine<'a> {
    pub(super) input: Input<'a>,
    pub(super) unknown: Unknown,
    pub(super) values: Vec<Value>,
    stack: Vec<Id>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    pub(super) tensors: usize,
}

impl Machine<'_> {
    #[allow(clippy::too_many_lines)] // A table: one arm per opcode.
    fn run(&mut self) -> Result<Id> {
        loop {
            match self.input.byte()? {
                // PROTO
                0x80 => {
                    let version = self.input.byte()?;
                    if version > 5 {
                        return Err(self.input.error(format!("pickle protocol {version}")));
                    }
                }
                // FRAME: how many bytes may be read ahead.
                0x95 => {
                    self.input.take(8)?;
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
                b'I' | b'L' => self.decimal()?,
                0x8a => self.long(1)?,
                0x8b => self.long(4)?,
                b'F' => {
                    let value = self.input.number_line()?;
                    self.push(Value::Float(value))?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.input.array()?);
                    self.push(Value::Float(value))?;
                }
                b'X' => self.string(4)?,
                0x8c => self.string(1)?,
                0x8d => self.string(8)?,
                b'V' => {
                    let line = self.input.line()?;
                    self.push(Value::Str(line.into()))?;
                }
                b'S' => self.quoted()?,
                // Texts of Python 2.
                b'U' => self.bytes(1, true)?,
                b'T' => self.bytes(4, true)?,
                b'C' => self.bytes(1, false)?,
                b'B' => self.bytes(4, false)?,
                0x8e | 0x96 => self.bytes(8, false)?,
                b'(' => self.mark()?,
                b'0' => self.drop_top()?,
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.push_id(top)?;
                }
                b')' => self.push(Value::Tuple(Box::default()))?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.push(Value::Tuple(items.into()))?;
                }
                opcode @ 0x85..=0x87 => {
                    let items = self.pop_many(usize::from(opcode - 0x84))?;
                    self.push(Value::Tuple(items.into()))?;
                }
                // Lists and sets.
                b']' | 0x8f => self.push(Value::List(Vec::new()))?,
                b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.extend_list(&items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
                    self.extend_dict(&items)?;
                }
                b's' => {
                    let items = self.pop_many(2)?;
                    self.extend_dict(&items)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.extend_dict(&items)?;
                }
                b'p' => {
                    let slot = self.input.number_line()?;
                    self.put(slot)?;
                }
                b'q' => {
                    let slot = self.input.byte()?.into();
                    self.put(slot)?;
                }
                b'r' => {
                    let slot = self.input.u32()?;
                    self.put(slot)?;
                }
                0x94 => self.put(self.memo.len() as u32)?,
                b'g' => {
                    let slot = self.input.number_line()?;
                    self.get(slot)?;
                }
                b'h' => {
                    let slot = self.input.byte()?.into();
                    self.get(slot)?;
                }
                b'j' => {
                    let slot = self.input.u32()?;
                    self.get(slot)?;
                }
                b'c' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    self.global(module, name)?;
                }
                0x93 => self.stack_global()?,
                0x81 => {
                    let operands = self.pop_many(2)?;
                    self.new_object(operands[0], operands[1])?;
                }
                // With named arguments.
                0x92 => {
                    let operands = self.pop_many(3)?;
                    self.new_object(operands[0], operands[1])?;
                }
                // INST and OBJ: classes of Python 2 with their arguments.
                b'i' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    self.pop_mark()?;
                    self.global(module, name)?;
                    let class = self.pop()?;
                    self.instance(class)?;
                }
                b'o' => {
                    let operands = self.pop_mark()?;
                    let class = operands.first().copied();
                    let class = class.ok_or_else(|| self.input.error("an object of no class"))?;
                    self.instance(class)?;
                }
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'P' => self.printed_persistent_id()?,
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

    pub(super) fn push(&mut self, value: Value) -> Result<()> {
        if self.values.len() >= MAX_VALUES {
            return Err(self.input.error(format!("more than {MAX_VALUES} values")));
        }
        let id = Id(self.values.len() as u32);
        self.values.push(value);
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<()> {
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

    pub(super) fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
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

    pub(super) fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let start = self
            .marks
            .pop()
            .ok_or_else(|| self.input.error("no open mark"))?;
        Ok(self.stack.split_off(start))
    }

    /// POP takes a mark away, too, where one is on top.
    fn drop_top(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    pub(super) fn top(&mut self) -> Result<Id> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }

    pub(super) fn value(&self, id: Id) -> &Value {
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

    /// A text in UTF-8 behind its length.
    fn string(&mut self, length: usize) -> Result<()> {
        let length = self.input.length(length)?;
        let text = self.input.text(length)?;
        self.push(Value::Str(text.into()))
    }

    /// Bytes behind their length; `text` where Python 2 may have meant a text.
    fn bytes(&mut self, length: usize, text: bool) -> Result<()> {
        let length = self.input.length(length)?;
        let bytes = self.input.take(length)?;
        self.push(match std::str::from_utf8(bytes) {
            Ok(string) if text => Value::Str(string.into()),
            _ => Value::Opaque,
        })
    }

    /// STRING: a text as Python 2 prints it, which names of tensors need no escapes for.
    fn quoted(&mut self) -> Result<()> {
        let line = self.input.line()?;
        let inner = ['\'', '"']
            .iter()
            .find_map(|&quote| line.strip_prefix(quote)?.strip_suffix(quote));
        let inner = inner.ok_or_else(|| self.input.error("a text without quotes"))?;
        self.push(if inner.contains('\\') {
            Value::Opaque
        } else {
            Value::Str(inner.into())
        })
    }

    /// INT and LONG: an integer as text; `00` and `01` are truth values.
    fn decimal(&mut self) -> Result<()> {
        let line = self.input.line()?;
        let digits = line.strip_suffix('L').unwrap_or(line);
        let value = match (line, digits.parse()) {
            ("00" | "01", _) => Value::Bool(line == "01"),
            (_, Ok(value)) => Value::Int(value),
            _ if !digits.is_empty() && digits.bytes().skip(1).all(|b| b.is_ascii_digit()) => {
                Value::Opaque
            }
            _ => return Err(self.input.error("an integer without digits")),
        };
        self.push(value)
    }

    /// LONG1 and LONG4: a little-endian two's-complement integer behind its length.
    fn long(&mut self, length: usize) -> Result<()> {
        let length = self.input.length(length)?;
        let bytes = self.input.take(length)?;
        if length > 8 {
            return self.push(Value::Opaque);
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
            // The items of a queue, say.
            Value::Object(_) if self.unknown == Unknown::Opaque => Ok(()),
            _ => Err(self.input.error("appends to something that is no list")),
        }
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.input.error("a dictionary key lacks its value"));
        }
        let target = self.top()?;
        let items = match &mut self.values[target.0 as usize] {
            Value::Dict(items) => Some(items),
            Value::Object(object) if self.unknown == Unknown::Opaque => Some(&mut object.items),
            _ => None,
        };
        match items {
            Some(items) => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self
                .input
                .error("sets items of something that is no dictionary")),
        }
    }
}
