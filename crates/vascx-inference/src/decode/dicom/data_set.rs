//! The elements of a DICOM file that are asked for (PS3.5, PS3.10); all others are passed over unread.
//!
//! Values stay where they lie in the file, sequences are passed over by counting and not by recursion,
//! and data that is compressed as a whole is inflated up to a limit: a small file neither takes much
//! memory nor ends the process.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::super::Result;
use super::uids;

/// Group and element.
pub(super) type Tag = (u16, u16);

/// The picture.
pub(super) const PIXEL_DATA: Tag = (0x7fe0, 0x0010);
const ITEM: Tag = (0xfffe, 0xe000);
const END_OF_ITEM: Tag = (0xfffe, 0xe00d);
const END_OF_SEQUENCE: Tag = (0xfffe, 0xe0dd);
/// The length of what ends with a delimiter.
const UNDEFINED: u32 = u32::MAX;
/// Kinds of value whose length has four bytes.
const LONG: [[u8; 2]; 13] = [
    *b"OB", *b"OD", *b"OF", *b"OL", *b"OV", *b"OW", *b"SQ", *b"SV", *b"UC", *b"UN", *b"UR", *b"UT",
    *b"UV",
];

/// A file whose header is read.
pub(super) struct File<'a> {
    /// The transfer syntax.
    pub(super) syntax: String,
    data: Cow<'a, [u8]>,
}

/// Elements of a data set.
pub(super) struct DataSet<'a> {
    big_endian: bool,
    values: BTreeMap<Tag, Value<'a>>,
}

enum Value<'a> {
    Plain {
        kind: [u8; 2],
        bytes: &'a [u8],
    },
    /// The items of compressed pixel data behind the table of their offsets.
    Fragments(Vec<&'a [u8]>),
    /// Not looked into.
    Sequence,
}

impl<'a> File<'a> {
    /// Reads the file header, elements of group 2 behind a preamble or at once; data that is compressed
    /// as a whole is inflated up to `most` bytes.
    pub(super) fn open(file: &'a [u8], most: u64) -> Result<Self> {
        let behind_preamble = file.get(128..132) == Some(b"DICM");
        let mut rest = Bytes {
            rest: &file[if behind_preamble { 132 } else { 0 }..],
            big_endian: false,
            explicit: true,
        };
        let mut syntax = None;
        while rest.rest.starts_with(&[2, 0]) {
            let header = rest.element()?;
            let value = rest.take(header.length)?;
            if header.tag == (2, 0x10) {
                let name = String::from_utf8_lossy(value);
                syntax = Some(name.trim_matches(['\0', ' ']).to_owned());
            }
        }
        let syntax = syntax.ok_or_else(damaged)?;
        let mut data = Cow::Borrowed(rest.rest);
        if syntax == uids::DEFLATED {
            let mut inflated = Vec::new();
            // What is missing at the end is missed below, if it is wanted.
            let _ = DeflateDecoder::new(rest.rest)
                .take(most)
                .read_to_end(&mut inflated);
            data = Cow::Owned(inflated);
        }
        Ok(Self { syntax, data })
    }

    /// The elements of these tags, which ascend; none behind the last is looked at.
    pub(super) fn elements(&self, wanted: &[Tag]) -> Result<DataSet<'_>> {
        let big_endian = self.syntax == uids::EXPLICIT_BIG_ENDIAN;
        let mut rest = Bytes {
            rest: &self.data,
            big_endian,
            explicit: self.syntax != uids::IMPLICIT_LITTLE_ENDIAN,
        };
        let mut values = BTreeMap::new();
        let last = wanted.last().copied().unwrap_or_default();
        while !rest.rest.is_empty() {
            let header = rest.element()?;
            if header.tag > last {
                break;
            }
            let value = match header.length {
                UNDEFINED if header.tag == PIXEL_DATA => Value::Fragments(rest.fragments()?),
                UNDEFINED => {
                    rest.pass_sequence(header.kind)?;
                    Value::Sequence
                }
                length => {
                    let bytes = rest.take(length)?;
                    match &header.kind {
                        b"SQ" => Value::Sequence,
                        kind => Value::Plain { kind: *kind, bytes },
                    }
                }
            };
            if wanted.contains(&header.tag) {
                values.insert(header.tag, value);
            }
        }
        Ok(DataSet { big_endian, values })
    }
}

