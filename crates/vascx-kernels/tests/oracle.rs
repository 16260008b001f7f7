//! Every kernel against a plain loop, over seeded random shapes and every instruction set.

use vascx_kernels::{
    Activation, Conv1x1, Conv3x3, InstructionSet, Shape, TransposedConv2x2, max_pool_2x2,
};

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

fn activation(random: &mut fastrand::Rng) -> Activation {
    [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu(0.01),
    ][random.usize(..3)]
}

fn apply(activation: Activation, value: f64) -> f64 {
    match activation {
        Activation::Identity => value,
        Activation::Relu => value.max(0.0),
        Activation::LeakyRelu(slope) => value.max(value * f64::from(slope)),
    }
}

/// `tolerance` is relative to the largest expected value, at least 1.
fn check(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    let largest = expected.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    let wrong: Vec<usize> = (0..expected.len())
        .filter(|&i| (f64::from(actual[i]) - expected[i]).abs() > tolerance * largest)
        .collect();
    if let Some(&first) = wrong.first() {
        panic!(
            "{what}: {} of {} values differ, the first at {first}: {} instead of {}",
            wrong.len(),
            expected.len(),
            actual[first],
            expected[first]
        );
    }
    assert_eq!(actual.len(), expected.len(), "{what}");
}

#[test]
fn conv3x3_is_the_plain_sum() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..40 {
        let (shape, outputs, activation) = (
            shape(&mut random),
            channels(&mut random),
            activation(&mut random),
        );
        let parts: Vec<usize> = (0..random.usize(1..4))
            .map(|_| channels(&mut random))
            .collect();
        let inputs: usize = parts.iter().sum();
        let maps: Vec<Vec<f32>> = parts
            .iter()
            .map(|channels| values(&mut random, shape.pixels() * channels))
            .collect();
        let weights = values(&mut random, outputs * inputs * 9);
        let bias = values(&mut random, outputs);
        let at = |n: usize, y: isize, x: isize, mut channel: usize| -> f64 {
            let (Ok(y), Ok(x)) = (usize::try_from(y), usize::try_from(x)) else {
                return 0.0;
            };
            if y >= shape.height || x >= shape.width {
                return 0.0;
            }
            for (map, &channels) in maps.iter().zip(&parts) {
                if channel < channels {
                    let pixel = (n * shape.height + y) * shape.width + x;
                    return map[pixel * channels + channel].into();
                }
                channel -= channels;
            }
            unreachable!()
        };
        let mut expected = Vec::new();
        for n in 0..shape.images {
            for y in 0..shape.height as isize {
                for x in 0..shape.width as isize {
                    for output in 0..outputs {
                        let mut sum = f64::from(bias[output]);
                        for input in 0..inputs {
                            for tap in 0..9 {
                                let weight = weights[(output * inputs + input) * 9 + tap];
                                let (i, j) = ((tap / 3) as isize - 1, (tap % 3) as isize - 1);
                                sum += f64::from(weight) * at(n, y + i, x + j, input);
                            }
                        }
                        expected.push(apply(activation, sum));
                    }
                }
            }
        }
        let refs: Vec<(&[f32], usize)> = maps
            .iter()
            .map(Vec::as_slice)
            .zip(parts.iter().copied())
            .collect();
        for set in InstructionSet::available() {
            let convolution =
                Conv3x3::with_instructions(set, &weights, outputs, inputs, Some(&bias));
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run(shape, &refs, activation, &mut actual);
            let what = format!("{} {shape:?} {parts:?} -> {outputs}", set.name());
            // Winograd's transforms cancel: errors are some tens of 2⁻²⁴ of the largest value.
            check(&what, &actual, &expected, 3e-5);
        }
    }
}

#[test]
fn pointwise_convolutions_are_plain_sums() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..60 {
        let (shape, inputs, outputs, activation) = (
            shape(&mut random),
            channels(&mut random),
            channels(&mut random),
            activation(&mut random),
        );
        let input = values(&mut random, shape.pixels() * inputs);
        let bias = values(&mut random, outputs);

        let weights = values(&mut random, outputs * inputs);
        let product = |pixel: &[f32], weight: &dyn Fn(usize) -> f32, bias: f32| {
            let terms = pixel.iter().enumerate();
            let sum: f64 = terms
                .map(|(i, &v)| f64::from(v) * f64::from(weight(i)))
                .sum();
            sum + f64::from(bias)
        };
        let expected: Vec<f64> = input
            .chunks_exact(inputs)
            .flat_map(|pixel| (0..outputs).map(move |output| (pixel, output)))
            .map(|(pixel, output)| {
                let sum = product(pixel, &|i| weights[output * inputs + i], bias[output]);
                apply(activation, sum)
            })
            .collect();
        for set in InstructionSet::available() {
            let convolution =
                Conv1x1::with_instructions(set, &weights, outputs, inputs, Some(&bias));
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run(&input, activation, &mut actual);
            let what = format!("1 × 1 {} {shape:?} {inputs} -> {outputs}", set.name());
            // Sums of at most 130 terms.
            check(&what, &actual, &expected, 1e-5);
        }

        let weights = values(&mut random, outputs * inputs * 4);
        let mut expected = vec![0.0; shape.pixels() * 4 * outputs];
        for (index, pixel) in input.chunks_exact(inputs).enumerate() {
            let (row, x) = (index / shape.width, index % shape.width);
            for corner in 0..4 {
                for output in 0..outputs {
                    let weight = |i: usize| weights[(i * outputs + output) * 4 + corner];
                    let (row, x) = (2 * row + corner / 2, 2 * x + corner % 2);
                    expected[(row * 2 * shape.width + x) * outputs + output] =
                        product(pixel, &weight, bias[output]);
                }
            }
        }
        for set in InstructionSet::available() {
            let convolution =
                TransposedConv2x2::with_instructions(set, &weights, inputs, outputs, Some(&bias));
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run(shape, &input, &mut actual);
            let what = format!("transposed {} {shape:?} {inputs} -> {outputs}", set.name());
            check(&what, &actual, &expected, 1e-5);
        }
    }
}

#[test]
fn pooling_takes_the_largest_of_four() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..40 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let Shape {
            images,
            height,
            width,
        } = shape;
        let mut input = values(&mut random, shape.pixels() * channels);
        input[0] = f32::NAN;
        let (rows, columns) = (height / 2, width / 2);
        let mut actual = vec![0.0; images * rows * columns * channels];
        max_pool_2x2(shape, channels, &input, &mut actual);
        for (index, &actual) in actual.iter().enumerate() {
            let (channel, pixel) = (index % channels, index / channels);
            let (n, y, x) = (
                pixel / (rows * columns),
                pixel / columns % rows,
                pixel % columns,
            );
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| {
                input[((n * height + 2 * y + i) * width + 2 * x + j) * channels + channel]
            });
            if four.iter().any(|value| value.is_nan()) {
                assert!(actual.is_nan());
            } else {
                assert_eq!(actual, four.into_iter().fold(f32::MIN, f32::max));
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut random = fastrand::Rng::with_seed(4);
    let shape = Shape {
        images: 2,
        height: 61,
        width: 45,
    };
    let (inputs, outputs) = (20, 40);
    let input = values(&mut random, shape.pixels() * inputs);
    let weights = values(&mut random, outputs * inputs * 9);
    let convolution = Conv3x3::new(&weights, outputs, inputs, None);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut output = vec![0.0; shape.pixels() * outputs];
        pool.install(|| {
            convolution.run(shape, &[(&input, inputs)], Activation::Relu, &mut output);
        });
        output
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}
