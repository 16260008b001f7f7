//! Tensors as a checkpoint describes them (a strided view of a storage) and as values.

use half::{bf16, f16};
use vascx_format::HostTensor;

use crate::error::{Error, Result};

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One byte per truth value.
    Bool,
}

impl DType {
    /// The type of a PyTorch storage class such as `FloatStorage`.
    pub(crate) fn from_storage_class(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::BF16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes per element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Lower-case name: `f32`, `i64`, `bool`, ….
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }
}

/// A storage in the archive: entry `data/<key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageRef {
    pub(crate) key: Box<str>,
    pub(crate) dtype: DType,
    pub(crate) elements: usize,
}

/// A strided view of a storage; offset and strides count elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorRef {
    pub(crate) storage: StorageRef,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) stride: Vec<usize>,
}

impl TensorRef {
    /// Number of elements of the view, if it fits the storage.
    ///
    /// A view with more elements than its storage (stride 0) is refused: no parameter is one, and
    /// it would let a tiny file ask for any amount of memory.
    pub(crate) fn validate(&self) -> std::result::Result<usize, String> {
        let Self {
            storage,
            offset,
            shape,
            stride,
        } = self;
        if shape.len() != stride.len() {
            return Err(format!(
                "shape {shape:?} and stride {stride:?} differ in length"
            ));
        }
        let outside = || {
            format!(
                "shape {shape:?}, stride {stride:?}, offset {offset} reach outside the storage of \
                 {} elements",
                storage.elements
            )
        };
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size));
        let elements = elements.ok_or_else(outside)?;
        if elements == 0 {
            return Ok(0);
        }
        let last = shape
            .iter()
            .zip(stride)
            .try_fold(*offset, |last, (&size, &stride)| {
                last.checked_add((size - 1).checked_mul(stride)?)
            });
        if elements > storage.elements || last.is_none_or(|last| last >= storage.elements) {
            return Err(outside());
        }
        Ok(elements)
    }

    /// Whether the view shows elements more than once, as an expanded tensor does.
    pub(crate) fn repeats_itself(&self) -> bool {
        let mut axes = self.shape.iter().zip(&self.stride);
        axes.any(|(&size, &stride)| stride == 0 && size > 1)
    }

    /// The values in row-major order as f32, from the bytes of the storage. Integers come out
    /// exact up to 2²⁴.
    pub(crate) fn gather(&self, path: &str, bytes: &[u8]) -> Result<HostTensor> {
        let elements = self
            .validate()
            .map_err(|reason| Error::tensor(path, reason))?;
        let size = self.storage.dtype.size();
        if bytes.len() / size < self.storage.elements {
            return Err(Error::tensor(path, "its storage is shorter than declared"));
        }
        let convert: fn(&[u8]) -> f32 = match self.storage.dtype {
            DType::F32 => |b| f32::from_le_bytes(array(b)),
            DType::F64 => |b| f64::from_le_bytes(array(b)) as f32,
            DType::F16 => |b| f16::from_le_bytes(array(b)).to_f32(),
            DType::BF16 => |b| bf16::from_le_bytes(array(b)).to_f32(),
            DType::I64 => |b| i64::from_le_bytes(array(b)) as f32,
            DType::I32 => |b| i32::from_le_bytes(array(b)) as f32,
            DType::I16 => |b| i16::from_le_bytes(array(b)).into(),
            DType::I8 => |b| i8::from_le_bytes(array(b)).into(),
            DType::U8 => |b| b[0].into(),
            DType::Bool => |b| f32::from(u8::from(b[0] != 0)),
        };
        let mut values = Vec::with_capacity(elements);
        let mut index = vec![0_usize; self.shape.len()];
        let mut position = self.offset;
        for _ in 0..elements {
            values.push(convert(&bytes[position * size..(position + 1) * size]));
            // Row-major odometer: the last axis turns fastest.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                position += self.stride[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                position -= self.stride[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        Ok(HostTensor {
            shape: self.shape.clone(),
            values,
        })
    }
}

/// The shortest decimal of an f32, so that 0.1 stays 0.1.
pub(crate) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The storage read last: several tensors may share one.
#[derive(Default)]
pub(crate) struct LastStorage(Option<(Box<str>, Vec<u8>)>);

impl LastStorage {
    /// The values of a tensor; `read` gives as many bytes of its storage as asked for, unless it
    /// was read last.
    pub(crate) fn gather(
        &mut self,
        path: &str,
        tensor: &TensorRef,
        read: impl FnOnce(u64) -> Result<Vec<u8>>,
    ) -> Result<HostTensor> {
        let storage = &tensor.storage;
        let (_, bytes) = match self.0.take() {
            Some((key, bytes)) if key == storage.key => self.0.insert((key, bytes)),
            _ => {
                let length = storage.elements.checked_mul(storage.dtype.size());
                let length = length.ok_or_else(|| Error::tensor(path, "impossibly large"))?;
                self.0.insert((storage.key.clone(), read(length as u64)?))
            }
        };
        tensor.gather(path, bytes)
    }
}

/// Fixed-size view of bytes whose length the caller has just set.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("one element")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(elements: usize, offset: usize, shape: &[usize], stride: &[usize]) -> TensorRef {
        let storage = StorageRef {
            key: "0".into(),
            dtype: DType::F32,
            elements,
        };
        TensorRef {
            storage,
            offset,
            shape: shape.into(),
            stride: stride.into(),
        }
    }

    fn counting(elements: u16) -> Vec<u8> {
        (0..elements)
            .flat_map(|i| f32::from(i).to_le_bytes())
            .collect()
    }

    #[test]
    fn strided_views_come_out_row_major() {
        let transposed = view(6, 0, &[3, 2], &[1, 3])
            .gather("t", &counting(6))
            .unwrap();
        assert_eq!(transposed.values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let shifted = view(6, 4, &[2], &[1]).gather("t", &counting(6)).unwrap();
        assert_eq!(shifted.values, [4.0, 5.0]);
        let scalar = view(1, 0, &[], &[]).gather("t", &counting(1)).unwrap();
        assert_eq!((scalar.shape.len(), &scalar.values[..]), (0, &[0.0][..]));
    }

    #[test]
    fn every_float_type_converts() {
        for (dtype, bytes) in [
            (DType::F64, 1.5_f64.to_le_bytes().to_vec()),
            (DType::F16, f16::from_f32(1.5).to_le_bytes().to_vec()),
            (DType::BF16, bf16::from_f32(1.5).to_le_bytes().to_vec()),
        ] {
            let mut tensor = view(1, 0, &[1], &[1]);
            tensor.storage.dtype = dtype;
            assert_eq!(
                tensor.gather("t", &bytes).unwrap().values,
                [1.5],
                "{}",
                dtype.name()
            );
        }
    }

    #[test]
    fn views_outside_their_storage_are_refused() {
        for tensor in [
            view(6, 1, &[6], &[1]),
            view(6, 0, &[2, 4], &[3, 1]),
            view(6, 0, &[7], &[0]),
            view(6, 0, &[2], &[usize::MAX]),
            view(6, usize::MAX, &[2], &[1]),
            view(6, 0, &[usize::MAX, 3], &[0, 0]),
            view(6, 0, &[2], &[1, 1]),
        ] {
            assert!(tensor.validate().is_err(), "{tensor:?}");
        }
        assert_eq!(view(6, 9, &[0, 4], &[1, 1]).validate(), Ok(0));
    }
}
