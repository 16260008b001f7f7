//! What a caller sees of a call: panics, cancellation, answers that are stored and shared.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

#[test]
fn a_panic_of_a_worker_reaches_the_caller() {
    let ensemble = load::<Segmentation>("unet_m1");
    // No multiple of what the network halves; inputs from files cannot get here.
    let tensor = Tensor::<Flex, 3>::zeros([3, 64, 64], &Default::default());
    let mut ensemble = ensemble;
    Arc::get_mut(&mut ensemble.runner)
        .unwrap()
        .manifest
        .inference
        .window = [63, 63];
    let stream = ensemble
        .predict_iter([((), tensor)], &PredictOptions::default())
        .unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| stream.count()));
    assert!(outcome.is_err());
}

#[test]
fn a_panic_of_the_callers_iterator_reaches_the_caller_after_the_answers_before_it() {
    let ensemble = load::<Segmentation>("unet_m1");
    let inputs = (0..10).map(|index| {
        assert!(index < 4, "no more");
        (index, photograph(64, 64, index))
    });
    let mut stream = ensemble.predict_iter(inputs, &simple(2)).unwrap();
    for expected in 0..4 {
        let (index, answer) = stream.next().unwrap();
        assert!(index == expected && answer.is_ok());
    }
    let panic = catch_unwind(AssertUnwindSafe(|| stream.next().is_none())).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no more"));
    assert!(stream.next().is_none());
}

#[test]
fn what_is_not_begun_is_cancelled() {
    let ensemble = load::<Segmentation>("unet_m1");
    let options = simple(1);
    let cancel = options.cancel.clone();
    let inputs = (0..10).map(move |index| {
        if index == 3 {
            cancel.cancel();
        }
        (index, photograph(64, 64, index))
    });
    let stream = ensemble.predict_iter(inputs, &options).unwrap();
    let done = stream.map(|(_, answer)| match answer {
        Ok(_) => true,
        Err(Error::Cancelled) => false,
        Err(error) => panic!("{error}"),
    });
    let done: Vec<bool> = done.collect();
    assert_eq!(done, [[true; 3].as_slice(), &[false; 7]].concat());
    let results = ensemble.predict_with(&[photograph(64, 64, 1)], &options);
    assert!(matches!(results.unwrap()[..], [Err(Error::Cancelled)]));
}

#[test]
fn answers_come_back_from_json_as_they_were() {
    for (model, keep_maps) in [
        ("unet_m1", false),
        ("unet_group_nearest_m3", true),
        ("resnet18_m3", true),
        ("resnet34_regression_m1", true),
    ] {
        let ensemble = load::<Answer>(model);
        let options = PredictOptions {
            keep_maps,
            ..simple(1)
        };
        let mut answers = ensemble
            .predict_with(photograph(40, 30, 1), &options)
            .unwrap();
        let answer = answers.remove(0).unwrap();
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["task"], ensemble.manifest().task.name());
        assert_eq!(serde_json::from_value::<Answer>(json).unwrap(), answer);
    }
}

#[test]
fn ensembles_and_answers_go_from_thread_to_thread() {
    fn check<T: Send + 'static>() {}
    fn check_shared<T: Send + Sync + Clone + 'static>() {}
    check_shared::<AnyEnsemble>();
    check_shared::<SegmentationEnsemble>();
    check_shared::<Answer>();
    check_shared::<PredictOptions>();
    check::<Answers<String, Answer>>();
}
