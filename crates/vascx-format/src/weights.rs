//! Named f32 tensors, in memory after a conversion or in a private copy of a model directory's file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo as StoredInfo, View};
use safetensors::{SafeTensors, serialize_to_file};
use sha2::{Digest, Sha256};
use vascx_graph::{MappedFile, Precision};

use crate::error::{Error, Result};
use crate::hash::hexadecimal;
use crate::tensor::{HostTensor, TensorInfo};

/// What [`TensorInfo::dtype`] says of a type that no model directory has.
const UNSUPPORTED: &str = "unsupported";

/// Fewest bytes of a tensor that are worth leaving in the file: many pages.
const LEAST_SHARED_BYTES: usize = 64 << 10;

/// The weights of a model.
pub(crate) enum Weights {
    Memory(BTreeMap<String, HostTensor>),
    Mapped(Mapped),
}

/// A `weights.safetensors`.
pub(crate) struct Mapped {
    file: MappedFile,
    /// Of the file.
    sha256: String,
    metadata: Metadata,
    data_start: usize,
}

impl Mapped {
    fn read(from: impl Read) -> Result<Self> {
        let mut hash = Sha256::new();
        let file = MappedFile::copy(from, |part| hash.update(part)).map_err(|error| {
            let folder = std::env::temp_dir();
            let reason = format!("{error}; a copy of it is made in {}", folder.display());
            io::Error::new(error.kind(), reason)
        })?;
        let (header, metadata) = SafeTensors::read_metadata(&file)
            .map_err(|error| Error::ModelDirectory(format!("not a safetensors file: {error}")))?;
        Ok(Self {
            file,
            sha256: hexadecimal(&hash.finalize()),
            metadata,
            // The header is preceded by its length in eight bytes.
            data_start: header + 8,
        })
    }

    /// What is said of a tensor, and where in the file it is.
    fn find(&self, name: &str) -> Option<(&StoredInfo, Range<usize>)> {
        let info = self.metadata.info(name)?;
        let (start, end) = info.data_offsets;
        Some((info, self.data_start + start..self.data_start + end))
    }

    fn tensor(&self, name: &str) -> Result<Option<HostTensor>> {
        let Some((info, range)) = self.find(name) else {
            return Ok(None);
        };
        let bytes = &self.file[range];
        let values = match info.dtype {
            Dtype::F32 => decode(bytes, f32::from_le_bytes),
            Dtype::F16 => decode(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => decode(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            other => {
                let reason = format!("holds {other:?}, expected F32, F16 or BF16");
                return Err(Error::tensor(name, reason));
            }
        };
        Ok(Some(HostTensor {
            shape: info.shape.clone(),
            values,
        }))
    }

    /// A tensor where it lies, if that is as devices need it and worth it.
    fn share(&self, name: &str) -> Option<TensorData> {
        let (info, range) = self.find(name)?;
        let is_f32 = info.dtype == Dtype::F32 && cfg!(target_endian = "little");
        let address = self.file[range.clone()].as_ptr().addr();
        let is_aligned = address.is_multiple_of(align_of::<f32>());
        (is_f32 && is_aligned && range.len() >= LEAST_SHARED_BYTES).then(|| {
            let bytes = self.file.share(range);
            TensorData::from_bytes(bytes, info.shape.clone(), DType::F32)
        })
    }
}

impl Weights {
    /// Maps a copy of a `weights.safetensors`.
    pub(crate) fn read(from: impl Read) -> Result<Self> {
        Ok(Self::Mapped(Mapped::read(from)?))
    }

    /// Hash of the file; none where there is no file of their own.
    pub(crate) fn sha256(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::Mapped(mapped) => Some(mapped.sha256.clone()),
        }
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Memory(tensors) => tensors.keys().cloned().collect(),
            Self::Mapped(mapped) => {
                let mut names: Vec<_> = mapped.metadata.tensors().into_keys().collect();
                names.sort_unstable();
                names
            }
        }
    }

    /// Name, shape and stored element type of every tensor, sorted by name.
    pub(crate) fn stored(&self) -> Vec<TensorInfo> {
        let info = |name: &String| match self {
            Self::Memory(tensors) => (tensors[name].shape.clone(), "f32"),
            Self::Mapped(mapped) => {
                let info = mapped
                    .metadata
                    .info(name)
                    .expect("`names` lists what exists");
                let dtype = match info.dtype {
                    Dtype::F32 => "f32",
                    Dtype::F16 => "f16",
                    Dtype::BF16 => "bf16",
                    _ => UNSUPPORTED,
                };
                (info.shape.clone(), dtype)
            }
        };
        self.names()
            .into_iter()
            .map(|name| {
                let (shape, dtype) = info(&name);
                TensorInfo { name, shape, dtype }
            })
            .collect()
    }

