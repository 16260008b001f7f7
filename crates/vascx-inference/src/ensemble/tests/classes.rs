//! Every class of ensemble against what retinalysis-inference 0.9.0 answers, and networks whose
//! answers make no sense.

use super::*;

/// The numbers of a fixture.
struct Expected(Vec<u8>);

impl Expected {
    fn open(name: &str) -> Self {
        Self(std::fs::read(fixture(&format!("ensembles/{name}.safetensors"))).unwrap())
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        read(&file, name).to_vec().unwrap()
    }
}

fn crop() -> Photograph {
    Photograph::open(fixture("ensembles/crop.png")).unwrap()
}

/// The answer to the crop, the same from memory and as on a card.
fn answer(name: &str) -> Answer {
    let model = Model::open(fixture(&format!("ensembles/{name}.pt"))).unwrap();
    let options = PredictOptions {
        preprocess: Some(PreprocessMode::Crop),
        keypoints: KeypointRule::MeanOfArgmax,
        ..PredictOptions::default()
    };
    let mut ensemble = AnyEnsemble::load(&model, device()).unwrap();
    let mut predict = |placement| {
        Arc::get_mut(&mut ensemble.runner).unwrap().placement = placement;
        let mut answers = ensemble.predict_with(crop(), &options).unwrap();
        answers.remove(0).unwrap()
    };
    let answer = predict(Placement::Host);
    let from_card = predict(Placement::Device { bytes: true });
    if let Answer::Segmentation(_) | Answer::Overlaps(_) | Answer::Keypoints(_) = answer {
        assert_eq!(answer, from_card, "{name}");
    } else {
        // Inputs are normalised on the card, in another order of operations.
        let difference = worst(&numbers(&answer), &numbers(&from_card));
        assert!(difference < 1e-4, "{name}: {difference}");
    }
    answer
}

/// Points in pixels, or values.
fn numbers(answer: &Answer) -> Vec<f32> {
    let flat = |points: &[crate::geometry::Point]| {
        let numbers = points.iter().flat_map(|point| [point.x, point.y]);
        numbers.map(|number| number as f32).collect()
    };
    match answer {
        Answer::Keypoints(keypoints) => flat(&keypoints.points),
        Answer::Landmarks(landmarks) => flat(&landmarks.points),
        Answer::Classification(classification) => classification.probabilities.clone(),
        Answer::Regression(regression) => regression.mean(),
        Answer::Embedding(embedding) => embedding.vector.clone(),
        Answer::Segmentation(_) | Answer::Overlaps(_) => panic!("{answer:?}"),
    }
}

/// Pixels that may differ, as a share: where classes are nearly as probable as each other.
const UNDECIDED: f64 = 0.0005;

fn assert_equal_pixels(name: &str, found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len());
    let several = expected.iter().any(|class| *class != expected[0]);
    assert!(several, "{name}: one class proves nothing");
    let pairs = found.iter().zip(expected);
    let different = pairs.filter(|(found, expected)| found != expected).count();
    assert!(
        different as f64 <= UNDECIDED * found.len() as f64,
        "{name}: {different} of {}",
        found.len()
    );
}

#[test]
fn class_maps_match_the_reference_with_and_without_halo() {
    for name in ["HaloSegmentationEnsemble", "SegmentationEnsemble"] {
        let Answer::Segmentation(found) = answer(name) else {
            panic!("{name} segments")
        };
        assert_eq!(found.classes, 4);
        let expected = Expected::open(name).bytes("map");
        assert_equal_pixels(name, found.class_map.as_raw(), &expected);
    }
}

#[test]
fn overlapping_classes_match_the_reference_bit_by_bit() {
    let name = "SegmentationEnsembleOverlaps";
    let Answer::Overlaps(found) = answer(name) else {
        panic!("{name} gives bits")
    };
    let expected = Expected::open(name).bytes("bits");
    assert!((0..4).all(|bits| expected.contains(&bits)), "all cases");
    assert_equal_pixels(name, found.bits.as_raw(), &expected);
}

#[test]
fn points_and_vectors_match_the_reference() {
    for (name, key) in [
        ("HeatmapRegressionEnsemble", "points"),
        ("KeypointsEnsemble", "points"),
        ("keypoints_flat", "points"),
        ("ClassificationEnsemble", "vector"),
        ("RegressionEnsemble", "vector"),
        ("values_flat", "vector"),
        ("EmbeddingEnsemble", "vector"),
    ] {
        let (found, expected) = (numbers(&answer(name)), Expected::open(name).floats(key));
        let largest = expected
            .iter()
            .fold(0.0_f32, |max, value| max.max(value.abs()));
        let difference = worst(&found, &expected);
        // A few layers in f32, relative to the largest value: a hundredth of a pixel for points.
        assert!(difference <= 1e-4 * largest, "{name}: {difference}");
    }
}

