//! Running one operator on literal tensors.

use burn::backend::Flex;
use burn::tensor::TensorData;
use burn::tensor::ops::{FloatTensor, FloatTensorOps, IntTensorOps};

use super::meta::Meta;
use super::operator::{Call, Op};
use super::value::Value;

type B = Flex;

/// An argument with what inference sees of it.
pub(crate) type Argument = (Meta, Value<B>);

pub(crate) fn floats(shape: &[usize], values: &[f32]) -> Argument {
    let tensor: FloatTensor<B> = B::float_from_data(
        TensorData::new(values.to_vec(), shape.to_vec()),
        &Default::default(),
    );
    (
        Meta::tensor(super::DType::Float, shape).unwrap(),
        Value::Float(tensor),
    )
}

pub(crate) fn ints(shape: &[usize], values: &[i32]) -> Argument {
    let tensor = B::int_from_data(
        TensorData::new(values.to_vec(), shape.to_vec()),
        &Default::default(),
    );
    (
        Meta::tensor(super::DType::Int, shape).unwrap(),
        Value::Int(tensor),
    )
}

pub(crate) fn number(value: i64) -> Argument {
    (Meta::int(value), Value::Number(super::Literal::Int(value)))
}

/// Infers and runs; checks that both give the expected shape, and the values.
pub(crate) fn check(
    op: &Op,
    arguments: &[Argument],
    shape: &[usize],
    expected: &[f32],
    tolerance: f32,
) {
    let (metas, values): (Vec<_>, Vec<_>) = arguments.iter().cloned().unzip();
    let meta = op.infer(&metas).unwrap();
    assert_eq!(meta.shape().unwrap(), shape, "{op:?}");
    let device = Default::default();
    let value = op.run(Call {
        arguments: values,
        shape,
        device: &device,
    });
    assert_eq!(value.shape(), shape, "{op:?}");
    let Value::Float(tensor) = value.cast(super::DType::Float, &device) else {
        unreachable!("cast to floats")
    };
    let data = burn::tensor::Tensor::<B, 1>::from_primitive(burn::tensor::TensorPrimitive::Float(
        B::float_reshape(tensor, [expected.len()].into()),
    ))
    .into_data();
    let actual: Vec<f32> = data.to_vec().unwrap();
    for (index, (a, b)) in actual.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{op:?}: element {index} is {a}, expected {b}\n{actual:?}"
        );
    }
}

/// Checks that inference refuses the arguments.
pub(crate) fn refused(op: &Op, arguments: &[Argument]) {
    let metas: Vec<_> = arguments.iter().map(|(meta, _)| meta.clone()).collect();
    assert!(op.infer(&metas).is_err(), "{op:?} accepts {metas:?}");
}
