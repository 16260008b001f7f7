//! Normalisation, with statistics that are stored or computed from the input.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{FloatDType, Scalar, Shape, Tensor, TensorMetadata, TensorPrimitive};
use serde::{Deserialize, Serialize};

use crate::Activation;
use crate::engine::{self, Arithmetic};
use crate::meta::{DType, Meta};
use crate::operator::{Call, Compute, Operator, at_least, take};
use crate::value::Value;

/// Normalises channels (axis 1) with stored statistics; arguments are the tensor, mean, variance,
/// scale and shift, each of these `[C]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f64,
}

impl Operator for BatchNorm {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x, mean, variance, scale, shift], []) = at_least(arguments)? else {
            return Err("expected five arguments".into());
        };
        let shape = channels(x)?;
        for statistic in [mean, variance, scale, shift] {
            if statistic.float_shape() != Ok([shape[1]]) {
                return Err(format!("expected statistics of {} channels", shape[1]));
            }
        }
        Meta::tensor(DType::Float, shape)
    }

    fn compute(&self) -> Compute {
        Compute::Normalised
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, mean, variance, scale, shift] = take(call.arguments).map(Value::float);
        let spread = B::float_sqrt(B::float_add_scalar(variance, Scalar::Float(self.epsilon)));
        let scale = B::float_div(scale, spread);
        let shift = B::float_sub(shift, B::float_mul(mean, scale.clone()));
        let (scale, shift) = (
            per_channel::<B>(scale, call.shape.len()),
            per_channel::<B>(shift, call.shape.len()),
        );
        let product = engine::arithmetic::<B>(Arithmetic::Multiply, [x, scale])
            .unwrap_or_else(|[x, scale]| B::float_mul(x, scale));
        let sum = engine::arithmetic::<B>(Arithmetic::Add, [product, shift])
            .unwrap_or_else(|[product, shift]| B::float_add(product, shift));
        Value::Float(sum)
    }
}

/// The shape of a tensor with batch and channel axes.
fn channels(x: &Meta) -> Result<&[usize], String> {
    match x {
        Meta::Tensor {
            dtype: DType::Float,
            shape,
        } if shape.len() >= 2 => Ok(shape),
        _ => Err("expected floats with a channel axis".into()),
    }
}

/// `[C]` as `[1, C, 1, …]`.
fn per_channel<B: Backend>(values: FloatTensor<B>, rank: usize) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[1] = values.shape().num_elements();
    B::float_reshape(values, Shape::from(shape))
}

fn widened<B: Backend>(tensor: FloatTensor<B>) -> Value<B> {
    Value::Float(tensor).with_float_dtype(FloatDType::F32)
}

/// (x − mean) / √(variance + ε) over the last axis.
fn standardised<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    let axis = x.shape().num_dims() - 1;
    let mean = B::float_mean_dim(x.clone(), axis);
    let centred = B::float_sub(x, mean);
    let squares = B::float_mul(centred.clone(), centred.clone());
    let variance = B::float_mean_dim(squares, axis);
    let spread = B::float_sqrt(B::float_add_scalar(variance, Scalar::Float(epsilon)));
    B::float_div(centred, spread)
}

/// Normalises groups of channels of each image (each channel: instance norm); arguments are the
/// tensor and perhaps scale and shift `[C]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// Groups of equal size.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Operator for GroupNorm {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x], affine) = at_least(arguments)?;
        let shape = channels(x)?;
        if self.groups == 0 || shape[1] % self.groups != 0 {
            return Err(format!("{} channels in {} groups", shape[1], self.groups));
        }
        let fits = affine
            .iter()
            .all(|meta| meta.float_shape() == Ok([shape[1]]));
        if !matches!(affine.len(), 0 | 2) || !fits {
            return Err(format!("expected scale and shift of {} channels", shape[1]));
        }
        Meta::tensor(DType::Float, shape)
    }

    fn compute(&self) -> Compute {
        Compute::Kernel
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        self.run_fused(call.arguments, call.shape, None)
    }
}

