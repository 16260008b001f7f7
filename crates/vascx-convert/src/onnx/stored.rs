//! Tensors of an ONNX file: checked descriptions and their values.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};
use vascx_format::HostTensor;

use super::message::Tensor;
use crate::error::{Error, Result};
use crate::tensor::{DType, StorageRef, TensorRef};

/// A tensor of the file whose size is known to be possible.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    tensor: &'a Tensor<'a>,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) elements: usize,
}

impl<'a> Stored<'a> {
    pub(super) fn new(tensor: &'a Tensor<'a>) -> std::result::Result<Self, String> {
        let dtype = match tensor.code {
            1 => DType::F32,
            2 => DType::U8,
            3 => DType::I8,
            5 => DType::I16,
            6 => DType::I32,
            7 => DType::I64,
            9 => DType::Bool,
            10 => DType::F16,
            11 => DType::F64,
            16 => DType::BF16,
            other => return Err(format!("elements of type {other} are not supported")),
        };
        let impossible = || format!("shape {:?} is impossible", tensor.sizes);
        let shape = tensor
            .sizes
            .iter()
            .map(|&size| usize::try_from(size).map_err(|_| impossible()))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size))
            .filter(|elements| elements.checked_mul(dtype.size()).is_some())
            .ok_or_else(impossible)?;
        Ok(Self {
            tensor,
            dtype,
            shape,
            elements,
        })
    }

    pub(super) fn is_float(&self) -> bool {
        use DType::{BF16, F16, F32, F64};
        matches!(self.dtype, F64 | F32 | F16 | BF16)
    }

    /// The bytes, exactly as many as the shape needs. `folder` is where the file lies.
    fn bytes(&self, folder: Option<&Path>) -> Result<Cow<'a, [u8]>> {
        let tensor = self.tensor;
        let invalid = |reason: String| Error::tensor(tensor.name, reason);
        let length = self.elements * self.dtype.size();
        let bytes = if !tensor.external.is_empty() {
            Cow::Owned(external(tensor, length, folder)?)
        } else if let Some(raw) = tensor.raw {
            Cow::Borrowed(raw)
        } else if !tensor.floats.is_empty() {
            Cow::Borrowed(&tensor.floats[..])
        } else {
            let width = self.dtype.size();
            let bytes = tensor.ints.iter().flat_map(|value| {
                let bytes = value.to_le_bytes();
                bytes.into_iter().take(width)
            });
            Cow::Owned(bytes.collect())
        };
        if bytes.len() != length {
            return Err(invalid(format!(
                "shape {:?} of {} takes {length} bytes, there are {}",
                self.shape,
                self.dtype.name(),
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// The values as f32, row by row.
    pub(super) fn values(&self, folder: Option<&Path>) -> Result<HostTensor> {
        let bytes = self.bytes(folder)?;
        let mut stride = vec![1; self.shape.len()];
        for axis in (1..stride.len()).rev() {
            stride[axis - 1] = self.shape[axis].saturating_mul(stride[axis]);
        }
        let storage = StorageRef {
            key: self.tensor.name.into(),
            dtype: self.dtype,
            elements: self.elements,
        };
        let view = TensorRef {
            storage,
            offset: 0,
            shape: self.shape.clone(),
            stride,
        };
        view.gather(self.tensor.name, &bytes)
    }

    /// The values of integers and truth values.
    pub(super) fn integers(&self, folder: Option<&Path>) -> Result<Vec<i64>> {
        let bytes = self.bytes(folder)?;
        let signed = !matches!(self.dtype, DType::U8 | DType::Bool);
        let chunks = bytes.chunks_exact(self.dtype.size());
        Ok(chunks
            .map(|chunk| {
                let negative = signed && chunk[chunk.len() - 1] & 0x80 != 0;
                let mut all = [if negative { 0xff } else { 0 }; 8];
                all[..chunk.len()].copy_from_slice(chunk);
                i64::from_le_bytes(all)
            })
            .collect())
    }
}

/// Values kept in a file beside the model, which may be nowhere else.
fn external(tensor: &Tensor, length: usize, folder: Option<&Path>) -> Result<Vec<u8>> {
    let invalid = |reason: String| Error::tensor(tensor.name, reason);
    let entry = |key: &str| {
        let found = tensor.external.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| *value)
    };
    let location = entry("location").unwrap_or_default();
    let mut parts = Path::new(location).components();
    let (Some(Component::Normal(_)), None, Some(folder)) = (parts.next(), parts.next(), folder)
    else {
        return Err(invalid(format!(
            "its values are in `{location}`; only a file beside the model is read"
        )));
    };
    let number = |key: &str, default: u64| match entry(key) {
        None => Ok(default),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| invalid(format!("`{key}` of its values is `{text}`"))),
    };
    let offset = number("offset", 0)?;
    let declared = number("length", length as u64)?;
    let mut file = File::open(folder.join(location))
        .map_err(|error| invalid(format!("cannot open `{location}`: {error}")))?;
    let available = file.metadata()?.len().saturating_sub(offset);
    if declared != length as u64 || declared > available {
        return Err(invalid(format!(
            "takes {length} bytes; {declared} are declared and {available} are in `{location}`"
        )));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