impl DataSet<'_> {
    /// Whether there is such an element.
    pub(super) fn has(&self, tag: Tag) -> bool {
        self.values.contains_key(&tag)
    }

    /// A value's bytes as they are.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match self.values.get(&tag)? {
            Value::Plain { bytes, .. } => Some(bytes),
            Value::Fragments(_) | Value::Sequence => None,
        }
    }

    /// The fragments of compressed pixel data.
    pub(super) fn fragments(&self) -> Option<&[&[u8]]> {
        match self.values.get(&PIXEL_DATA)? {
            Value::Fragments(fragments) => Some(fragments),
            Value::Plain { .. } | Value::Sequence => None,
        }
    }

    /// Whether the bytes of a value stand in pairs of which the first is the higher.
    pub(super) fn is_swapped(&self, tag: Tag) -> bool {
        let plain = |value: &Value| matches!(value, Value::Plain { kind, .. } if kind == b"OW");
        self.big_endian && self.values.get(&tag).is_some_and(plain)
    }

    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.bytes(tag)?);
        Some(text.trim_matches(['\0', ' ']).to_owned())
    }

    /// The first of several numbers in digits.
    pub(super) fn decimal(&self, tag: Tag) -> Option<f64> {
        let text = self.text(tag)?;
        text.split('\\').next()?.trim().parse().ok()
    }

    /// 16-bit values.
    pub(super) fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        let word = if self.big_endian {
            u16::from_be_bytes
        } else {
            u16::from_le_bytes
        };
        let pairs = self.bytes(tag)?.as_chunks().0;
        Some(pairs.iter().map(|&pair| word(pair)).collect())
    }

    /// The first of them.
    pub(super) fn word(&self, tag: Tag) -> Option<u16> {
        self.words(tag)?.first().copied()
    }
}

/// What stands before a value.
struct Header {
    tag: Tag,
    /// Spaces where the data does not say.
    kind: [u8; 2],
    length: u32,
}

/// What is not read yet.
struct Bytes<'a> {
    rest: &'a [u8],
    big_endian: bool,
    explicit: bool,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, length: u32) -> Result<&'a [u8]> {
        let parts = self.rest.split_at_checked(length as usize);
        let (value, rest) = parts.ok_or_else(damaged)?;
        self.rest = rest;
        Ok(value)
    }

    fn word(&mut self) -> Result<u16> {
        let bytes = *self.take(2)?.first_chunk().ok_or_else(damaged)?;
        Ok(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn long(&mut self) -> Result<u32> {
        let bytes = *self.take(4)?.first_chunk().ok_or_else(damaged)?;
        Ok(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// The header of the next element, or an item or delimiter.
    fn element(&mut self) -> Result<Header> {
        let tag = (self.word()?, self.word()?);
        if !self.explicit || tag.0 == ITEM.0 {
            let length = self.long()?;
            return Ok(Header {
                tag,
                kind: *b"  ",
                length,
            });
        }
        let kind = *self.take(2)?.first_chunk().ok_or_else(damaged)?;
        if !kind.iter().all(u8::is_ascii_uppercase) {
            return Err(damaged());
        }
        let length = if LONG.contains(&kind) {
            self.take(2)?;
            self.long()?
        } else {
            self.word()?.into()
        };
        Ok(Header { tag, kind, length })
    }

    /// The items of compressed pixel data; the first, a table of offsets, says nothing of one frame.
    fn fragments(&mut self) -> Result<Vec<&'a [u8]>> {
        let mut items = Vec::new();
        loop {
            let header = self.element()?;
            match header.tag {
                ITEM => items.push(self.take(header.length)?),
                END_OF_SEQUENCE => break,
                _ => return Err(damaged()),
            }
        }
        Ok(items.into_iter().skip(1).collect())
    }

    /// Passes over a sequence up to its delimiter. In one of unknown kind no value has a kind.
    fn pass_sequence(&mut self, kind: [u8; 2]) -> Result<()> {
        let explicit = self.explicit;
        // Sequences that are open, and how many were when kinds ceased to be written.
        let mut open = 1_usize;
        let mut without_kinds = (kind == *b"UN").then_some(1);
        while open > 0 {
            self.explicit = explicit && without_kinds.is_none();
            let header = self.element()?;
            match (header.tag, header.length) {
                (END_OF_SEQUENCE, _) => {
                    if without_kinds == Some(open) {
                        without_kinds = None;
                    }
                    open -= 1;
                }
                // Its elements follow.
                (ITEM, UNDEFINED) | (END_OF_ITEM, _) => {}
                (_, UNDEFINED) => {
                    open += 1;
                    if header.kind == *b"UN" {
                        without_kinds.get_or_insert(open);
                    }
                }
                (_, length) => {
                    self.take(length)?;
                }
            }
        }
        self.explicit = explicit;
        Ok(())
    }
}

fn damaged() -> String {
    "the DICOM file is damaged, cut short or without its file header".into()
}