impl GroupNorm {
    /// Runs with the activation that follows.
    pub(crate) fn run_fused<B: Backend>(
        &self,
        arguments: Vec<Value<B>>,
        shape: &[usize],
        activation: Option<Activation>,
    ) -> Value<B> {
        let mut tensors = arguments.into_iter();
        let x = tensors.next().expect("inference checked for a tensor");
        let affine: Vec<_> = tensors.map(Value::float).collect();
        let pair = match affine.as_slice() {
            [scale, shift] => Some([scale, shift]),
            _ => None,
        };
        let (groups, epsilon) = (self.groups, self.epsilon);
        let x = match engine::group_norm::<B>(x.float(), groups, epsilon, pair, activation) {
            Ok(output) => return Value::Float(output),
            Err(x) => widened::<B>(x),
        };
        let mut tensors = affine
            .into_iter()
            .map(|tensor| widened::<B>(tensor).float());
        let rows = shape[0] * self.groups;
        let columns = shape.iter().product::<usize>() / rows;
        let flat = standardised::<B>(x.reshape(&[rows, columns]).float(), self.epsilon);
        let mut x = Value::<B>::Float(flat).reshape(shape).float();
        if let (Some(scale), Some(shift)) = (tensors.next(), tensors.next()) {
            x = B::float_mul(x, per_channel::<B>(scale, shape.len()));
            x = B::float_add(x, per_channel::<B>(shift, shape.len()));
        }
        match activation {
            Some(activation) => {
                let flat = Value::<B>::Float(x)
                    .reshape(&[shape.iter().product()])
                    .float();
                let flat = Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(flat));
                let activated = activation.forward(flat).into_primitive().tensor();
                Value::Float(activated).reshape(shape)
            }
            None => Value::Float(x),
        }
    }
}

/// Normalises over the last axes; arguments are the tensor and perhaps scale, and shift, of the
/// shape of these axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNorm {
    /// How many axes from the end.
    pub axes: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Operator for LayerNorm {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x], affine) = at_least(arguments)?;
        let shape = x.shape()?;
        if x.dtype() != DType::Float || self.axes == 0 || self.axes > shape.len() {
            return Err(format!("{} axes of a tensor of {shape:?}", self.axes));
        }
        let normalised = &shape[shape.len() - self.axes..];
        for meta in affine {
            if meta.shape()? != normalised || meta.dtype() != DType::Float {
                return Err(format!("expected scale and shift of shape {normalised:?}"));
            }
        }
        if affine.len() > 2 {
            return Err("expected scale and shift at most".into());
        }
        Meta::tensor(DType::Float, shape)
    }

    fn compute(&self) -> Compute {
        Compute::Kernel
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let mut tensors = call.arguments.into_iter();
        let x = tensors.next().expect("inference checked for a tensor");
        let columns = call.shape[call.shape.len() - self.axes..].iter().product();
        let rows = call.shape.iter().product::<usize>() / columns;
        let x = x.reshape(&[rows, columns]).float();
        let affine: Vec<_> = tensors
            .map(|tensor| tensor.reshape(&[columns]).float())
            .collect();
        let by_kernel = match affine.as_slice() {
            [scale, shift] => engine::layer_norm::<B>(x, self.epsilon, [scale, shift]),
            _ => Err(x),
        };
        let x = match by_kernel {
            Ok(output) => return Value::Float(output).reshape(call.shape),
            Err(x) => widened::<B>(x).float(),
        };
        let mut affine = affine
            .into_iter()
            .map(|tensor| widened::<B>(tensor).float());
        let normalised = match affine.next() {
            Some(scale) => B::layer_norm(x, scale, affine.next(), self.epsilon),
            None => standardised::<B>(x, self.epsilon),
        };
        Value::Float(normalised).reshape(call.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, refused};

    /// f32 rounding of a few operations.
    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn stored_statistics_are_used_per_channel() {
        let x = floats(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let [mean, variance, scale, shift] =
            [[1.0, 2.0], [3.0, 0.0], [2.0, 1.0], [0.5, 0.0]].map(|values| floats(&[2], &values));
        let op = BatchNorm { epsilon: 1.0 }.into();
        let arguments = [x, mean, variance, scale, shift];
        check(
            &op,
            &arguments,
            &[1, 2, 1, 2],
            &[0.5, 1.5, 1.0, 2.0],
            TOLERANCE,
        );
        refused(&op, &arguments[..4]);
    }

    #[test]
    fn computed_statistics_cover_their_group() {
        // Deviations ±1, ±3 around the mean: variance 5, plus ε = 4: divided by 3.
        let x = floats(&[1, 4], &[-3.0, -1.0, 1.0, 3.0]);
        let third = [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0];
        let layer = LayerNorm {
            axes: 1,
            epsilon: 4.0,
        };
        check(
            &layer.clone().into(),
            std::slice::from_ref(&x),
            &[1, 4],
            &third,
            TOLERANCE,
        );
        let doubled = third.map(|value| 2.0 * value + 1.0);
        let affine = [x.clone(), floats(&[4], &[2.0; 4]), floats(&[4], &[1.0; 4])];
        check(&layer.into(), &affine, &[1, 4], &doubled, TOLERANCE);
        let group = |groups| GroupNorm {
            groups,
            epsilon: 3.0,
        };
        // Two groups: deviations ±1, divided by √(1 + 3).
        let halves = [-0.5, 0.5, -0.5, 0.5];
        check(
            &group(2).into(),
            std::slice::from_ref(&x),
            &[1, 4],
            &halves,
            TOLERANCE,
        );
        refused(&group(3).into(), &[x]);
    }
}
