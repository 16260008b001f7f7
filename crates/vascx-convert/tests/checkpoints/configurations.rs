//! What a release's configuration says, or leaves out, becomes the model's description; networks
//! whose answers make no sense are refused.

use crate::comparison::fixture;
use vascx_convert::{ConvertOptions, Model, Task};
use vascx_format::{Blend, FORMAT_VERSION, ModelManifest, Normalisation, Transform};

fn convert(file: &str, config: Option<&str>) -> Result<Model, String> {
    let options = ConvertOptions {
        config: config.map(str::to_owned),
        ..ConvertOptions::default()
    };
    Model::convert(fixture(file), &options).map_err(|error| error.to_string())
}

fn manifest(file: &str, config: &str) -> ModelManifest {
    convert(file, Some(config)).unwrap().manifest().clone()
}

#[test]
fn all_eight_classes_are_known() {
    for (class, task) in [
        ("SegmentationEnsemble", Task::Segmentation),
        ("HaloSegmentationEnsemble", Task::Segmentation),
        ("SegmentationEnsembleOverlaps", Task::Overlaps),
        ("ClassificationEnsemble", Task::Classification),
        ("RegressionEnsemble", Task::Regression),
        ("HeatmapRegressionEnsemble", Task::Heatmap),
        ("KeypointsEnsemble", Task::Keypoints),
        ("EmbeddingEnsemble", Task::Embedding),
    ] {
        let model = convert(&format!("ensembles/{class}.pt"), None).unwrap();
        let manifest = model.manifest();
        assert_eq!((manifest.task, manifest.members), (task, 3), "{class}");
        let halo = class == "HaloSegmentationEnsemble";
        let inference = &manifest.inference;
        assert_eq!(inference.halo, if halo { 8 } else { 0 }, "{class}");
        // Flips are averaged for maps only.
        let flips = usize::from(task.is_spatial());
        assert_eq!(inference.tta_flips.len(), flips, "{class}");
        assert_eq!(inference.window_batch_size, 4, "{class}");
        // Everything is written down and read again.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        model
            .save(&path, vascx_models::Precision::F32, false)
            .unwrap();
        assert_eq!(Model::open(&path).unwrap().manifest(), manifest, "{class}");
    }
}

#[test]
fn every_setting_is_recorded() {
    let halo = manifest(
        "ensembles/HaloSegmentationEnsemble.pt",
        r#"{"inference": {"ensemble_class": "HaloSegmentationEnsemble", "overlap": 0.25,
            "batch_size": 3, "gaussian_sigma_scale": 0.2, "blend": "constant", "tta": true,
            "tta_flips": [[-1], [-2, 3]], "graph_refinement": {"x": 1}},
            "lightningmodule": {"context_size": 64.0, "output_size": 48},
            "datamodule": {"normalize_keypoints": false, "test_transform": {"square_size": 96,
            "normalize": "diffusion", "resize": {"height": 80, "width": 80}}}}"#,
    );
    let inference = &halo.inference;
    assert_eq!((inference.window, inference.halo), ([64, 64], 8));
    assert_eq!((inference.overlap, inference.relative_sigma), (0.25, 0.2));
    assert_eq!(inference.blend, Blend::Constant);
    // Halo models call their windows per pass so.
    assert_eq!(inference.window_batch_size, 3);
    assert_eq!(inference.tta_flips, [vec![3], vec![2, 3]]);
    assert!(!inference.normalised_keypoints);
    let preprocessing = &halo.preprocessing;
    assert_eq!(preprocessing.normalisation, Normalisation::DIFFUSION);
    assert_eq!(
        (preprocessing.square_size, preprocessing.resize),
        (96, Some(80))
    );

    let basic = manifest(
        "ensembles/EmbeddingEnsemble.pt",
        r#"{"inference": {"ensemble_class": "EmbeddingEnsemble"}, "datamodule": {"test_transform":
            {"class": "BasicTestTransform", "size": 64, "pad": [100, 120], "normalize": null}}}"#,
    );
    let preprocessing = &basic.preprocessing;
    let pad = Some([100, 120]);
    assert_eq!(preprocessing.transform, Transform::Basic { pad });
    assert_eq!(preprocessing.normalisation, Normalisation::NONE);
    assert_eq!(
        (preprocessing.square_size, preprocessing.contrast_enhance),
        (64, false)
    );
}

