use super::*;
use crate::augment::{flip, mean_over_flips};
use crate::preprocess::Pixels;
use crate::test_backend::on_both_backends;
use burn::tensor::{Distribution, ElementConversion};
use std::cell::Cell;

on_both_backends!(
    blending_an_echo_on_a_device_returns_the_image_whatever_the_passes,
    blending_an_echo_in_memory_returns_the_image_whatever_the_passes,
    memory_and_device_agree_on_members_and_flips,
    the_number_of_threads_changes_no_bit,
    each_window_is_computed_once_and_passes_are_full_across_images,
);

fn settings(window: [usize; 2], overlap: f64) -> InferenceSettings {
    InferenceSettings {
        window,
        halo: 0,
        overlap,
        blend: Blend::Gaussian,
        relative_sigma: InferenceSettings::RELATIVE_SIGMA,
        batch_size: 4,
        window_batch_size: 16,
        tta_flips: Vec::new(),
        normalised_keypoints: true,
    }
}

#[test]
fn windows_cover_the_axis_and_end_flush() {
    let along = |length, window: usize, overlap| {
        let settings = settings([window; 2], overlap);
        starts(length, window, stride(window, &settings))
    };
    assert_eq!(along(1024, 512, 0.5), [0, 256, 512]);
    assert_eq!(along(1000, 512, 0.5), [0, 256, 488]);
    assert_eq!(along(512, 512, 0.5), [0]);
    assert_eq!(along(10, 4, 0.0), [0, 4, 6]);
    assert_eq!(along(7, 4, 0.99), [0, 1, 2, 3]);
}

/// A "network" that returns its input twice as two members.
fn echo<B: Backend>(windows: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
    vec![windows.clone(), windows.neg()]
}

const SHAPES: [([usize; 2], f64, usize); 4] = [
    ([8, 8], 0.5, 1),
    ([8, 4], 0.25, 5),
    ([32, 32], 0.5, 16),
    ([16, 16], 0.0, 4),
];

fn random_images<B: Backend>() -> Tensor<B, 4> {
    let range = Distribution::Uniform(-1.0, 1.0);
    Tensor::random([3, 2, 21, 13], range, &Default::default())
}

fn worst<B: Backend, const D: usize>(found: Tensor<B, D>, expected: Tensor<B, D>) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    (found - expected).abs().max().into_scalar().elem()
}

fn blending_an_echo_on_a_device_returns_the_image_whatever_the_passes<B: Backend>() {
    let device = Default::default();
    let images = random_images::<B>();
    for (window, overlap, passes) in SHAPES {
        for weighting in [Weighting::Floored, Weighting::Unbounded] {
            let plan = WindowPlan::new([21, 13], &settings(window, overlap), weighting);
            let windows = DeviceWindows::new(plan, &device);
            for (member, sign) in [(0, 1.0), (1, -1.0)] {
                let network = |windows| echo(windows).swap_remove(member);
                let blended = windows.run(images.clone(), passes, network);
                let worst = worst(blended, images.clone() * sign);
                assert!(worst < 1e-6, "window {window:?}, {weighting:?}: {worst}");
            }
        }
    }
}

/// Runs windows in memory, over floats, and gives `[N, K, H, W]`.
fn run_on_host<B: Backend>(
    images: &Tensor<B, 4>,
    settings: &InferenceSettings,
    weighting: Weighting,
    per_pass: usize,
    members: Members,
    network: impl Fn(Tensor<B, 4>) -> Vec<Tensor<B, 4>>,
) -> Tensor<B, 4> {
    let device = Default::default();
    let [_, _, height, width] = images.dims();
    let pixels: Vec<Pixels> = images
        .clone()
        .iter_dim(0)
        .map(|image| Pixels::Floats(image.into_data().to_vec().unwrap()))
        .collect();
    let pixels: Vec<&Pixels> = pixels.iter().collect();
    let normalisation = vascx_format::Normalisation::NONE;
    let plan = WindowPlan::new([height, width], settings, weighting);
    let windows = HostWindows::new(&plan, normalisation);
    let flips = &settings.tta_flips;
    let maps = windows.run(&pixels, flips, per_pass, members, &device, network);
    let maps = maps.into_iter().map(|HostMaps { shape, values, .. }| {
        Tensor::<B, 3>::from_data(burn::tensor::TensorData::new(values, shape), &device)
    });
    Tensor::stack(maps.collect(), 0)
}

