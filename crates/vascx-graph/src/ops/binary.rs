//! Arithmetic and comparison of two values, with broadcasting.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Scalar, get_device_settings};
use serde::{Deserialize, Serialize};

use crate::engine::{Arithmetic, Fused, arithmetic, in_memory_order};
use crate::meta::{DType, Literal, Meta, broadcast};
use crate::operator::{Call, Compute, Operator, exactly, take};
use crate::value::Value;

/// A function of two tensors or numbers; two numbers give a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binary(pub BinaryKind);

/// Which function [`Binary`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum BinaryKind {
    Add,
    And,
    Div,
    Equal,
    /// Rounds towards minus infinity.
    FloorDiv,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Max,
    Min,
    Mul,
    NotEqual,
    Or,
    Pow,
    /// Has the sign of the divisor.
    Remainder,
    Sub,
}

impl BinaryKind {
    fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
        )
    }

    fn is_logical(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }

    /// Element type of operands and of the result.
    fn dtypes(self, a: &Meta, b: &Meta) -> (DType, DType) {
        // A number does not lift an integer tensor to floats unless it is one itself.
        let float = a.dtype() == DType::Float || b.dtype() == DType::Float;
        let operands = if self.is_logical() {
            DType::Bool
        } else if float || self == Self::Div {
            DType::Float
        } else {
            DType::Int
        };
        if self.is_comparison() {
            (operands, DType::Bool)
        } else {
            (operands, operands)
        }
    }

    fn of_numbers(self, a: Literal, b: Literal) -> Result<Literal, String> {
        let (x, y) = (a.as_f64(), b.as_f64());
        if self.is_comparison() || self.is_logical() {
            return Ok(Literal::Bool(match self {
                Self::Equal => x == y,
                Self::NotEqual => x != y,
                Self::Less => x < y,
                Self::LessEqual => x <= y,
                Self::Greater => x > y,
                Self::GreaterEqual => x >= y,
                Self::And => a.is_true() && b.is_true(),
                _ => a.is_true() || b.is_true(),
            }));
        }
        if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64())
            && self != Self::Div
            && !(self == Self::Pow && b < 0)
        {
            let value = match self {
                Self::Add => a.checked_add(b),
                Self::Sub => a.checked_sub(b),
                Self::Mul => a.checked_mul(b),
                Self::Max => Some(a.max(b)),
                Self::Min => Some(a.min(b)),
                Self::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
                Self::FloorDiv => a.checked_div_euclid(b).map(|q| {
                    if b < 0 && a.rem_euclid(b) != 0 {
                        q - 1
                    } else {
                        q
                    }
                }),
                _ => a
                    .checked_rem_euclid(b)
                    .map(|r| if b < 0 && r != 0 { r + b } else { r }),
            };
            let value = value.ok_or_else(|| format!("{self:?} of {a} and {b} has no value"))?;
            return Ok(Literal::Int(value));
        }
        Ok(Literal::Float(match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Max => x.max(y),
            Self::Min => x.min(y),
            Self::Pow => x.powf(y),
            Self::FloorDiv => (x / y).floor(),
            _ => x - y * (x / y).floor(),
        }))
    }

    fn of_floats<B: Backend>(self, a: Value<B>, b: Value<B>, device: &B::Device) -> Value<B> {
        let bools = get_device_settings::<B>(device).bool_dtype;
        if let Value::Number(number) = b {
            let (x, y) = (a.float(), Scalar::Float(number.as_f64()));
            let quick = |function: fn(FloatTensor<B>, Scalar) -> FloatTensor<B>, x| {
                Value::Float(in_memory_order::<B>(x, |x| function(x, y)))
            };
            return match self {
                Self::Add => quick(B::float_add_scalar, x),
                Self::Sub => quick(B::float_sub_scalar, x),
                Self::Mul => quick(B::float_mul_scalar, x),
                Self::Div => quick(B::float_div_scalar, x),
                Self::Pow if number.as_f64() == 2.0 => Value::Float(B::float_mul(x.clone(), x)),
                Self::Pow => Value::Float(B::float_powf_scalar(x, y)),
                Self::Max => Value::Float(B::float_clamp_min(x, y)),
                Self::Min => Value::Float(B::float_clamp_max(x, y)),
                Self::Remainder => Value::Float(B::float_remainder_scalar(x, y)),
                Self::FloorDiv => Value::Float(B::float_floor(B::float_div_scalar(x, y))),
                Self::Equal => Value::Bool(B::float_equal_elem(x, y, bools)),
                Self::NotEqual => Value::Bool(B::float_not_equal_elem(x, y, bools)),
                Self::Less => Value::Bool(B::float_lower_elem(x, y, bools)),
                Self::LessEqual => Value::Bool(B::float_lower_equal_elem(x, y, bools)),
                Self::Greater => Value::Bool(B::float_greater_elem(x, y, bools)),
                Self::GreaterEqual => Value::Bool(B::float_greater_equal_elem(x, y, bools)),
                Self::And | Self::Or => unreachable!("computed on truth values"),
            };
        }
        let (x, y) = (a.float(), b.float());
        let [x, y] = match self.by_kernel::<B>([x, y]) {
            Ok(output) => return Value::Float(output),
            Err(operands) => operands,
        };
        match self {
            Self::Add => Value::Float(B::float_add(x, y)),
            Self::Sub => Value::Float(B::float_sub(x, y)),
            Self::Mul => Value::Float(B::float_mul(x, y)),
            Self::Div => Value::Float(B::float_div(x, y)),
            Self::Pow => Value::Float(B::float_powf(x, y)),
            Self::Remainder => Value::Float(B::float_remainder(x, y)),
            Self::FloorDiv => Value::Float(B::float_floor(B::float_div(x, y))),
            // max(x, y) = y + relu(x − y) would round; choosing does not.
            Self::Max => {
                let below = B::float_lower(x.clone(), y.clone(), bools);
                Value::Float(B::float_mask_where(x, below, y))
            }
            Self::Min => {
                let above = B::float_greater(x.clone(), y.clone(), bools);
                Value::Float(B::float_mask_where(x, above, y))
            }
            Self::Equal => Value::Bool(B::float_equal(x, y, bools)),
            Self::NotEqual => Value::Bool(B::float_not_equal(x, y, bools)),
            Self::Less => Value::Bool(B::float_lower(x, y, bools)),
            Self::LessEqual => Value::Bool(B::float_lower_equal(x, y, bools)),
            Self::Greater => Value::Bool(B::float_greater(x, y, bools)),
            Self::GreaterEqual => Value::Bool(B::float_greater_equal(x, y, bools)),
            Self::And | Self::Or => unreachable!("computed on truth values"),
        }
    }

    /// With a kernel that knows any order of elements, if there is one.
    fn by_kernel<B: Backend>(self, operands: [FloatTensor<B>; 2]) -> Fused<B, [FloatTensor<B>; 2]> {
        let kind = match self {
            Self::Add => Arithmetic::Add,
            Self::Sub => Arithmetic::Subtract,
            Self::Mul => Arithmetic::Multiply,
            Self::Div => Arithmetic::Divide,
            _ => return Err(operands),
        };
        match arithmetic::<B>(kind, operands) {
            Err([a, b]) if matches!(self, Self::Add | Self::Mul) => {
                arithmetic::<B>(kind, [b, a]).map_err(|[b, a]| [a, b])
            }
            result => result,
        }
    }

    fn of_ints<B: Backend>(self, a: Value<B>, b: Value<B>, device: &B::Device) -> Value<B> {
        let bools = get_device_settings::<B>(device).bool_dtype;
        let (x, y) = (a.int(), b.int());
        match self {
            Self::Add => Value::Int(B::int_add(x, y)),
            Self::Sub => Value::Int(B::int_sub(x, y)),
            Self::Mul | Self::Div => Value::Int(B::int_mul(x, y)),
            Self::Pow => Value::Int(B::int_powi(x, y)),
            Self::Remainder => Value::Int(B::int_remainder(x, y)),
            Self::FloorDiv => {
                // burn's division truncates; what is left after the remainder divides evenly.
                let rest = B::int_remainder(x.clone(), y.clone());
                Value::Int(B::int_div(B::int_sub(x, rest), y))
            }
            Self::Max => {
                let below = B::int_lower(x.clone(), y.clone(), bools);
                Value::Int(B::int_mask_where(x, below, y))
            }
            Self::Min => {
                let above = B::int_greater(x.clone(), y.clone(), bools);
                Value::Int(B::int_mask_where(x, above, y))
            }
            Self::Equal => Value::Bool(B::int_equal(x, y, bools)),
            Self::NotEqual => Value::Bool(B::int_not_equal(x, y, bools)),
            Self::Less => Value::Bool(B::int_lower(x, y, bools)),
            Self::LessEqual => Value::Bool(B::int_lower_equal(x, y, bools)),
            Self::Greater => Value::Bool(B::int_greater(x, y, bools)),
            Self::GreaterEqual => Value::Bool(B::int_greater_equal(x, y, bools)),
            Self::And | Self::Or => unreachable!("computed on truth values"),
        }
    }
}

