//! Answers computed as on a card, which keeps images and maps, against those of the host.

use burn::backend::NdArray;

use super::*;

/// An ensemble that treats the test backend as a card, on `devices` of them.
fn as_card<A: TaskAnswer>(model: &str, devices: usize, bytes: bool) -> TaskEnsemble<A> {
    let model = open(model);
    let ensemble = if device() == Device::NdArray {
        TaskEnsemble::load_backend::<NdArray>(&model, &vec![Default::default(); devices])
    } else {
        TaskEnsemble::load_backend::<Flex>(&model, &vec![Default::default(); devices])
    };
    let mut ensemble = ensemble.unwrap();
    let runner = Arc::get_mut(&mut ensemble.runner).unwrap();
    runner.placement = Placement::Device { bytes };
    ensemble
}

/// Equal answers: classes and places of maxima do not hang on the last bit, in which maps may differ.
fn assert_same_on_a_card<A: TaskAnswer + PartialEq + std::fmt::Debug>(
    model: &str,
    preprocess: PreprocessMode,
) {
    let photographs = &seventeen()[..9];
    let options = PredictOptions {
        batch_size: Some(BatchSize::Photographs(4)),
        preprocess: Some(preprocess),
        ..PredictOptions::default()
    };
    let unwrap = |results: Result<Vec<Result<A>>>| -> Vec<A> {
        results.unwrap().into_iter().map(Result::unwrap).collect()
    };
    let expected = unwrap(load::<A>(model).predict_with(photographs, &options));
    for (devices, bytes) in [(1, false), (3, true)] {
        let card = as_card::<A>(model, devices, bytes);
        assert_eq!(card.runner.workers(), 2 * devices);
        let found = unwrap(card.predict_with(photographs, &options));
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                found == expected,
                "{model}, {preprocess:?} on {devices} devices, bytes {bytes}: photograph {index} \
                 differs"
            );
        }
    }
}

#[test]
fn a_card_gives_the_same_class_maps_as_the_host() {
    for mode in [
        PreprocessMode::Full,
        PreprocessMode::Simple,
        PreprocessMode::Resize,
    ] {
        assert_same_on_a_card::<Segmentation>("unet_m1", mode);
        assert_same_on_a_card::<Segmentation>("unet_instance_bilinear_m2", mode);
    }
}

#[test]
fn a_card_gives_the_same_points_and_vectors_as_the_host() {
    assert_same_on_a_card::<Keypoints>("unet_group_nearest_m3", PreprocessMode::Simple);
    assert_same_on_a_card::<Classification>("resnet18_m3", PreprocessMode::Full);
    assert_same_on_a_card::<Regression>("resnet34_regression_m1", PreprocessMode::Resize);
}

#[test]
fn a_card_gives_maps_where_they_are_wanted() {
    let photographs = [photograph(64, 50, 1), photograph(40, 70, 2)];
    let host = load::<Segmentation>("unet_m1");
    let card = as_card::<Segmentation>("unet_m1", 1, true);
    let found = answers(&card, &photographs, 2);
    let expected = answers(&host, &photographs, 2);
    let card_logits = card.logits(&photographs, &simple(2)).unwrap();
    let expected_logits = host.logits(&photographs, &simple(2)).unwrap();
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.class_map, expected.class_map);
        // Windows are weighted before or after they are added up.
        let close = |found: &[f32], expected: &[f32]| assert!(worst(found, expected) < 1e-5);
        close(
            &found.probabilities().unwrap().values,
            &expected.probabilities().unwrap().values,
        );
        let logits = |results: &[Result<Logits>]| results[index].as_ref().unwrap().values.clone();
        close(&logits(&card_logits), &logits(&expected_logits));
    }
}

#[test]
fn what_is_reduced_on_a_card_is_only_what_was_asked_for() {
    let photographs = [photograph(70, 50, 1)];
    let card = as_card::<Segmentation>("unet_m1", 1, true);
    let taken = |preprocess, keep_maps| {
        let options = PredictOptions {
            preprocess: Some(preprocess),
            ..PredictOptions::default()
        };
        let plan = Plan::of(&card.runner, &options, Wanted::answers(keep_maps), false);
        let photographs = Sources::from(&photographs[..]);
        let results = plan.unwrap().collect(photographs, &options, |computed| {
            computed.into_answer().values
        });
        results.unwrap().remove(0).unwrap()
    };
    let classes = |undone, pixels| match taken(
        if undone {
            PreprocessMode::Simple
        } else {
            PreprocessMode::Full
        },
        false,
    ) {
        Values::Classes {
            data, undone: u, ..
        } => assert_eq!((data.len(), u), (pixels, undone)),
        other => panic!("{other:?}"),
    };
    // A crop is picked from, on the host; what was resized is interpolated on the card.
    classes(false, 64 * 64);
    classes(true, 70 * 50);
    let maps = taken(PreprocessMode::Simple, true);
    assert!(matches!(
        maps,
        Values::Numbers {
            shape: [2, 64, 64],
            ..
        }
    ));
}

on_both_backends!(large_maps_are_brought_back_in_bands);

fn large_maps_are_brought_back_in_bands<B: Backend>() {
    // 2 classes × 6000 columns: bands of 2796 rows.
    let geometry = Geometry::stretched(
        crate::geometry::Size {
            width: 6000,
            height: 5700,
        },
        crate::geometry::Size::square(16),
    );
    let values: Vec<f32> = (0..2 * 256_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32)
        .collect();
    let data = TensorData::new(values.clone(), [2, 16, 16]);
    let maps = Tensor::<B, 3>::from_data(data, &Default::default());
    let bands: Vec<_> = undo::to_photograph(maps, &geometry).collect();
    assert_eq!(bands.len(), 3);
    let expected = geometry.maps_to_photograph(&values, |values| values[1]);
    let mut row = 0;
    for band in bands {
        let [_, height, width] = band.dims();
        let found: Vec<f32> = band.narrow(0, 1, 1).into_data().to_vec().unwrap();
        assert!(
            found == expected[row * width..][..height * width],
            "from row {row}"
        );
        row += height;
    }
    assert_eq!(row, 5700);
}