#[test]
fn keys_without_meaning_are_noted() {
    let model = convert(
        "ensembles/SegmentationEnsemble.pt",
        Some(
            r#"{"inference": {"tracing_input_size": 48, "graph_refinement": null, "ovrlap": 1},
                "datamodule": {"test_transform": {"square_size": 96}}}"#,
        ),
    )
    .unwrap();
    let notes = model.notes().join("\n");
    for part in [
        "inference.ovrlap",
        "inference.graph_refinement",
        "3 channels mean no contrast",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
}

#[test]
fn a_network_without_configuration_takes_channels_from_itself() {
    let model = convert("answers/unconfigured.pt", None).unwrap();
    assert!(!model.manifest().preprocessing.contrast_enhance);
    assert!(model.manifest().takes_photographs());
    let notes = model.notes().join("\n");
    assert!(notes.contains("no contrast enhancement"), "{notes}");
    // Nor is photographs' preparation needed to run it.
    let grey = convert("answers/grey.pt", None).unwrap();
    assert!(!grey.manifest().takes_photographs());
    assert_eq!(grey.manifest().architecture.in_channels(), 1);
    let notes = grey.notes().join("\n");
    assert!(notes.contains("vascx forward"), "{notes}");
}

#[test]
fn answers_that_make_no_sense_are_refused_with_a_remedy() {
    for (name, parts) in [
        ("smaller", ["16 × 16 pixels", "HaloSegmentationEnsemble"]),
        ("larger", ["64 × 64 pixels", "a window of 32 × 32"]),
        ("margin", ["28 × 28 pixels", "HaloSegmentationEnsemble"]),
        ("one_class", ["softmax", "SegmentationEnsembleOverlaps"]),
        ("one_logit", ["softmax", "RegressionEnsemble"]),
    ] {
        let Err(message) = convert(&format!("answers/{name}.pt"), None) else {
            panic!("{name} is accepted")
        };
        for part in parts {
            assert!(message.contains(part), "{name}: {message}");
        }
    }
    // The remedies.
    for (name, asked) in [
        ("one_class", Task::Overlaps),
        ("one_logit", Task::Regression),
    ] {
        let options = ConvertOptions {
            task: Some(asked),
            ..ConvertOptions::default()
        };
        let path = fixture(&format!("answers/{name}.pt"));
        let model = Model::convert(path, &options).unwrap();
        assert_eq!(model.manifest().task, asked);
    }
    let halo = r#"{"inference": {"ensemble_class": "HaloSegmentationEnsemble"},
        "lightningmodule": {"context_size": 32, "output_size": 28}}"#;
    assert_eq!(manifest("answers/margin.pt", halo).inference.halo, 2);
    let wrong = halo.replace("28", "24");
    let Err(message) = convert("answers/margin.pt", Some(&wrong)) else {
        panic!("the network answers for 28 pixels")
    };
    assert!(message.contains("all but 4 at each edge"), "{message}");
}

#[test]
fn model_directories_of_the_first_version_still_open() {
    let model = Model::open(fixture("model_directories/version_1")).unwrap();
    let manifest = model.manifest();
    assert_eq!(manifest.format_version, FORMAT_VERSION);
    assert_eq!(
        manifest.preprocessing.normalisation,
        Normalisation::ZERO_ONE
    );
    assert_eq!(manifest.preprocessing.transform, Transform::Fundus);
    assert_eq!(
        (manifest.inference.window, manifest.inference.halo),
        ([32, 32], 0)
    );
    model
        .load::<burn::backend::Flex>(&Default::default())
        .unwrap();
}