impl Operator for Binary {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [a, b] = exactly(arguments)?;
        if let (Meta::Number(a), Meta::Number(b)) = (a, b) {
            return Ok(Meta::Number(self.0.of_numbers(*a, *b)?));
        }
        let sizes = |meta: &Meta| match meta {
            Meta::Tensor { shape, .. } => shape.clone(),
            Meta::Number(_) => Vec::new(),
        };
        let (operands, result) = self.0.dtypes(a, b);
        // Integer division by zero has no value, and cannot be excluded for tensors of integers.
        if operands == DType::Int
            && matches!(self.0, BinaryKind::FloorDiv | BinaryKind::Remainder)
            && !matches!(b, Meta::Number(number) if number.is_true())
        {
            return Err("integers can be divided by a number other than zero only".into());
        }
        Meta::tensor(result, broadcast(&sizes(a), &sizes(b))?)
    }

    fn compute(&self) -> Compute {
        match self.0 {
            BinaryKind::Pow => Compute::Wide,
            _ => Compute::Arguments,
        }
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [a, b] = take(call.arguments);
        let dtype = |value: &Value<B>| match value {
            Value::Float(_) => DType::Float,
            Value::Int(_) => DType::Int,
            Value::Bool(_) => DType::Bool,
            Value::Number(number) => number.dtype(),
        };
        let float = dtype(&a) == DType::Float || dtype(&b) == DType::Float;
        let rank = call.shape.len().max(1);
        if self.0.is_logical() {
            let expand =
                |value: Value<B>| match value.cast(DType::Bool, call.device).expand(call.shape) {
                    Value::Bool(tensor) => tensor,
                    _ => unreachable!("cast to truth values"),
                };
            let (a, b) = (expand(a), expand(b));
            return Value::Bool(if self.0 == BinaryKind::And {
                B::bool_and(a, b)
            } else {
                B::bool_or(a, b)
            });
        }
        if float || self.0 == BinaryKind::Div {
            let a = a.cast(DType::Float, call.device).with_rank(rank);
            let b = match b {
                Value::Number(number) => Value::Number(number),
                tensor => tensor.cast(DType::Float, call.device).with_rank(rank),
            };
            self.0.of_floats(a, b, call.device)
        } else {
            // Masks and indices: small, so that spelling the broadcast out costs nothing.
            let a = a.cast(DType::Int, call.device).expand(call.shape);
            let b = b.cast(DType::Int, call.device).expand(call.shape);
            self.0.of_ints(a, b, call.device)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, ints, number, refused};

    #[test]
    fn numbers_divide_like_python() {
        let int = |kind: BinaryKind, a, b| {
            let numbers = [Meta::int(a), Meta::int(b)];
            Binary(kind)
                .infer(&numbers)
                .ok()
                .and_then(|m| m.integer().ok())
        };
        for (a, b, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, -2, -3, 0),
        ] {
            assert_eq!(
                int(BinaryKind::FloorDiv, a, b),
                Some(quotient),
                "{a} // {b}"
            );
            assert_eq!(int(BinaryKind::Remainder, a, b), Some(rest), "{a} % {b}");
        }
        assert_eq!(int(BinaryKind::FloorDiv, 1, 0), None);
        assert_eq!(int(BinaryKind::FloorDiv, i64::MIN, -1), None);
        assert_eq!(int(BinaryKind::Mul, i64::MAX, 2), None);
    }

    #[test]
    fn tensors_broadcast_and_promote() {
        let column = floats(&[2, 1], &[1.0, 2.0]);
        let row = floats(&[3], &[10.0, 20.0, 30.0]);
        let op = Binary(BinaryKind::Add).into();
        check(
            &op,
            &[column.clone(), row],
            &[2, 3],
            &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0],
            0.0,
        );
        let op = Binary(BinaryKind::Sub).into();
        check(
            &op,
            &[number(1), column.clone()],
            &[2, 1],
            &[0.0, -1.0],
            0.0,
        );
        let op = Binary(BinaryKind::Div).into();
        check(
            &op,
            &[ints(&[2], &[1, 3]), number(2)],
            &[2],
            &[0.5, 1.5],
            0.0,
        );
        let op = Binary(BinaryKind::FloorDiv).into();
        check(
            &op,
            &[ints(&[2], &[-3, 3]), number(2)],
            &[2],
            &[-2.0, 1.0],
            0.0,
        );
        refused(&op, &[ints(&[2], &[1, 2]), ints(&[2], &[1, 0])]);
        let op = Binary(BinaryKind::Max).into();
        check(
            &op,
            &[column.clone(), floats(&[1], &[1.5])],
            &[2, 1],
            &[1.5, 2.0],
            0.0,
        );
        let op = Binary(BinaryKind::Greater).into();
        check(&op, &[column, number(1)], &[2, 1], &[0.0, 1.0], 0.0);
    }
}
