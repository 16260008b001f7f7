//! Ensembles on the fixture models: sliding windows against vascx_simplify 0.1.11, answers against their parts.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::*;
use crate::test_backend::TestBackend;

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(file)
}

fn open(model: &str) -> Model {
    Model::open(fixture(&format!("models/{model}.pt"))).unwrap()
}

fn load<A: FromMembers>(model: &str, batch_size: usize) -> TaskEnsemble<TestBackend, A> {
    let options = EnsembleOptions {
        batch_size: Some(batch_size),
        preprocess: None,
    };
    TaskEnsemble::load(&open(model), &Default::default(), options).unwrap()
}

/// A photograph with structure, different for every seed.
fn photograph(width: u32, height: u32, seed: u32) -> Photograph {
    let bytes = (0..width * height * 3)
        .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 7919) >> 24) as u8 / 2 + 60);
    Photograph::from_rgb(width, height, bytes.collect()).unwrap()
}

fn read(tensors: &SafeTensors, name: &str) -> TensorData {
    let view = tensors.tensor(name).unwrap();
    let chunks = view.data().as_chunks::<4>().0;
    let values: Vec<f32> = chunks
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    TensorData::new(values, view.shape().to_vec())
}

#[test]
fn sliding_windows_match_vascx_simplify() {
    for (model, overlap) in [("unet_m1", 0.5), ("unet_instance_bilinear_m2", 0.25)] {
        let bytes =
            std::fs::read(fixture(&format!("inference/windows_{model}.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut runner = load::<Segmentation>(model, 4).runner;
        runner.manifest.inference.overlap = overlap;
        let images = Tensor::from_data(read(&tensors, "image"), &runner.device);
        for window_batch_size in [1, 3, 16] {
            runner.manifest.inference.window_batch_size = window_batch_size;
            let logits = to_host(runner.maps(images.clone(), |members| members));
            let expected: Vec<f32> = read(&tensors, "logits").to_vec().unwrap();
            assert_eq!(logits.len(), expected.len());
            let worst = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f32::max);
            // Rounding of f32 networks whose logits are of order one.
            assert!(
                worst <= 1e-4,
                "{model}, {window_batch_size} per pass: {worst:e}"
            );
        }
    }
}

#[test]
fn batch_size_changes_nothing_and_every_photograph_keeps_its_size() {
    let sizes = [(40, 30), (64, 64), (31, 80), (90, 90), (40, 30)];
    let photographs: Vec<_> = (1..)
        .zip(sizes)
        .map(|(seed, (width, height))| photograph(width, height, seed))
        .collect();
    let reference = load::<Segmentation>("unet_instance_bilinear_m2", 1)
        .predict(&photographs)
        .unwrap();
    for (answer, (width, height)) in reference.iter().zip(sizes) {
        assert_eq!(answer.class_map.dimensions(), (width, height));
        let probabilities = answer.probabilities();
        assert_eq!(probabilities.len(), 4 * (width * height) as usize);
        // Interpolated probabilities still sum to one.
        let area = (width * height) as usize;
        let sum: f32 = (0..4)
            .map(|class| probabilities[class * area + area / 2])
            .sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    for batch_size in [2, 5, 7] {
        let answers = load::<Segmentation>("unet_instance_bilinear_m2", batch_size)
            .predict(&photographs)
            .unwrap();
        for (index, (answer, expected)) in answers.iter().zip(&reference).enumerate() {
            assert_eq!(answer.class_map, expected.class_map, "photograph {index}");
        }
    }
}

#[test]
fn classification_averages_probabilities_over_members() {
    let ensemble = load::<Classification>("resnet18_m3", 2);
    let photographs = [
        photograph(50, 40, 1),
        photograph(40, 50, 2),
        photograph(64, 64, 3),
    ];
    let answers = ensemble.predict(&photographs).unwrap();
    assert_eq!(answers.len(), 3);
    let chunk = ensemble.runner.prepare(&photographs[2..]);
    let logits = to_host(ensemble.runner.vectors(chunk.images, |logits| logits));
    let mut expected = [0.0; 3];
    for member in logits.chunks_exact(3) {
        let sum: f32 = member.iter().map(|logit| logit.exp()).sum();
        for (probability, logit) in expected.iter_mut().zip(member) {
            *probability += logit.exp() / sum / 3.0;
        }
    }
    for (actual, expected) in answers[2].probabilities.iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-5, "{actual} {expected}");
    }
}

#[test]
fn regression_keeps_the_members() {
    let answers = load::<Regression>("resnet34_regression_m1", 16)
        .predict(&[photograph(64, 64, 1), photograph(30, 64, 2)])
        .unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!((answers[0].members.len(), answers[0].mean().len()), (1, 2));
    assert_eq!(answers[0].mean(), answers[0].members[0]);
    assert_ne!(answers[0], answers[1]);
}

#[test]
fn keypoints_are_the_maxima_of_the_heatmaps() {
    let portrait = photograph(60, 100, 4);
    let answer = load::<Keypoints>("unet_group_nearest_m3", 2)
        .predict(&[portrait])
        .unwrap();
    let Keypoints { points, heatmaps } = &answer[0];
    let best = heatmaps
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .unwrap()
        .0;
    // 64² input of a 60 × 100 photograph padded by 20 columns on each side.
    let expected_x = ((best % 64) as f64 + 0.5) * 100.0 / 64.0 - 20.0;
    let expected_y = ((best / 64) as f64 + 0.5) * 100.0 / 64.0;
    assert_eq!((points.len(), heatmaps.len()), (1, 64 * 64));
    assert!((points[0].x - expected_x).abs() < 1e-9 && (points[0].y - expected_y).abs() < 1e-9);
}

#[test]
fn wrong_use_is_an_error_that_says_so() {
    let ensemble = load::<Segmentation>("unet_m1", 4);
    assert!(
        ensemble
            .predict(&[])
            .unwrap_err()
            .to_string()
            .contains("no photographs")
    );
    let options = EnsembleOptions {
        batch_size: Some(0),
        preprocess: None,
    };
    let model = open("unet_m1");
    let error = SegmentationEnsemble::<TestBackend>::load(&model, &Default::default(), options);
    assert!(error.unwrap_err().to_string().contains("at least 1"));
    let options = EnsembleOptions::default();
    let error = HeatmapEnsemble::<TestBackend>::load(&model, &Default::default(), options);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the model does segmentation, not heatmap"
    );
}
