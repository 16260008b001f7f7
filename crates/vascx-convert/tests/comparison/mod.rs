//! Comparing a model's answers with PyTorch's.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use vascx_convert::Model;
use vascx_models::Prediction;

/// NdArray when that feature is on, else Flex.
#[cfg(feature = "ndarray")]
type TestBackend = burn::backend::NdArray;
#[cfg(not(feature = "ndarray"))]
type TestBackend = burn::backend::Flex;

/// A path below `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(path)
}

fn read(tensors: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let view = tensors.tensor(name).unwrap();
    let chunks = view.data().as_chunks::<4>().0;
    (
        view.shape().to_vec(),
        chunks.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    )
}

/// Runs the model on the `image` of a safetensors file and compares with its `prediction`; returns
/// max|Δ| / max|reference|.
pub(crate) fn relative_error(model: &Model, reference: &Path) -> f32 {
    let bytes = std::fs::read(reference).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (shape, image) = read(&tensors, "image");
    let (expected_shape, expected) = read(&tensors, "prediction");
    let device = Default::default();
    let image = Tensor::<TestBackend, 4>::from_data(TensorData::new(image, shape), &device);
    let data = match model.load::<TestBackend>(&device).unwrap().forward(image) {
        Prediction::Spatial(maps) => maps.into_data(),
        Prediction::Vector(vectors) => vectors.into_data(),
    };
    let reference = reference.display();
    assert_eq!(data.shape[..], expected_shape[..], "{reference}");
    let actual: Vec<f32> = data.to_vec().unwrap();
    let scale = expected
        .iter()
        .fold(0.0_f32, |max, value| max.max(value.abs()));
    let worst = actual
        .iter()
        .zip(&expected)
        .fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
    assert!(actual.iter().all(|value| value.is_finite()), "{reference}");
    worst / scale
}
