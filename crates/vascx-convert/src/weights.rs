//! Named f32 tensors, in memory after a conversion or memory-mapped from a model directory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, View};
use safetensors::{SafeTensors, serialize_to_file};
use vascx_models::{MappedFile, Precision};

use crate::error::{Error, Result};
use crate::inspect::TensorInfo;
use crate::tensor::HostTensor;

/// What [`TensorInfo::dtype`] says of a type that no model directory has.
const UNSUPPORTED: &str = "unsupported";

/// Fewest bytes of a tensor that are worth leaving in the file: many pages.
const LEAST_SHARED_BYTES: usize = 64 << 10;

/// The weights of a model.
pub(crate) enum Weights {
    Memory(BTreeMap<String, HostTensor>),
    Mapped {
        file: MappedFile,
        metadata: Metadata,
        data_start: usize,
    },
}

impl Weights {
    /// Maps a `weights.safetensors`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path).map_err(|error| Error::from(error).in_file(path))?;
        let (header, metadata) = SafeTensors::read_metadata(&file).map_err(|error| {
            Error::ModelDirectory(format!("not a safetensors file: {error}")).in_file(path)
        })?;
        // The header is preceded by its length in eight bytes.
        Ok(Self::Mapped {
            file,
            metadata,
            data_start: header + 8,
        })
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Memory(tensors) => tensors.keys().cloned().collect(),
            Self::Mapped { metadata, .. } => {
                let mut names: Vec<_> = metadata.tensors().into_keys().collect();
                names.sort_unstable();
                names
            }
        }
    }

    /// Name, shape and stored element type of every tensor, sorted by name.
    pub(crate) fn stored(&self) -> Vec<TensorInfo> {
        let info = |name: &String| match self {
            Self::Memory(tensors) => (tensors[name].shape.clone(), "f32"),
            Self::Mapped { metadata, .. } => {
                let info = metadata.info(name).expect("`names` lists what exists");
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
            Self::Mapped {
                file,
                metadata,
                data_start,
            } => {
                let Some(info) = metadata.info(name) else {
                    return Ok(None);
                };
                let (start, end) = info.data_offsets;
                let bytes = &file[data_start + start..data_start + end];
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
        }
    }

    /// The same for a device. What is long and stored as it is needed stays in the file.
    pub(crate) fn data(&self, name: &str) -> Result<Option<TensorData>> {
        if let Self::Mapped {
            file,
            metadata,
            data_start,
        } = self
            && let Some(info) = metadata.info(name)
        {
            let (start, end) = info.data_offsets;
            let range = data_start + start..data_start + end;
            let as_needed = info.dtype == Dtype::F32 && cfg!(target_endian = "little");
            let aligned = file[range.clone()]
                .as_ptr()
                .addr()
                .is_multiple_of(align_of::<f32>());
            if as_needed && aligned && range.len() >= LEAST_SHARED_BYTES {
                let bytes = file.share(range);
                let data = TensorData::from_bytes(bytes, info.shape.clone(), DType::F32);
                return Ok(Some(data));
            }
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
