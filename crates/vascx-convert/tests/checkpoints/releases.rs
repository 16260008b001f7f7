//! Every fixture release converts and answers like PyTorch.

use crate::comparison::{check, fixture, relative_error};
use vascx_convert::{ConvertOptions, Model, Task};
use vascx_models::Precision;

#[test]
fn unet_single_member() {
    check("models/unet_m1.pt", Task::Segmentation, 1);
}

#[test]
fn unet_instance_norm_bilinear_two_members() {
    check("models/unet_instance_bilinear_m2.pt", Task::Segmentation, 2);
}

#[test]
fn unet_group_norm_nearest_three_members() {
    check("models/unet_group_nearest_m3.pt", Task::Heatmap, 3);
}

#[test]
fn unet_without_norm_ensemble_or_member_axis() {
    check("models/unet_plain_supervised.pt", Task::Segmentation, 1);
}

#[test]
fn resnet18_three_members() {
    check("models/resnet18_m3.pt", Task::Classification, 3);
}

#[test]
fn resnet34_regression() {
    check("models/resnet34_regression_m1.pt", Task::Regression, 1);
}

#[test]
fn resnet50_two_members() {
    check("models/resnet50_m2.pt", Task::Classification, 2);
}

#[test]
fn control_flow_of_scripted_programs_at_several_sizes() {
    check("programs/looping_scripted.pt", Task::Segmentation, 2);
}

#[test]
fn attention_traced_and_scripted() {
    check("programs/attention_traced.pt", Task::Classification, 5);
    check("programs/attention_scripted.pt", Task::Classification, 2);
}

#[test]
fn masks_made_by_slice_assignment_and_devices_named_in_the_program() {
    check("programs/masked_traced.pt", Task::Segmentation, 2);
    check("programs/masked_on_cuda.pt", Task::Segmentation, 1);
}

#[test]
fn layers_that_few_networks_have() {
    check("programs/layers_traced.pt", Task::Segmentation, 1);
    check("programs/encoder_traced.pt", Task::Classification, 1);
}

#[test]
fn weights_computed_from_others_are_computed_once() {
    check("programs/parametrised_traced.pt", Task::Classification, 2);
    let path = fixture("programs/parametrised_traced.pt");
    let model = Model::convert(path, &ConvertOptions::default()).unwrap();
    let manifest = serde_json::to_string(model.manifest()).unwrap();
    // The steps of the series and of the reflections.
    for operator in ["mat_mul", "where", "arange"] {
        assert!(
            !manifest.contains(operator),
            "{operator} is computed on every run"
        );
    }
}

/// A release is used evaluated, whatever it was doing when it was saved.
#[test]
fn programs_saved_in_training_mode_are_evaluated() {
    check("programs/trained_scripted.pt", Task::Segmentation, 2);
    let path = fixture("programs/trained_scripted.pt");
    let model = Model::convert(path, &ConvertOptions::default()).unwrap();
    let notes = model.notes().join("\n");
    assert!(notes.contains("while it was trained"), "{notes}");
}

#[test]
fn half_precision_weights_lose_no_more_than_their_rounding() {
    let model = Model::convert(fixture("models/unet_m1.pt"), &ConvertOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Mantissas of 11 and 8 bits; errors of several layers add up to a few units in the last place.
    for (dtype, name, tolerance) in [
        (Precision::F16, "f16", 4e-3),
        (Precision::BF16, "bf16", 3e-2),
    ] {
        let directory = folder.path().join(name);
        model.save(&directory, dtype, false).unwrap();
        let error = relative_error(
            &Model::open(&directory).unwrap(),
            &fixture("models/unet_m1.safetensors"),
        );
        assert!(error > 1e-6 && error < tolerance, "{name}: {error:e}");
    }
}
