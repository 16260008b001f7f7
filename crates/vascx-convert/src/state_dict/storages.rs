//! Where the values of a state dict lie, in each of the formats.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use safetensors::{Dtype, SafeTensors};
use vascx_format::HostTensor;

use super::Tensors;
use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::tensor::{DType, LastStorage, StorageRef, TensorRef};

/// The bytes of storages by key.
pub(super) struct Storages<R> {
    place: Place<R>,
    last: LastStorage,
}

enum Place<R> {
    /// Entries `data/<key>`.
    Archive(Box<Archive<R>>),
    /// Ranges of the file.
    Ranges {
        reader: R,
        ranges: BTreeMap<String, Range<u64>>,
    },
    /// Several files; see [`in_part`].
    Parts(Vec<Storages<R>>),
}

/// The key of a storage in one of several files.
pub(super) fn in_part(part: usize, key: &str) -> Box<str> {
    format!("{part}/{key}").into()
}

impl<R: Read + Seek> Storages<R> {
    /// Those of several files, whose keys are made with [`in_part`].
    pub(super) fn parts(parts: Vec<Self>) -> Self {
        Self::new(Place::Parts(parts))
    }

    pub(super) fn archive(archive: Archive<R>) -> Self {
        Self::new(Place::Archive(Box::new(archive)))
    }

    /// Storages at ranges that lie inside the file.
    pub(super) fn ranges(reader: R, ranges: BTreeMap<String, Range<u64>>) -> Self {
        Self::new(Place::Ranges { reader, ranges })
    }

    fn new(place: Place<R>) -> Self {
        Self {
            place,
            last: LastStorage::default(),
        }
    }

    /// Storages and tensors of a safetensors file; every tensor has its own storage.
    pub(super) fn safetensors(mut reader: R) -> Result<(Self, Tensors)> {
        let foreign = |reason: String| Error::Foreign {
            expected: "safetensors file",
            reason,
        };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| foreign(error.to_string()))?;
        let mut ranges = BTreeMap::new();
        let mut tensors = Tensors::new();
        for (name, info) in metadata.tensors() {
            let dtype = from_safetensors(info.dtype).ok_or_else(|| {
                Error::tensor(
                    &name,
                    format!("element type {:?} is not supported", info.dtype),
                )
            })?;
            // The header is preceded by its length in eight bytes.
            let place = |offset: usize| (8 + header + offset) as u64;
            ranges.insert(
                name.clone(),
                place(info.data_offsets.0)..place(info.data_offsets.1),
            );
            tensors.insert(name.clone(), contiguous(&name, dtype, &info.shape)?);
        }
        Ok((Self::ranges(reader, ranges), tensors))
    }

    /// The values of a tensor.
    pub(super) fn tensor(&mut self, name: &str, tensor: &TensorRef) -> Result<HostTensor> {
        let key = &tensor.storage.key;
        let place = &mut self.place;
        if let Place::Parts(parts) = place {
            let part = key.split_once('/').and_then(|(part, key)| {
                let part = parts.get_mut(part.parse::<usize>().ok()?)?;
                Some((part, key))
            });
            let (part, key) = part.ok_or_else(|| Error::tensor(name, "lies in no file"))?;
            let mut inner = tensor.clone();
            inner.storage.key = key.into();
            return part.tensor(name, &inner);
        }
        self.last.gather(name, tensor, |length| match place {
            Place::Archive(archive) => archive.read_storage(&format!("data/{key}"), length),
            Place::Parts(_) => unreachable!("handled above"),
            Place::Ranges { reader, ranges } => {
                let range = ranges
                    .get(&**key)
                    .ok_or_else(|| Error::tensor(name, format!("storage `{key}` is missing")))?;
                let held = range.end - range.start;
                if held != length {
                    let reason =
                        format!("storage `{key}` holds {held} bytes, its tensors declare {length}");
                    return Err(Error::tensor(name, reason));
                }
                reader.seek(SeekFrom::Start(range.start))?;
                // The range lies inside the file, so this is no more than the file has.
                let mut bytes = vec![0; held as usize];
                reader.read_exact(&mut bytes)?;
                Ok(bytes)
            }
        })
    }
}

/// A row-major tensor that fills its storage.
fn contiguous(name: &str, dtype: DType, shape: &[usize]) -> Result<TensorRef> {
    let mut stride = vec![1; shape.len()];
    let mut elements = 1_usize;
    for (axis, &size) in shape.iter().enumerate().rev() {
        stride[axis] = elements;
        elements = elements
            .checked_mul(size)
            .ok_or_else(|| Error::tensor(name, "impossibly large"))?;
    }
    Ok(TensorRef {
        storage: StorageRef {
            key: name.into(),
            dtype,
            elements,
        },
        offset: 0,
        shape: shape.to_vec(),
        stride,
    })
}

fn from_safetensors(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
