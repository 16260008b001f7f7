//! The format of `torch.save` before version 1.6: pickles one after the other, then the storages.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use super::MAX_PICKLE;
use super::storages::Storages;
use crate::error::{Error, Result};
use crate::pickle::{self, Pickle, Unknown, Value};

/// The number that such a file begins with, as `LONG1` and as text, without what a protocol puts
/// before it.
const MAGIC: [&[u8]; 2] = [
    b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
    b"L119547037146038801333356L\n.",
];
/// The only version of the format.
const PROTOCOL: i64 = 1001;

/// Length of the pickled number that such a file begins with.
pub(super) fn begins(start: &[u8]) -> Option<usize> {
    let mut rest = start;
    if let [0x80, _, after @ ..] = rest {
        rest = after;
    }
    if let [0x95, after @ ..] = rest {
        rest = after.get(8..)?;
    }
    let magic = MAGIC.iter().find(|magic| rest.starts_with(magic))?;
    Some(start.len() - rest.len() + magic.len())
}

/// The pickled object, and where its storages lie. `begin` is where the number ends, `length` that
/// of the file.
pub(super) fn read<R: Read + Seek>(
    mut reader: R,
    begin: usize,
    length: u64,
) -> Result<(Pickle, Storages<R>)> {
    let mut bytes = Vec::new();
    reader.by_ref().take(MAX_PICKLE).read_to_end(&mut bytes)?;
    let mut position = begin;
    let mut next = |name: &str| -> Result<(Pickle, usize)> {
        let rest = bytes.get(position..).unwrap_or_default();
        let (pickle, read) = pickle::parse_first(name, rest, Unknown::Opaque)?;
        position += read;
        Ok((pickle, position))
    };
    let (protocol, _) = next("protocol")?;
    if !matches!(protocol.get(protocol.root()), Value::Int(PROTOCOL)) {
        return Err(Error::entry("protocol", format!("is not {PROTOCOL}")));
    }
    let (system, _) = next("system")?;
    if !is_little_endian(&system) {
        return Err(Error::entry("system", "is not little-endian"));
    }
    let (object, _) = next("object")?;
    let (keys, mut place) = next("storage keys")?;
    let sizes = element_sizes(&object)?;
    let mut ranges = BTreeMap::new();
    let Value::List(keys_in_order) = keys.get(keys.root()) else {
        return Err(Error::entry("storage keys", "are no list"));
    };
    for &key in keys_in_order {
        let Value::Str(key) = keys.get(key) else {
            return Err(Error::entry("storage keys", "one is no text"));
        };
        let short = || Error::entry(key, "the file ends before this storage does");
        let size = *sizes
            .get(&**key)
            .ok_or_else(|| Error::entry(key, "a storage of an element type that is not known"))?;
        reader.seek(SeekFrom::Start(place as u64))?;
        let mut count = [0; 8];
        reader.read_exact(&mut count).map_err(|_| short())?;
        let start = place as u64 + 8;
        let end = u64::from_le_bytes(count)
            .checked_mul(size as u64)
            .and_then(|bytes| start.checked_add(bytes))
            .filter(|&end| end <= length)
            .ok_or_else(short)?;
        if ranges.insert(key.to_string(), start..end).is_some() {
            return Err(Error::entry(key, "is listed twice"));
        }
        place = end as usize;
    }
    if (place as u64) < length {
        let rest = length - place as u64;
        return Err(Error::entry(
            "storages",
            format!("{rest} bytes follow the last one"),
        ));
    }
    Ok((object, Storages::ranges(reader, ranges)))
}

fn is_little_endian(system: &Pickle) -> bool {
    let Value::Dict(items) = system.get(system.root()) else {
        return false;
    };
    items.iter().any(|&(key, value)| {
        let named = matches!(system.get(key), Value::Str(name) if &**name == "little_endian");
        named && matches!(system.get(value), Value::Bool(true))
    })
}

/// Bytes per element of every storage that the object refers to.
fn element_sizes(object: &Pickle) -> Result<BTreeMap<&str, usize>> {
    let mut sizes = BTreeMap::new();
    for storage in object.storages() {
        let size = storage.dtype.size();
        if sizes
            .insert(&*storage.key, size)
            .is_some_and(|other| other != size)
        {
            return Err(Error::entry(&storage.key, "has two element types"));
        }
    }
    Ok(sizes)
}
