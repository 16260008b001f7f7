//! Matrix products.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorMetadata, TensorPrimitive};
use serde::{Deserialize, Serialize};

use crate::engine::{Packed, multiply};
use crate::meta::{DType, Meta, broadcast};
use crate::operator::{Call, Compute, Operator, at_least, exactly, take};
use crate::value::Value;
use crate::{Activation, work};

/// `[…, A, K]` times `[…, K, B]`, leading axes broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatMul;

impl Operator for MatMul {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [a, b] = exactly(arguments)?;
        if a.dtype() != DType::Float || b.dtype() != DType::Float {
            return Err("expected tensors of floats".into());
        }
        match (a.shape()?, b.shape()?) {
            ([left @ .., rows, inner], [right @ .., inner_too, columns]) if inner == inner_too => {
                let mut shape = broadcast(left, right)?;
                shape.extend([rows, columns]);
                Meta::tensor(DType::Float, shape)
            }
            (a, b) => Err(format!("{a:?} and {b:?} cannot be multiplied")),
        }
    }

    fn compute(&self) -> Compute {
        Compute::Network
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [a, b] = take(call.arguments);
        let leading = &call.shape[..call.shape.len() - 2];
        let spread = |x: Value<B>| {
            let own = x.shape();
            let target = [leading, &own[own.len() - 2..]].concat();
            x.expand(&target).float()
        };
        let depth = a.shape().last().copied().unwrap_or(1);
        work::note(call.shape.iter().product(), depth);
        Value::Float(B::float_matmul(spread(a), spread(b)))
    }
}

/// `[…, I]` times a weight `[I, O]`, plus perhaps a bias `[O]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear;

impl Operator for Linear {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let ([x, weight], bias) = at_least(arguments)?;
        let [inputs, outputs] = weight.float_shape()?;
        let mut shape = x.shape()?.to_vec();
        if x.dtype() != DType::Float || shape.last() != Some(&inputs) {
            return Err(format!("{shape:?} meets a weight for {inputs} inputs"));
        }
        match bias {
            [] => {}
            [bias] if bias.float_shape() == Ok([outputs]) => {}
            _ => return Err(format!("expected one bias of {outputs} values")),
        }
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        Meta::tensor(DType::Float, shape)
    }

    fn compute(&self) -> Compute {
        Compute::Network
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        Self::run_fused(&Packed::default(), call.arguments, call.shape, None)
    }
}

impl Linear {
    /// Runs with packed weights where there is a kernel, and with the activation that follows.
    pub(crate) fn run_fused<B: Backend>(
        packed: &Packed,
        arguments: Vec<Value<B>>,
        shape: &[usize],
        activation: Option<Activation>,
    ) -> Value<B> {
        let mut arguments = arguments.into_iter().map(Value::float);
        let (Some(x), Some(weight)) = (arguments.next(), arguments.next()) else {
            unreachable!("inference checked the number of arguments")
        };
        let bias = arguments.next();
        let depth = weight.shape()[0];
        work::note(shape.iter().product(), depth);
        let x = match multiply::<B>(packed, x, &weight, bias.as_ref(), activation) {
            Ok(output) => return Value::Float(output),
            Err(x) => x,
        };
        let (x, weight) = (Value::<B>::Float(x), Value::<B>::Float(weight));
        // One large product instead of a batch of small ones.
        let inputs = weight.shape()[0];
        let rows = x.shape().iter().product::<usize>() / inputs;
        let product = B::float_matmul(x.reshape(&[rows, inputs]).float(), weight.float());
        let sum = match bias {
            Some(bias) => B::float_add(product, Value::<B>::Float(bias).with_rank(2).float()),
            None => product,
        };
        match activation {
            Some(activation) => {
                let sum = Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(sum));
                let activated = activation.forward(sum).into_primitive().tensor();
                Value::Float(activated).reshape(shape)
            }
            None => Value::Float(sum).reshape(shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, refused};

    #[test]
    fn products_broadcast() {
        let a = floats(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let b = floats(&[2, 2], &[1.0, 10.0, 100.0, 1000.0]);
        let product = [201.0, 2010.0, 403.0, 4030.0];
        check(
            &MatMul.into(),
            &[a.clone(), b.clone()],
            &[2, 1, 2],
            &product,
            0.0,
        );
        let sum = [202.0, 2012.0, 404.0, 4032.0];
        let bias = floats(&[2], &[1.0, 2.0]);
        check(&Linear.into(), &[a.clone(), b, bias], &[2, 1, 2], &sum, 0.0);
        refused(&MatMul.into(), &[a.clone(), a.clone()]);
        refused(&Linear.into(), &[a, floats(&[3, 1], &[0.0; 3])]);
    }
}
