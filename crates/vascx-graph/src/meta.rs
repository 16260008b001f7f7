//! What is known of a value before anything runs: element type and shape, or the number itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest shape of a tensor.
const MAX_RANK: usize = 8;
/// Most elements of a tensor: 64 GiB of f32, more than any device here holds.
const MAX_ELEMENTS: usize = 1 << 34;

/// Element type of a tensor. Float is whatever precision the backend computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// Floating point.
    Float,
    /// Signed integers.
    Int,
    /// Truth values.
    Bool,
}

/// A number that is known when the shapes are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Literal {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number; infinities are written as text, which JSON needs.
    Float(#[serde(with = "float_text")] f64),
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(formatter),
            Self::Int(value) => value.fmt(formatter),
            Self::Float(value) => value.fmt(formatter),
        }
    }
}

impl Literal {
    /// The number as floating point; truth values count as 0 and 1.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The number as an integer; `None` for floating point.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(value.into()),
            Self::Int(value) => Some(value),
            Self::Float(_) => None,
        }
    }

    /// Whether the number counts as true.
    pub fn is_true(self) -> bool {
        self.as_f64() != 0.0
    }

    /// The element type a tensor of this number has.
    pub fn dtype(self) -> DType {
        match self {
            Self::Bool(_) => DType::Bool,
            Self::Int(_) => DType::Int,
            Self::Float(_) => DType::Float,
        }
    }
}

mod float_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // The signature that serde calls.
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else {
            serializer.serialize_str(&value.to_string())
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
        match Written::deserialize(source)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// What is known of a value once the input's shape is.
#[derive(Clone, Debug, PartialEq)]
pub enum Meta {
    /// A tensor.
    Tensor {
        /// Element type.
        dtype: DType,
        /// Sizes per axis.
        shape: Vec<usize>,
    },
    /// A number.
    Number(Literal),
}

impl Meta {
    /// A tensor, if it is of a size that can exist.
    pub(crate) fn tensor(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Self, String> {
        let shape = shape.into();
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &size| product.checked_mul(size));
        if shape.len() > MAX_RANK || elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
            return Err(format!("a tensor of shape {shape:?} is too large"));
        }
        if elements == Some(0) {
            return Err(format!("a tensor of shape {shape:?} is empty"));
        }
        Ok(Self::Tensor { dtype, shape })
    }

    pub(crate) fn int(value: i64) -> Self {
        Self::Number(Literal::Int(value))
    }

    /// The shape of a tensor; an error for a number.
    pub(crate) fn shape(&self) -> Result<&[usize], String> {
        match self {
            Self::Tensor { shape, .. } => Ok(shape),
            Self::Number(_) => Err("a number stands where a tensor is needed".into()),
        }
    }

    /// The shape of a tensor of floats with D axes.
    pub(crate) fn float_shape<const D: usize>(&self) -> Result<[usize; D], String> {
        match self {
            Self::Tensor {
                dtype: DType::Float,
                shape,
            } => shape[..]
                .try_into()
                .map_err(|_| format!("shape {shape:?}, expected {D} axes")),
            _ => Err("expected a tensor of floats".into()),
        }
    }

    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::Tensor { dtype, .. } => *dtype,
            Self::Number(literal) => literal.dtype(),
        }
    }

    pub(crate) fn number(&self) -> Result<Literal, String> {
        match self {
            Self::Number(literal) => Ok(*literal),
            Self::Tensor { .. } => Err("a tensor stands where a number is needed".into()),
        }
    }

    pub(crate) fn integer(&self) -> Result<i64, String> {
        let number = self.number()?;
        number
            .as_i64()
            .ok_or_else(|| format!("{number:?} is no integer"))
    }

    /// A size: an integer of at least zero.
    pub(crate) fn size(&self) -> Result<usize, String> {
        let value = self.integer()?;
        usize::try_from(value).map_err(|_| format!("{value} is no size"))
    }
}

/// The shape two shapes broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, b) => Ok(b),
            (a, 1) => Ok(a),
            _ => Err(format!("shapes {a:?} and {b:?} do not go together")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_from_the_right() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Ok(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[3]), Ok(vec![3]));
        assert!(broadcast(&[2], &[3]).is_err());
    }

    #[test]
    fn impossible_tensors_are_refused() {
        assert!(Meta::tensor(DType::Float, [1 << 20, 1 << 20]).is_err());
        assert!(Meta::tensor(DType::Float, [usize::MAX, 3]).is_err());
        assert!(Meta::tensor(DType::Float, [1; 9]).is_err());
        assert!(Meta::tensor(DType::Float, [0, 3]).is_err());
    }

    #[test]
    fn infinities_survive_json() {
        for value in [f64::NEG_INFINITY, 1.5] {
            let text = serde_json::to_string(&Literal::Float(value)).unwrap();
            let read: Literal = serde_json::from_str(&text).unwrap();
            assert_eq!(read, Literal::Float(value));
        }
    }
}