#[test]
fn the_two_rules_for_keypoints_differ_and_keep_the_same_maps() {
    let model = Model::open(fixture("ensembles/HeatmapRegressionEnsemble.pt")).unwrap();
    let ensemble = HeatmapEnsemble::load(&model, device()).unwrap();
    let predict = |keypoints| {
        let options = PredictOptions {
            preprocess: Some(PreprocessMode::Crop),
            keep_maps: true,
            keypoints,
            ..PredictOptions::default()
        };
        let mut answers = ensemble.predict_with(crop(), &options).unwrap();
        answers.remove(0).unwrap()
    };
    let of_sum = predict(KeypointRule::ArgmaxOfSum);
    let mean = predict(KeypointRule::MeanOfArgmax);
    assert_ne!(of_sum.points, mean.points);
    let maps = |keypoints: Keypoints| keypoints.heatmaps.unwrap();
    let (of_sum, mean) = (maps(of_sum), maps(mean));
    assert_eq!((of_sum.shape, mean.shape), ([2, 96, 96], [2, 96, 96]));
    assert!(worst(&of_sum.values, &mean.values) < 1e-4);
}

#[test]
fn flips_of_keypoints_are_flipped_back() {
    let model = Model::open(fixture("ensembles/KeypointsEnsemble.pt")).unwrap();
    let ensemble = KeypointsEnsemble::load(&model, device()).unwrap();
    let predict = |photograph: &Photograph, tta| {
        let options = PredictOptions {
            preprocess: Some(PreprocessMode::Crop),
            tta: Some(tta),
            ..PredictOptions::default()
        };
        let mut answers = ensemble.predict_with(photograph, &options).unwrap();
        answers.remove(0).unwrap().points
    };
    // The mean over all flips sees the same in a mirror, and there it is mirrored.
    let mirrored = image::imageops::flip_horizontal(crop().rgb());
    let mirrored = Photograph::from_rgb(96, 96, mirrored.into_raw()).unwrap();
    let (points, in_mirror) = (predict(&crop(), true), predict(&mirrored, true));
    for (point, in_mirror) in points.iter().zip(&in_mirror) {
        assert!((point.x + in_mirror.x - 96.0).abs() < 1e-3, "{point:?}");
        assert!((point.y - in_mirror.y).abs() < 1e-3, "{point:?}");
    }
    assert_ne!(points, predict(&crop(), false));
}

#[test]
fn an_answer_that_is_not_finite_fails_its_photograph_alone() {
    let bright = Photograph::from_rgb(64, 64, vec![255; 3 * 64 * 64]).unwrap();
    let dark = Photograph::from_rgb(64, 64, vec![100; 3 * 64 * 64]).unwrap();
    for name in [
        "overflowing_maps",
        "overflowing_bits",
        "overflowing_points",
        "overflowing_vector",
    ] {
        let model = Model::open(fixture(&format!("answers/{name}.pt"))).unwrap();
        let mut ensemble = AnyEnsemble::load(&model, device()).unwrap();
        for placement in [Placement::Host, Placement::Device { bytes: false }] {
            Arc::get_mut(&mut ensemble.runner).unwrap().placement = placement;
            for batch_size in [1, 3] {
                let photographs = [dark.clone(), bright.clone(), dark.clone()];
                let results = ensemble
                    .predict_with(&photographs, &simple(batch_size))
                    .unwrap();
                let failed = results.iter().map(Result::is_err);
                assert_eq!(failed.collect::<Vec<_>>(), [false, true, false], "{name}");
                let message = results[1].as_ref().unwrap_err().to_string();
                assert!(message.contains("not finite"), "{message}");
            }
        }
    }
}

#[test]
fn a_network_for_other_images_than_photographs_is_refused_with_the_reason() {
    let model = Model::open(fixture("answers/grey.pt")).unwrap();
    let error = AnyEnsemble::load(&model, device()).unwrap_err();
    assert!(
        error.to_string().contains("takes 1 channels"),
        "{error}, {:?}",
        model.notes()
    );
}
