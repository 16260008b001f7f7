//! Ensembles on the fixture models: sliding windows against vascx_simplify 0.1.11, answers against their parts.

mod calls;
mod card;
mod classes;

use std::path::{Path, PathBuf};

use burn::backend::Flex;
use burn::tensor::TensorData;
use safetensors::SafeTensors;
use vascx_convert::Model;
use vascx_format::Normalisation;
use vascx_models::MemberOutput;

use super::*;
use crate::device::Device;
use crate::photograph::Photograph;
use crate::placement::Placement;
use crate::preprocess::{Pixels, level_tables, preprocess};
use crate::test_backend::{device, on_both_backends};
use crate::window::{DeviceWindows, HostWindows, Members, Weighting, WindowPlan};

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(file)
}

fn open(model: &str) -> Model {
    Model::open(fixture(&format!("models/{model}.pt"))).unwrap()
}

fn load<A: TaskAnswer>(model: &str) -> TaskEnsemble<A> {
    TaskEnsemble::load(&open(model), device()).unwrap()
}

/// The fixture models are for 64 pixels, where `full` has nothing to find.
fn simple(batch_size: usize) -> PredictOptions {
    PredictOptions {
        batch_size: Some(BatchSize::Photographs(batch_size)),
        preprocess: Some(PreprocessMode::Simple),
        keep_maps: true,
        ..PredictOptions::default()
    }
}

