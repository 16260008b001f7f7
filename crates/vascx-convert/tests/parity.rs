//! Every fixture release converts and answers like PyTorch.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use vascx_convert::{ConvertOptions, Model, Task};
use vascx_models::Precision;
use vascx_models::Prediction;

/// NdArray when that feature is on, else Flex.
#[cfg(feature = "ndarray")]
type TestBackend = burn::backend::NdArray;
#[cfg(not(feature = "ndarray"))]
type TestBackend = burn::backend::Flex;

/// Relative to the largest reference value: f32 rounding over some twenty layers, against a
/// reference computed in f64.
const TOLERANCE: f32 = 1e-4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models")
}

fn read(tensors: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let view = tensors.tensor(name).unwrap();
    let chunks = view.data().as_chunks::<4>().0;
    (
        view.shape().to_vec(),
        chunks.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    )
}

/// Runs the model on the fixture's image and compares; returns max|Δ| / max|reference|.
fn relative_error(model: &Model, fixture: &str) -> f32 {
    let bytes = std::fs::read(fixtures().join(format!("{fixture}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let (shape, image) = read(&tensors, "image");
    let (expected_shape, expected) = read(&tensors, "prediction");
    let device = Default::default();
    let image = Tensor::<TestBackend, 4>::from_data(TensorData::new(image, shape), &device);
    let data = match model.load::<TestBackend>(&device).unwrap().forward(image) {
        Prediction::Spatial(maps) => maps.into_data(),
        Prediction::Vector(vectors) => vectors.into_data(),
    };
    assert_eq!(data.shape[..], expected_shape[..], "{fixture}");
    let actual: Vec<f32> = data.to_vec().unwrap();
    let scale = expected
        .iter()
        .fold(0.0_f32, |max, value| max.max(value.abs()));
    let worst = actual
        .iter()
        .zip(&expected)
        .fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
    assert!(actual.iter().all(|value| value.is_finite()), "{fixture}");
    worst / scale
}

fn check(fixture: &str, task: Task, members: usize) {
    let path = fixtures().join(format!("{fixture}.pt"));
    let model = Model::convert(&path, &ConvertOptions::default()).unwrap();
    assert_eq!(
        (model.manifest().task, model.manifest().members),
        (task, members),
        "{fixture}"
    );
    let error = relative_error(&model, fixture);
    assert!(error <= TOLERANCE, "{fixture}: relative error {error:e}");

    // The directory gives exactly what the checkpoint gave.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("model");
    model.save(&directory, Precision::F32, false).unwrap();
    let reopened = Model::open(&directory).unwrap();
    assert_eq!(reopened.manifest(), model.manifest(), "{fixture}");
    assert_eq!(relative_error(&reopened, fixture), error, "{fixture}");
    println!("{fixture}: relative error {error:e}");
}

#[test]
fn unet_single_member() {
    check("unet_m1", Task::Segmentation, 1);
}

#[test]
fn unet_instance_norm_bilinear_two_members() {
    check("unet_instance_bilinear_m2", Task::Segmentation, 2);
}

#[test]
fn unet_group_norm_nearest_three_members() {
    check("unet_group_nearest_m3", Task::Heatmap, 3);
}

#[test]
fn unet_without_norm_ensemble_or_member_axis() {
    check("unet_plain_supervised", Task::Segmentation, 1);
}

#[test]
fn resnet18_three_members() {
    check("resnet18_m3", Task::Classification, 3);
}

#[test]
fn resnet34_regression() {
    check("resnet34_regression_m1", Task::Regression, 1);
}

#[test]
fn resnet50_two_members() {
    check("resnet50_m2", Task::Classification, 2);
}

#[test]
fn half_precision_weights_lose_no_more_than_their_rounding() {
    let model = Model::convert(fixtures().join("unet_m1.pt"), &ConvertOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Mantissas of 11 and 8 bits; errors of several layers add up to a few units in the last place.
    for (dtype, name, tolerance) in [
        (Precision::F16, "f16", 4e-3),
        (Precision::BF16, "bf16", 3e-2),
    ] {
        let directory = folder.path().join(name);
        model.save(&directory, dtype, false).unwrap();
        let error = relative_error(&Model::open(&directory).unwrap(), "unet_m1");
        assert!(error > 1e-6 && error < tolerance, "{name}: {error:e}");
    }
}
