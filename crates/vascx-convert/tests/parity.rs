//! Every fixture release converts and answers like PyTorch.

mod comparison;

use std::path::PathBuf;

use vascx_convert::{ConvertOptions, Model, Task};
use vascx_models::Precision;

/// Relative to the largest reference value: f32 rounding over some twenty layers, against a
/// reference computed in f64.
const TOLERANCE: f32 = 1e-4;

fn fixtures() -> PathBuf {
    comparison::fixture("models")
}

fn relative_error(model: &Model, fixture: &str) -> f32 {
    comparison::relative_error(model, &fixtures().join(format!("{fixture}.safetensors")))
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