fn answers<A: TaskAnswer>(
    ensemble: &TaskEnsemble<A>,
    photographs: &[Photograph],
    batch_size: usize,
) -> Vec<A> {
    let results = ensemble
        .predict_with(photographs, &simple(batch_size))
        .unwrap();
    results.into_iter().map(Result::unwrap).collect()
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

/// Largest difference of two lists of numbers.
fn worst(actual: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(actual.len(), expected.len());
    actual
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

on_both_backends!(sliding_windows_match_vascx_simplify);

fn sliding_windows_match_vascx_simplify<B: Backend>() {
    for (model, overlap) in [("unet_m1", 0.5), ("unet_instance_bilinear_m2", 0.25)] {
        let bytes =
            std::fs::read(fixture(&format!("inference/windows_{model}.safetensors"))).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let opened = open(model);
        let ensemble = opened.load::<B>(&Default::default()).unwrap();
        let image = read(&tensors, "image");
        let expected: Vec<f32> = read(&tensors, "logits").to_vec().unwrap();
        let mut inference = opened.manifest().inference.clone();
        inference.overlap = overlap;
        let device = Default::default();
        let [count, _, height, width] = *image.shape.as_slice() else {
            panic!("images are [N, C, H, W]")
        };
        let plan = || WindowPlan::new([height, width], &inference, Weighting::Unbounded);
        let network = |windows: Tensor<B, 4>, member| match ensemble
            .forward_each(windows)
            .swap_remove(member)
        {
            MemberOutput::Spatial(maps) => maps,
            MemberOutput::Vector(_) => unreachable!("these models segment"),
        };
        let images = Tensor::<B, 4>::from_data(image.clone(), &device);
        let values: Vec<f32> = image.to_vec().unwrap();
        let pixels: Vec<Pixels> = values
            .chunks_exact(values.len() / count)
            .map(|image| Pixels::Floats(image.to_vec()))
            .collect();
        let pixels: Vec<&Pixels> = pixels.iter().collect();
        for windows in [1, 3, 16] {
            let on_device = DeviceWindows::new(plan(), &device);
            let in_memory = HostWindows::new(&plan(), Normalisation::NONE);
            let of_members = expected.chunks_exact(expected.len() / ensemble.members());
            for (member, expected) in of_members.enumerate() {
                let network = |windows| network(windows, member);
                let logits = on_device.run(images.clone(), windows, network).into_data();
                // Rounding of f32 networks whose logits are of order one.
                let difference = worst(&logits.to_vec().unwrap(), expected);
                assert!(
                    difference <= 1e-4,
                    "{model}, member {member}, {windows} per pass: {difference:e}"
                );
                let (flips, mean) = (&[], Members::Mean);
                let network = |windows| vec![network(windows)];
                let maps = in_memory.run(&pixels, flips, windows, mean, &device, network);
                let logits: Vec<f32> = maps.into_iter().flat_map(|maps| maps.values).collect();
                let difference = worst(&logits, expected);
                assert!(
                    difference <= 1e-4,
                    "{model}, member {member}, {windows} per pass in memory: {difference:e}"
                );
            }
        }
    }
}

/// Seventeen photographs of four sizes, some smaller than the window.
fn seventeen() -> Vec<Photograph> {
    let sizes = [(40, 30), (64, 64), (31, 80), (90, 90)];
    (0..17)
        .map(|i| photograph(sizes[i % 4].0, sizes[i % 4].1, i as u32))
        .collect()
}

#[test]
fn batch_sizes_change_nothing() {
    let photographs = seventeen();
    let ensemble = load::<Segmentation>("unet_instance_bilinear_m2");
    let reference = answers(&ensemble, &photographs, 1);
    let reference_logits = ensemble.logits(&photographs, &simple(1)).unwrap();
    for batch_size in [2, 3, 4, 7, 16, 100] {
        let found = answers(&ensemble, &photographs, batch_size);
        let logits = ensemble.logits(&photographs, &simple(batch_size)).unwrap();
        for (index, photograph) in photographs.iter().enumerate() {
            let (answer, expected) = (&found[index], &reference[index]);
            assert_eq!(
                answer.class_map, expected.class_map,
                "{batch_size}, photograph {index}"
            );
            let size = (photograph.width() as u32, photograph.height() as u32);
            assert_eq!(answer.class_map.dimensions(), size);
            let expected = reference_logits[index].as_ref().unwrap();
            let logits = logits[index].as_ref().unwrap();
            assert_eq!(logits.shape, [4, 64, 64]);
            // Sums in another order, of logits of order one.
            let worst = worst(&logits.values, &expected.values);
            assert!(worst <= 1e-4, "{batch_size}, photograph {index}: {worst:e}");
        }
    }
    let Maps {
        shape,
        values: probabilities,
    } = reference[2].probabilities().unwrap();
    let area = 31 * 80;
    assert_eq!((shape, probabilities.len()), ([4, 80, 31], 4 * area));
    // Interpolated probabilities still sum to one.
    let sum: f32 = (0..4)
        .map(|class| probabilities[class * area + area / 2])
        .sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn every_kind_of_input_gives_the_same() {
    let ensemble = load::<Segmentation>("unet_m1");
    let options = simple(4);
    let photographs = [photograph(64, 64, 1), photograph(70, 50, 2)];
    let expected = answers(&ensemble, &photographs, 4);
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..2)
        .map(|i| folder.path().join(format!("{i}.png")))
        .collect();
    for (photograph, path) in photographs.iter().zip(&paths) {
        photograph.rgb().save(path).unwrap();
    }
    let unwrap = |results: Vec<Result<Segmentation>>| -> Vec<Segmentation> {
        results.into_iter().map(Result::unwrap).collect()
    };
    assert_eq!(
        unwrap(ensemble.predict_with(&paths, &options).unwrap()),
        expected
    );
    assert_eq!(
        unwrap(
            ensemble
                .predict_with(photographs.to_vec(), &options)
                .unwrap()
        ),
        expected
    );
    let encoded: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(
        unwrap(ensemble.predict_with(encoded, &options).unwrap()),
        expected
    );
    let mode = PreprocessMode::Simple;
    let squares = photographs
        .each_ref()
        .map(|p| preprocess(p, mode, 64, false));
    assert_eq!(
        unwrap(ensemble.predict_with(&squares, &options).unwrap()),
        expected
    );
    let single = ensemble.predict_with(&photographs[1], &options).unwrap();
    assert_eq!(unwrap(single), expected[1..]);
    assert_eq!(
        unwrap(ensemble.predict_with(&photographs[1..], &options).unwrap()),
        expected[1..]
    );
    let (keys, streamed): (Vec<_>, Vec<_>) = ensemble
        .predict_iter(paths.into_iter().enumerate(), &options)
        .unwrap()
        .unzip();
    assert_eq!((keys, unwrap(streamed)), (vec![0, 1], expected.clone()));

    // Tensors go to the network as they are: 64² needs no geometry.
    let plan = Plan::of(&ensemble.runner, &options, Wanted::Answers, false).unwrap();
    let loaded = Source::from(&photographs[0]).load(&plan.recipe).unwrap();
    let Pixels::Bytes(bytes) = &*loaded.inputs[0].pixels else {
        panic!("windows are cut from bytes")
    };
    let levels = level_tables(ensemble.runner.manifest.preprocessing.normalisation);
    let plane = |channel: usize| {
        let (bytes, levels) = (bytes.iter().skip(channel).step_by(3), &levels[channel]);
        bytes.map(move |&level| levels[usize::from(level)])
    };
    let values: Vec<f32> = (0..3).flat_map(plane).collect();
    let image =
        Tensor::<Flex, 4>::from_data(TensorData::new(values, [1, 3, 64, 64]), &Default::default());
    let list = vec![
        image.clone().squeeze_dim::<3>(0),
        image.clone().squeeze_dim::<3>(0),
    ];
    let batch = Tensor::cat(vec![image.clone(), image], 0);
    for results in [
        ensemble.predict_with(batch, &options).unwrap(),
        ensemble.predict_with(list, &options).unwrap(),
    ] {
        let maps: Vec<_> = unwrap(results)
            .into_iter()
            .map(|answer| answer.class_map)
            .collect();
        assert_eq!(
            maps,
            [expected[0].class_map.clone(), expected[0].class_map.clone()]
        );
    }
}

#[test]
fn tensors_of_mixed_and_oblong_sizes_share_a_call() {
    let ensemble = load::<Segmentation>("unet_m1");
    let tensor = |height: usize, width: usize| {
        let values = (0..3 * height * width)
            .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
            .collect();
        let data = TensorData::new::<f32, _>(values, [3, height, width]);
        Tensor::<Flex, 3>::from_data(data, &Default::default())
    };
    let tensors = vec![
        tensor(64, 64),
        tensor(30, 100),
        tensor(30, 100),
        tensor(64, 64),
    ];
    let together = ensemble.predict(tensors.clone()).unwrap();
    for (index, (result, tensor)) in together.into_iter().zip(tensors).enumerate() {
        let (found, [_, height, width]) = (result.unwrap(), tensor.dims());
        assert_eq!(found.class_map.dimensions(), (width as u32, height as u32));
        let alone = ensemble.predict(tensor).unwrap().remove(0).unwrap();
        assert_eq!(found.class_map, alone.class_map, "tensor {index}");
    }
}

#[test]
fn what_fails_has_its_error_in_its_place() {
    let ensemble = load::<Segmentation>("unet_m1");
    let device = Default::default();
    let good = photograph(64, 64, 1);
    let nan = Tensor::<Flex, 3>::full([3, 64, 64], f32::NAN, &device);
    let six = Tensor::<Flex, 3>::zeros([6, 64, 64], &device);
    let inputs: Vec<Source> = vec![
        (&good).into(),
        PathBuf::from("absent.png").into(),
        nan.into(),
        six.into(),
        (&good).into(),
    ];
    let results = ensemble.predict_with(inputs, &simple(2)).unwrap();
    let message = |index: usize| results[index].as_ref().unwrap_err().to_string();
    assert!(message(1).contains("absent.png"), "{}", message(1));
    assert!(message(2).contains("NaN"), "{}", message(2));
    assert!(
        message(3).contains("[6, 64, 64]") && message(3).contains("[3,"),
        "{}",
        message(3)
    );
    assert_eq!(results[0].as_ref().unwrap(), results[4].as_ref().unwrap());
}

#[test]
fn augmentation_can_be_switched_per_call() {
    let ensemble = load::<Segmentation>("unet_m1");
    let tta = |tta| PredictOptions { tta, ..simple(4) };
    let photograph = photograph(64, 64, 5);
    let logits = |options| {
        ensemble
            .logits(&photograph, &options)
            .unwrap()
            .remove(0)
            .unwrap()
            .values
    };
    let plain = logits(tta(Some(false)));
    assert_eq!(plain, logits(tta(None)));
    assert!(worst(&plain, &logits(tta(Some(true)))) > 1e-3);
}

#[test]
fn classification_averages_probabilities_over_members() {
    let ensemble = load::<Classification>("resnet18_m3");
    let photographs = [
        photograph(50, 40, 1),
        photograph(40, 50, 2),
        photograph(64, 64, 3),
    ];
    let found = answers(&ensemble, &photographs, 2);
    let logits = ensemble
        .logits(&photographs[2], &simple(2))
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!((found.len(), logits.shape), (3, vec![3, 3]));
    let mut expected = [0.0; 3];
    for (member, probabilities) in logits.values.chunks_exact(3).zip(&found[2].members) {
        let sum: f32 = member.iter().map(|logit| logit.exp()).sum();
        let softmax: Vec<f32> = member.iter().map(|logit| logit.exp() / sum).collect();
        assert!(worst(probabilities, &softmax) < 1e-5);
        expected
            .iter_mut()
            .zip(softmax)
            .for_each(|(mean, p)| *mean += p / 3.0);
    }
    assert!(worst(&found[2].probabilities, &expected) < 1e-5);
}

#[test]
fn regression_keeps_the_members() {
    let ensemble = load::<Regression>("resnet34_regression_m1");
    let found = answers(
        &ensemble,
        &[photograph(64, 64, 1), photograph(30, 64, 2)],
        16,
    );
    assert_eq!((found[0].members.len(), found[0].mean().len()), (1, 2));
    assert_eq!(found[0].mean(), found[0].members[0]);
    assert_ne!(found[0], found[1]);
}

#[test]
fn keypoints_are_the_maxima_of_the_heatmaps() {
    let ensemble = load::<Keypoints>("unet_group_nearest_m3");
    let mut found = answers(&ensemble, &[photograph(60, 100, 4)], 2);
    let Keypoints { points, heatmaps } = found.remove(0);
    let Maps { shape, values } = heatmaps.unwrap();
    let best = values
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .unwrap()
        .0;
    // 64² input of a 60 × 100 photograph padded by 20 columns on each side.
    let expected_x = ((best % 64) as f64 + 0.5) * 100.0 / 64.0 - 20.0;
    let expected_y = ((best / 64) as f64 + 0.5) * 100.0 / 64.0;
    assert_eq!(
        (points.len(), shape, values.len()),
        (1, [1, 64, 64], 64 * 64)
    );
    assert!((points[0].x - expected_x).abs() < 1e-9 && (points[0].y - expected_y).abs() < 1e-9);
}

#[test]
fn wrong_use_is_an_error_that_says_so() {
    let ensemble = load::<Segmentation>("unet_m1");
    let empty: [Photograph; 0] = [];
    let message = ensemble.predict(&empty).unwrap_err().to_string();
    assert!(message.contains("empty"), "{message}");
    let good = photograph(8, 8, 1);
    for options in [
        PredictOptions {
            batch_size: Some(BatchSize::Photographs(0)),
            ..PredictOptions::default()
        },
        PredictOptions {
            window_batch_size: Some(0),
            ..PredictOptions::default()
        },
    ] {
        let message = ensemble
            .predict_with(&good, &options)
            .unwrap_err()
            .to_string();
        assert!(message.contains("at least 1"), "{message}");
    }
    let error = HeatmapEnsemble::load(&open("unet_m1"), Device::Cpu);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the model does segmentation, not heatmap"
    );
}
