//! Sums, means and extremes over axes, and normalised exponentials.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorMetadata, TensorPrimitive, get_device_settings};
use serde::{Deserialize, Serialize};

use crate::engine::global_average;
use crate::meta::{DType, Meta};
use crate::operator::{Call, Compute, Operator, check_axis, exactly, take};
use crate::value::Value;

/// One value per line along the axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reduce {
    /// Which value.
    pub kind: ReduceKind,
    /// In ascending order.
    pub axes: Vec<usize>,
    /// Whether the axes stay, with size one.
    pub keep: bool,
}

/// Which value [`Reduce`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum ReduceKind {
    Max,
    Mean,
    Min,
    Prod,
    Sum,
}

impl Reduce {
    /// Whether this is the mean over all pixels, if it is one of maps.
    pub(crate) fn is_global_average(&self) -> bool {
        self.kind == ReduceKind::Mean && self.axes == [2, 3]
    }
}

fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Result<Vec<usize>, String> {
    for &axis in axes {
        check_axis(axis, shape.len())?;
    }
    let sizes = shape.iter().enumerate();
    Ok(sizes
        .filter(|(axis, _)| keep || !axes.contains(axis))
        .map(|(axis, &size)| if axes.contains(&axis) { 1 } else { size })
        .collect())
}

impl Operator for Reduce {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        let dtype = match x.dtype() {
            DType::Float => DType::Float,
            _ if self.kind == ReduceKind::Mean => DType::Float,
            _ => DType::Int,
        };
        Meta::tensor(dtype, reduced(x.shape()?, &self.axes, self.keep)?)
    }

    fn compute(&self) -> Compute {
        match self.kind {
            ReduceKind::Max | ReduceKind::Min => Compute::Arguments,
            ReduceKind::Mean | ReduceKind::Prod | ReduceKind::Sum => Compute::Wide,
        }
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        let x = match (self.kind, x) {
            (ReduceKind::Mean, x) => x.cast(DType::Float, call.device),
            (_, x @ Value::Bool(_)) => x.cast(DType::Int, call.device),
            (_, x) => x,
        };
        let reduced = match x {
            Value::Float(x) if self.is_global_average() && x.shape().num_dims() == 4 => {
                let map = Tensor::<B, 4>::from_primitive(TensorPrimitive::Float(x));
                Value::Float(global_average(map).into_primitive().tensor())
            }
            Value::Float(x) => Value::Float(self.axes.iter().fold(x, |x, &axis| match self.kind {
                ReduceKind::Max => B::float_max_dim(x, axis),
                ReduceKind::Mean => B::float_mean_dim(x, axis),
                ReduceKind::Min => B::float_min_dim(x, axis),
                ReduceKind::Prod => B::float_prod_dim(x, axis),
                ReduceKind::Sum => B::float_sum_dim(x, axis),
            })),
            x => Value::Int(self.axes.iter().fold(x.int(), |x, &axis| match self.kind {
                ReduceKind::Max => B::int_max_dim(x, axis),
                ReduceKind::Min => B::int_min_dim(x, axis),
                ReduceKind::Prod => B::int_prod_dim(x, axis),
                ReduceKind::Sum | ReduceKind::Mean => B::int_sum_dim(x, axis),
            })),
        };
        reduced.reshape(call.shape)
    }
}

/// Index of the largest value along an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArgMax {
    /// Which axis.
    pub axis: usize,
    /// Whether the axis stays, with size one.
    pub keep: bool,
}

impl Operator for ArgMax {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        if x.dtype() != DType::Float {
            return Err("expected a tensor of floats".into());
        }
        Meta::tensor(DType::Int, reduced(x.shape()?, &[self.axis], self.keep)?)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        let ints = get_device_settings::<B>(call.device).int_dtype;
        Value::Int(B::float_argmax(x.float(), self.axis, ints)).reshape(call.shape)
    }
}

/// Running sum along an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CumSum(pub usize);

impl Operator for CumSum {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        check_axis(self.0, x.shape()?.len())?;
        let dtype = match x.dtype() {
            DType::Bool => DType::Int,
            other => other,
        };
        Meta::tensor(dtype, x.shape()?)
    }

    fn compute(&self) -> Compute {
        Compute::Wide
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        match take::<1, _>(call.arguments) {
            [Value::Float(x)] => Value::Float(B::float_cumsum(x, self.0)),
            [x] => Value::Int(B::int_cumsum(x.cast(DType::Int, call.device).int(), self.0)),
        }
    }
}

/// Exponentials that sum to one along an axis, or their logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Softmax {
    /// Which axis.
    pub axis: usize,
    /// Whether to give logarithms.
    pub log: bool,
}

impl Operator for Softmax {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        check_axis(self.axis, x.shape()?.len())?;
        if x.dtype() != DType::Float {
            return Err("expected a tensor of floats".into());
        }
        Meta::tensor(DType::Float, x.shape()?)
    }

    fn compute(&self) -> Compute {
        Compute::Normalised
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        Value::Float(if self.log {
            B::log_softmax(x.float(), self.axis)
        } else {
            B::softmax(x.float(), self.axis)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, refused};

    #[test]
    fn axes_vanish_or_stay() {
        let x = floats(&[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let reduce = |kind, keep| Reduce {
            kind,
            axes: vec![0, 2],
            keep,
        };
        check(
            &reduce(ReduceKind::Sum, false).into(),
            std::slice::from_ref(&x),
            &[2],
            &[14.0, 22.0],
            0.0,
        );
        check(
            &reduce(ReduceKind::Mean, true).into(),
            std::slice::from_ref(&x),
            &[1, 2, 1],
            &[3.5, 5.5],
            0.0,
        );
        check(
            &reduce(ReduceKind::Max, false).into(),
            std::slice::from_ref(&x),
            &[2],
            &[6.0, 8.0],
            0.0,
        );
        let all = Reduce {
            kind: ReduceKind::Min,
            axes: vec![0, 1, 2],
            keep: true,
        };
        check(
            &all.into(),
            std::slice::from_ref(&x),
            &[1, 1, 1],
            &[1.0],
            0.0,
        );
        // Over height and width, which has a kernel of its own.
        let pixels = Reduce {
            kind: ReduceKind::Mean,
            axes: vec![2, 3],
            keep: false,
        };
        let map = floats(&[1, 2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        check(&pixels.into(), &[map], &[1, 2], &[2.5, 6.5], 0.0);
        let best = ArgMax {
            axis: 1,
            keep: false,
        };
        check(
            &best.into(),
            std::slice::from_ref(&x),
            &[2, 2],
            &[1.0; 4],
            0.0,
        );
        check(
            &CumSum(0).into(),
            std::slice::from_ref(&x),
            &[2, 2, 2],
            &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0],
            0.0,
        );
        let half = Softmax {
            axis: 3,
            log: false,
        };
        refused(&half.into(), &[x]);
    }
}