    /// The tensor in f32, or `None` when there is none of that name.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<HostTensor>> {
        match self {
            Self::Memory(tensors) => Ok(tensors.get(name).cloned()),
            Self::Mapped(mapped) => mapped.tensor(name),
        }
    }

    /// The same for a device. What is long and stored as it is needed stays in the file.
    pub(crate) fn data(&self, name: &str) -> Result<Option<TensorData>> {
        if let Self::Mapped(mapped) = self
            && let Some(shared) = mapped.share(name)
        {
            return Ok(Some(shared));
        }
        let tensor = self.tensor(name)?;
        Ok(tensor.map(|tensor| TensorData::new(tensor.values, tensor.shape)))
    }

    /// Writes a safetensors file. Tensors are encoded one at a time as they are written.
    pub(crate) fn save(&self, path: &Path, dtype: Precision) -> Result<()> {
        let stored = self.stored();
        if let Some(info) = stored.iter().find(|info| info.dtype == UNSUPPORTED) {
            self.tensor(&info.name)?;
        }
        let views = stored.into_iter().map(|TensorInfo { name, shape, .. }| {
            let tensor = Encoded {
                weights: self,
                name: name.clone(),
                shape,
                dtype,
            };
            (name, tensor)
        });
        let about = [("format".to_owned(), "vascx".to_owned())].into();
        serialize_to_file(views, Some(about), path).map_err(|error| {
            Error::ModelDirectory(format!("cannot write weights: {error}")).in_file(path)
        })
    }
}

/// A tensor on its way into a safetensors file.
struct Encoded<'a> {
    weights: &'a Weights,
    name: String,
    shape: Vec<usize>,
    dtype: Precision,
}

impl View for Encoded<'_> {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
            Precision::BF16 => Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = self.weights.tensor(&self.name);
        let tensor = tensor.expect("`save` looked for tensors that cannot be read");
        let values = tensor.expect("`stored` lists what exists").values;
        let mut bytes = Vec::with_capacity(self.data_len());
        for value in values {
            match self.dtype {
                Precision::F32 => bytes.extend(value.to_le_bytes()),
                Precision::F16 => bytes.extend(f16::from_f32(value).to_le_bytes()),
                Precision::BF16 => bytes.extend(bf16::from_f32(value).to_le_bytes()),
            }
        }
        bytes.into()
    }

    fn data_len(&self) -> usize {
        let elements: usize = self.shape.iter().product();
        elements * self.dtype().bitsize() / 8
    }
}

/// The value as it comes back from a file of this element type.
pub(crate) fn rounded(value: f32, dtype: Precision) -> f32 {
    match dtype {
        Precision::F32 => value,
        Precision::F16 => f16::from_f32(value).to_f32(),
        Precision::BF16 => bf16::from_f32(value).to_f32(),
    }
}

fn decode<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| convert(chunk))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one tensor of ascending values, whose header is filled up with spaces.
    fn weights(length: usize, spaces: usize) -> Mapped {
        let end = 4 * length;
        let header =
            format!(r#"{{"a":{{"dtype":"F32","shape":[{length}],"data_offsets":[0,{end}]}}}}"#);
        let header = header + &" ".repeat(spaces);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend((0..length).flat_map(|value| (value as f32).to_le_bytes()));
        Mapped::read(&bytes[..]).unwrap()
    }

    #[test]
    fn long_tensors_stay_in_the_file_where_they_are_aligned() {
        let enough = LEAST_SHARED_BYTES / 4;
        let mut shared = Vec::new();
        for (length, spaces) in [0, 1, 2, 3].map(|spaces| (enough, spaces)) {
            let mapped = weights(length, spaces);
            let range = mapped.file.as_ptr_range();
            let data = mapped.share("a");
            shared.push(data.is_some());
            if let Some(data) = data {
                assert!(range.contains(&data.bytes.as_ptr()));
            }
            let expected: Vec<f32> = (0..length).map(|value| value as f32).collect();
            let data = Weights::Mapped(mapped).data("a").unwrap().unwrap();
            assert_eq!(data.to_vec::<f32>().unwrap(), expected);
        }
        // One of four lengths of the header leaves the values on an address for f32.
        assert_eq!(shared.iter().filter(|&&shared| shared).count(), 1);
        let short = (0..4).map(|spaces| weights(enough - 1, spaces));
        assert!(short.into_iter().all(|mapped| mapped.share("a").is_none()));
    }
}