fn blending_an_echo_in_memory_returns_the_image_whatever_the_passes<B: Backend>() {
    let images = random_images::<B>();
    for (window, overlap, passes) in SHAPES {
        let settings = settings(window, overlap);
        for weighting in [Weighting::Floored, Weighting::Unbounded] {
            for (member, sign) in [(0, 1.0), (1, -1.0)] {
                let network = |windows| vec![echo(windows).swap_remove(member)];
                let (mean, images) = (Members::Mean, &images);
                let blended = run_on_host(images, &settings, weighting, passes, mean, network);
                let worst = worst(blended, images.clone() * sign);
                assert!(worst < 1e-6, "window {window:?}, {weighting:?}: {worst}");
            }
        }
    }
}

/// A "network" of two members and three maps that knows up from down and left from right.
fn lopsided<B: Backend>(windows: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
    let [count, channels, height, width] = windows.dims();
    let ramp: Vec<f32> = (0..height * width).map(|i| (i * 7 % 31) as f32).collect();
    let ramp = burn::tensor::TensorData::new(ramp, [1, 1, height, width]);
    let ramp = Tensor::<B, 4>::from_data(ramp, &windows.device());
    let first = windows.narrow(1, 0, 1) * ramp.clone();
    let maps = Tensor::cat(vec![first.clone(), first * 2.0 + ramp.clone()], 1);
    let third = ramp.expand([count, 1, height, width]);
    assert_eq!(channels, 2);
    let member = Tensor::cat(vec![maps, third], 1);
    vec![member.clone(), member * 0.5 - 1.0]
}

fn memory_and_device_agree_on_members_and_flips<B: Backend>() {
    let device = Default::default();
    let images = random_images::<B>();
    for (window, overlap, passes) in SHAPES {
        let mut settings = settings(window, overlap);
        settings.tta_flips = vec![vec![2], vec![3], vec![2, 3]];
        for (members, weighting) in [
            (Members::Mean, Weighting::Floored),
            (Members::Sum, Weighting::Unbounded),
        ] {
            let plan = WindowPlan::new([21, 13], &settings, weighting);
            let device_windows = DeviceWindows::new(plan, &device);
            let expected = mean_over_flips(
                images.clone(),
                &settings.tta_flips,
                |images| device_windows.run(images, passes, |w| members.combine(lopsided(w))),
                flip,
            );
            let found = run_on_host(&images, &settings, weighting, passes, members, lopsided);
            let worst = worst(found, expected);
            // Sums in another order, of values below 200.
            assert!(worst < 1e-4, "window {window:?}, {members:?}: {worst}");
        }
    }
}

fn the_number_of_threads_changes_no_bit<B: Backend>() {
    let images = random_images::<B>();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let settings = settings([8, 4], 0.5);
        let weighting = Weighting::Floored;
        let run =
            || run_on_host(&images, &settings, weighting, 5, Members::Mean, lopsided).into_data();
        pool.build().unwrap().install(run)
    };
    let expected = run(1);
    for threads in [2, 3, 8] {
        run(threads).assert_eq(&expected, true);
    }
}

fn each_window_is_computed_once_and_passes_are_full_across_images<B: Backend>() {
    let device = Default::default();
    let settings = settings([4, 4], 0.5);
    let images = Tensor::<B, 4>::zeros([3, 1, 8, 8], &device);
    let (passes, windows) = (Cell::new(0), Cell::new(0));
    let network = |batch: Tensor<B, 4>| {
        passes.set(passes.get() + 1);
        windows.set(windows.get() + batch.dims()[0]);
        echo(batch)
    };
    // 3 × 3 windows per image; 27 windows fill seven passes of four.
    let weighting = Weighting::Unbounded;
    let plan = WindowPlan::new([8, 8], &settings, weighting);
    let combined = |windows| Members::Mean.combine(network(windows));
    DeviceWindows::new(plan, &device).run(images.clone(), 4, combined);
    assert_eq!((windows.take(), passes.take()), (27, 7));
    run_on_host(&images, &settings, weighting, 4, Members::Mean, network);
    assert_eq!((windows.take(), passes.take()), (27, 7));
}

#[test]
fn probabilities_of_a_pixel_sum_to_one() {
    let shape = [3, 70, 90];
    let values = (0..3 * 70 * 90).map(|i| (i * 37 % 101) as f32 / 10.0 - 5.0);
    let maps = HostMaps {
        shape,
        values: values.collect(),
        finite: true,
    };
    let logits = maps.values.clone();
    let found = maps.softmax().values;
    for pixel in 0..70 * 90 {
        let at = |values: &[f32]| [0, 1, 2].map(|map| values[map * 70 * 90 + pixel]);
        let exponents = at(&logits).map(f32::exp);
        let sum: f32 = exponents.iter().sum();
        for (found, exponent) in at(&found).into_iter().zip(exponents) {
            assert!((found - exponent / sum).abs() < 1e-6, "pixel {pixel}");
        }
    }
}
