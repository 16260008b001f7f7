//! Every kernel against a plain loop, over seeded random shapes and every instruction set.

mod convolutions;
mod maps;
mod tiled;

use vascx_kernels::{Activation, Shape};

fn values(random: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    std::iter::repeat_with(|| random.f32() * 2.0 - 1.0)
        .take(count)
        .collect()
}

fn shape(random: &mut fastrand::Rng) -> Shape {
    let sides = [1, 2, 3, 4, 5, 8, 13, 24, 37];
    Shape {
        images: random.usize(1..3),
        height: sides[random.usize(..sides.len())],
        width: sides[random.usize(..sides.len())],
    }
}

fn channels(random: &mut fastrand::Rng) -> usize {
    [1, 2, 3, 6, 8, 12, 16, 17, 32, 33, 48, 64, 70, 130][random.usize(..14)]
}

const ACTIVATIONS: [Activation; 9] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu(0.01),
    Activation::Clamp(-0.25, 0.5),
    Activation::Sigmoid,
    Activation::Silu,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::Gelu,
];

fn activation(random: &mut fastrand::Rng) -> Activation {
    ACTIVATIONS[random.usize(..ACTIVATIONS.len())]
}

fn apply(activation: Activation, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    let hard_sigmoid = (x / 6.0 + 0.5).clamp(0.0, 1.0);
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(slope) => x.max(x * f64::from(slope)),
        Activation::Clamp(least, most) => x.clamp(least.into(), most.into()),
        Activation::Sigmoid => sigmoid,
        Activation::Silu => x * sigmoid,
        Activation::HardSigmoid => hard_sigmoid,
        Activation::HardSwish => x * hard_sigmoid,
        Activation::Gelu => x * gaussian_distribution(x),
    }
}

/// Φ by its everywhere convergent series, summed until nothing changes.
fn gaussian_distribution(x: f64) -> f64 {
    if x.abs() > 7.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// `tolerance` is relative to the largest expected value, at least 1.
fn check(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    check_within(what, actual, expected, tolerance * largest(expected));
}

/// The largest magnitude, at least 1.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(1.0, |a, b| a.max(b.abs()))
}

fn check_within(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let error = |i: usize| (f64::from(actual[i]) - expected[i]).abs();
    let wrong: Vec<usize> = (0..expected.len())
        .filter(|&i| error(i).is_nan() || error(i) > tolerance)
        .collect();
    if let Some(&first) = wrong.first() {
        let worst = wrong
            .iter()
            .copied()
            .max_by(|&a, &b| error(a).total_cmp(&error(b)));
        panic!(
            "{what}: {} of {} values differ, the first at {first}: {} instead of {}; worst at {worst:?}",
            wrong.len(),
            expected.len(),
            actual[first],
            expected[first]
        );
    }
}
