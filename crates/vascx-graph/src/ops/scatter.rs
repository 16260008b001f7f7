//! Replacing rows by index.

use burn::tensor::Scalar;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::index::in_range;
use crate::meta::{DType, Literal, Meta};
use crate::operator::{Call, Operator, exactly, take};
use crate::value::Value;

/// The matrix with some rows replaced; arguments are the matrix `[D, K]`, the indices `[Q]` of the
/// rows and the new rows `[Q, K]`. An index that comes twice gives the sum of its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScatterRows;

impl Operator for ScatterRows {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, indices, rows] = exactly(arguments)?;
        let (&[height, width], &[count], &[new, other]) =
            (x.shape()?, indices.shape()?, rows.shape()?)
        else {
            return Err("rows of other than matrices".into());
        };
        if new != count || other != width || indices.dtype() != DType::Int {
            return Err(format!(
                "{count} indices for rows [{new}, {other}] of [{height}, {width}]"
            ));
        }
        Meta::tensor(DType::Float, [height, width])
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, indices, rows] = take(call.arguments);
        let count = indices.shape()[0];
        let indices = in_range::<B>(indices.int(), call.shape[0] as i64);
        let filled = |height: usize, fill: i64| {
            let shape = [height, call.shape[1]];
            Value::<B>::full(&shape, DType::Int, Literal::Int(fill), call.device).int()
        };
        let (zeros, ones) = (filled(call.shape[0], 0), filled(count, 1));
        let counts = B::int_select_add(zeros, 0, indices.clone(), ones);
        let Value::Bool(replaced) = Value::<B>::Int(counts).cast(DType::Bool, call.device) else {
            unreachable!("cast to truth values")
        };
        let x = x.cast(DType::Float, call.device).float();
        let rows = rows.cast(DType::Float, call.device).float();
        let rest = B::float_mask_fill(x, replaced, Scalar::Float(0.0));
        Value::Float(B::float_select_add(rest, 0, indices, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, ints, refused};

    #[test]
    fn rows_are_replaced() {
        let x = floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = floats(&[2, 2], &[7.0, 8.0, 9.0, 0.0]);
        let expected = [9.0, 0.0, 3.0, 4.0, 7.0, 8.0];
        let arguments = [x.clone(), ints(&[2], &[-1, 0]), rows.clone()];
        check(&ScatterRows.into(), &arguments, &[3, 2], &expected, 0.0);
        refused(&ScatterRows.into(), &[x.clone(), ints(&[1], &[0]), rows]);
        refused(
            &ScatterRows.into(),
            &[x.clone(), ints(&[3], &[0, 1, 2]), x.clone(), x],
        );
    }
}
