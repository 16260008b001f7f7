//! Tensors from nothing, and changes of element type.

use burn::tensor::backend::Backend;
use burn::tensor::{TensorData, get_device_settings};
use serde::{Deserialize, Serialize};

use crate::meta::{DType, Literal, Meta};
use crate::operator::{Call, Operator, at_least, exactly, take};
use crate::value::Value;

/// A tensor of integers or truth values that is part of the graph, such as an index table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constant {
    /// Integers or truth values; floats are parameters.
    pub dtype: DType,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Row by row; truth values as 0 and 1.
    pub values: Vec<i64>,
}

impl Operator for Constant {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [] = exactly(arguments)?;
        let meta = Meta::tensor(self.dtype, self.shape.as_slice())?;
        if self.values.len() != self.shape.iter().product::<usize>() {
            let (count, shape) = (self.values.len(), &self.shape);
            return Err(format!("{count} values for shape {shape:?}"));
        }
        Ok(meta)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let settings = get_device_settings::<B>(call.device);
        let data = TensorData::new(self.values.clone(), [self.values.len()])
            .convert_dtype(settings.int_dtype.into());
        Value::Int(B::int_from_data(data, call.device))
            .reshape(call.shape)
            .cast(self.dtype, call.device)
    }
}

/// A tensor of one number; arguments are the number and the sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Full(pub DType);

impl Operator for Full {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([value], sizes) = at_least(arguments)?;
        value.number()?;
        let sizes = sizes
            .iter()
            .map(Meta::size)
            .collect::<Result<Vec<_>, _>>()?;
        Meta::tensor(self.0, sizes)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        Value::full(call.shape, self.0, call.arguments[0].number(), call.device)
    }
}

/// Numbers from a start (included) to an end (excluded) in steps; the three are the arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arange(pub DType);

impl Operator for Arange {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [start, end, step] = exactly(arguments)?;
        let [start, end, step] = [start.number()?, end.number()?, step.number()?];
        let count = ((end.as_f64() - start.as_f64()) / step.as_f64()).ceil();
        if !(0.0..1e9).contains(&count) {
            return Err(format!(
                "{count} numbers from {start:?} to {end:?} by {step:?}"
            ));
        }
        Meta::tensor(self.0, [count as usize])
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let settings = get_device_settings::<B>(call.device);
        let [start, step] = [call.arguments[0].number(), call.arguments[2].number()];
        let float = self.0 == DType::Float;
        let data = if float {
            let values = (0..call.shape[0]).map(|i| start.as_f64() + i as f64 * step.as_f64());
            TensorData::new(values.collect::<Vec<f64>>(), [call.shape[0]])
                .convert_dtype(settings.float_dtype.into())
        } else {
            let (start, step) = (start.as_f64() as i64, step.as_f64() as i64);
            let values =
                (0..call.shape[0]).map(|i| start.wrapping_add(step.wrapping_mul(i as i64)));
            TensorData::new(values.collect::<Vec<i64>>(), [call.shape[0]])
                .convert_dtype(settings.int_dtype.into())
        };
        if float {
            Value::Float(B::float_from_data(data, call.device))
        } else {
            Value::Int(B::int_from_data(data, call.device)).cast(self.0, call.device)
        }
    }
}

/// Another element type; a number stays one unless truth is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cast(pub DType);

impl Operator for Cast {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        match x {
            Meta::Tensor { shape, .. } => Meta::tensor(self.0, shape.as_slice()),
            Meta::Number(number) => Ok(Meta::Number(match self.0 {
                DType::Float => Literal::Float(number.as_f64()),
                DType::Bool => Literal::Bool(number.is_true()),
                DType::Int => Literal::Int(number.as_i64().unwrap_or(number.as_f64() as i64)),
            })),
        }
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        x.cast(self.0, call.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, number, refused};

    #[test]
    fn created_tensors_hold_what_was_asked_for() {
        check(
            &Full(DType::Float).into(),
            &[number(3), number(1), number(2)],
            &[1, 2],
            &[3.0, 3.0],
            0.0,
        );
        check(
            &Arange(DType::Int).into(),
            &[number(5), number(0), number(-2)],
            &[3],
            &[5.0, 3.0, 1.0],
            0.0,
        );
        refused(
            &Arange(DType::Int).into(),
            &[number(0), number(5), number(0)],
        );
        let table = Constant {
            dtype: DType::Bool,
            shape: vec![2],
            values: vec![0, 1],
        };
        check(&table.into(), &[], &[2], &[0.0, 1.0], 0.0);
        check(
            &Cast(DType::Int).into(),
            &[floats(&[2], &[-1.7, 1.7])],
            &[2],
            &[-1.0, 1.0],
            0.0,
        );
    }
}
