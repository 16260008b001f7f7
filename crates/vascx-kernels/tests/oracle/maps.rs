use vascx_kernels::{
    Affine, Arithmetic, GroupNorm, InstructionSet, Neighbours, Shape, Sliding, activate_all,
    combine, global_average, layer_norm, max_pool, put_channels_last, resize,
};

use super::{ACTIVATIONS, activation, apply, channels, check, shape, values};

#[test]
fn pooling_takes_the_largest_and_keeps_nan() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut tried = 0;
    while tried < 60 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let kernel = [random.usize(1..4), random.usize(1..4)];
        let window = Sliding {
            kernel,
            stride: [random.usize(1..3), random.usize(1..3)],
            padding: kernel.map(|side| random.usize(..=side / 2)),
            dilation: [1, random.usize(1..3)],
        };
        let Some(results) = window.output(shape) else {
            continue;
        };
        // A dilated window at the edge may see nothing but padding, which PyTorch refuses.
        if window.dilation[1] > 1 && window.padding[1] > 0 {
            continue;
        }
        tried += 1;
        let mut input = values(&mut random, shape.pixels() * channels);
        input[0] = f32::NAN;
        for set in InstructionSet::available() {
            let mut actual = vec![0.0; results.pixels() * channels];
            max_pool(set, shape, channels, window, &input, &mut actual);
            for (index, &actual) in actual.iter().enumerate() {
                let (channel, pixel) = (index % channels, index / channels);
                let (line, x) = (pixel / results.width, pixel % results.width);
                let (n, y) = (line / results.height, line % results.height);
                let mut seen = Vec::new();
                for tap in 0..kernel[0] * kernel[1] {
                    let y = y * window.stride[0] + tap / kernel[1] * window.dilation[0];
                    let x = x * window.stride[1] + tap % kernel[1] * window.dilation[1];
                    let (y, x) = (
                        y.wrapping_sub(window.padding[0]),
                        x.wrapping_sub(window.padding[1]),
                    );
                    if y < shape.height && x < shape.width {
                        let pixel = (n * shape.height + y) * shape.width + x;
                        seen.push(input[pixel * channels + channel]);
                    }
                }
                if seen.iter().any(|value| value.is_nan()) {
                    assert!(actual.is_nan(), "{set:?} {shape:?} {window:?}");
                } else {
                    let largest = seen.into_iter().fold(f32::NEG_INFINITY, f32::max);
                    assert_eq!(actual, largest, "{set:?} {shape:?} {window:?}");
                }
            }
        }
    }
}

#[test]
fn averages_are_those_of_channels() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..30 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let input = values(&mut random, shape.pixels() * channels);
        let pixels = shape.height * shape.width;
        let expected: Vec<f64> = input
            .chunks_exact(pixels * channels)
            .flat_map(|image| (0..channels).map(move |channel| (image, channel)))
            .map(|(image, channel)| {
                let values = image.iter().skip(channel).step_by(channels);
                values.map(|&value| f64::from(value)).sum::<f64>() / pixels as f64
            })
            .collect();
        for set in InstructionSet::available() {
            let mut actual = vec![f32::NAN; expected.len()];
            global_average(set, shape, channels, &input, &mut actual);
            let what = format!("{set:?} {shape:?} {channels}");
            // Rows are summed in f32.
            check(&what, &actual, &expected, 1e-6);
        }
    }
}

#[test]
fn channels_last_is_another_order() {
    let mut random = fastrand::Rng::with_seed(10);
    for _ in 0..20 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let input = values(&mut random, shape.pixels() * channels);
        let mut actual = vec![f32::NAN; input.len()];
        put_channels_last(shape, channels, &input, &mut actual);
        let pixels = shape.height * shape.width;
        for (index, value) in actual.into_iter().enumerate() {
            let (pixel, channel) = (index / channels, index % channels);
            let (image, pixel) = (pixel / pixels, pixel % pixels);
            assert_eq!(value, input[(image * channels + channel) * pixels + pixel]);
        }
    }
}

#[test]
fn group_norm_follows_its_definition() {
    let mut random = fastrand::Rng::with_seed(8);
    for _ in 0..40 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let divisors: Vec<usize> = (1..=channels).filter(|g| channels % g == 0).collect();
        let groups = divisors[random.usize(..divisors.len())];
        let mut input = values(&mut random, shape.pixels() * channels);
        // A mean far from zero, of which nothing may remain.
        for value in &mut input {
            *value += 30.0;
        }
        let (scale, shift) = (values(&mut random, channels), values(&mut random, channels));
        let affine = random.bool();
        let norm = GroupNorm {
            groups,
            epsilon: 1e-3,
            affine: affine.then_some(Affine {
                scale: &scale,
                shift: &shift,
            }),
            activation: activation(&mut random),
        };
        let (pixels, size) = (shape.height * shape.width, channels / groups);
        let mut expected = vec![0.0; input.len()];
        for n in 0..shape.images {
            for group in 0..groups {
                let indices = || {
                    (0..pixels * size)
                        .map(move |i| (n * pixels + i / size) * channels + group * size + i % size)
                };
                let count = (pixels * size) as f64;
                let mean = indices().map(|i| f64::from(input[i])).sum::<f64>() / count;
                let squares = indices().map(|i| (f64::from(input[i]) - mean).powi(2));
                let spread = (squares.sum::<f64>() / count + norm.epsilon).sqrt();
                for i in indices() {
                    let (factor, addend) = if affine {
                        (scale[i % channels].into(), shift[i % channels].into())
                    } else {
                        (1.0, 0.0)
                    };
                    let value = (f64::from(input[i]) - mean) / spread * factor + addend;
                    expected[i] = apply(norm.activation, value);
                }
            }
        }
        for set in InstructionSet::available() {
            let mut actual = vec![f32::NAN; input.len()];
            norm.run(set, shape, channels, &input, &mut actual);
            let what = format!("{set:?} {shape:?} {channels} in {groups}");
            // The input's own rounding, 30 · 2⁻²⁴, over a spread that may be as small as √ε.
            check(&what, &actual, &expected, 2e-4);
        }
    }
}

#[test]
fn layer_norm_follows_its_definition() {
    let mut random = fastrand::Rng::with_seed(9);
    for _ in 0..40 {
        let (rows, columns) = (random.usize(1..300), channels(&mut random));
        let input = values(&mut random, rows * columns);
        let (scale, shift) = (values(&mut random, columns), values(&mut random, columns));
        let expected: Vec<f64> = input
            .chunks_exact(columns)
            .flat_map(|row| {
                let count = columns as f64;
                let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
                let squares = row.iter().map(|&x| (f64::from(x) - mean).powi(2));
                let spread = (squares.sum::<f64>() / count + 1e-3).sqrt();
                let affine = scale.iter().zip(&shift);
                row.iter()
                    .zip(affine)
                    .map(move |(&x, (&scale, &shift))| {
                        (f64::from(x) - mean) / spread * f64::from(scale) + f64::from(shift)
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        for set in InstructionSet::available() {
            let affine = Affine {
                scale: &scale,
                shift: &shift,
            };
            let mut actual = vec![f32::NAN; input.len()];
            layer_norm(set, 1e-3, affine, &input, &mut actual);
            // A few roundings, over a spread that may be as small as √ε.
            check(
                &format!("{set:?} {rows} × {columns}"),
                &actual,
                &expected,
                1e-5,
            );
        }
    }
}

#[test]
fn resizing_weighs_four_pixels() {
    let mut random = fastrand::Rng::with_seed(10);
    for _ in 0..40 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let input = values(&mut random, shape.pixels() * channels);
        let mut neighbours = |length: usize| -> Vec<Neighbours> {
            (0..random.usize(1..20))
                .map(|_| Neighbours {
                    first: random.usize(..length),
                    second: random.usize(..length),
                    weight: [0.0, random.f32()][random.usize(..2)],
                })
                .collect()
        };
        let (rows, columns) = (neighbours(shape.height), neighbours(shape.width));
        let at = |n: usize, y: usize, x: usize, channel: usize| {
            let Shape { height, width, .. } = shape;
            f64::from(input[((n * height + y) * width + x) * channels + channel])
        };
        let mut expected = Vec::new();
        for n in 0..shape.images {
            for row in &rows {
                for column in &columns {
                    for channel in 0..channels {
                        let (below, right) = (f64::from(row.weight), f64::from(column.weight));
                        let line = |y: usize| {
                            at(n, y, column.first, channel) * (1.0 - right)
                                + at(n, y, column.second, channel) * right
                        };
                        expected.push(line(row.first) * (1.0 - below) + line(row.second) * below);
                    }
                }
            }
        }
        for set in InstructionSet::available() {
            let mut actual = vec![f32::NAN; expected.len()];
            resize(set, shape, channels, [&rows, &columns], &input, &mut actual);
            // A few roundings.
            check(
                &format!("{set:?} {shape:?} {channels}"),
                &actual,
                &expected,
                1e-6,
            );
        }
    }
}

#[test]
fn arithmetic_repeats_its_second_operand() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..60 {
        let sizes = [
            random.usize(1..4),
            random.usize(1..3000),
            channels(&mut random),
        ];
        let [outer, repeat, inner] = sizes;
        let a = values(&mut random, outer * repeat * inner);
        let b: Vec<f32> = values(&mut random, outer * inner)
            .into_iter()
            .map(|b| b + 1.5)
            .collect();
        let (arithmetic, function): (_, fn(f64, f64) -> f64) = [
            (Arithmetic::Add, (|a, b| a + b) as fn(f64, f64) -> f64),
            (Arithmetic::Subtract, |a, b| a - b),
            (Arithmetic::Multiply, |a, b| a * b),
            (Arithmetic::Divide, |a, b| a / b),
        ][random.usize(..4)];
        let expected: Vec<f64> = (0..a.len())
            .map(|i| {
                let b = b[i / (repeat * inner) * inner + i % inner];
                function(a[i].into(), b.into())
            })
            .collect();
        for set in InstructionSet::available() {
            let mut actual = vec![f32::NAN; a.len()];
            combine(set, arithmetic, &a, &b, sizes, &mut actual);
            let what = format!("{set:?} {sizes:?} {arithmetic:?}");
            // A few roundings.
            check(&what, &actual, &expected, 1e-6);
        }
    }
}

/// From far below to far above what the exponential function holds.
#[test]
fn activations_hold_over_the_whole_range() {
    let mut input: Vec<f32> = (-4000..4000).map(|i| i as f32 * 0.005).collect();
    input.extend([-1e30, -200.0, -88.5, -0.0, 88.5, 200.0, 1e30]);
    for activation in ACTIVATIONS {
        let expected: Vec<f64> = input.iter().map(|&x| apply(activation, x.into())).collect();
        for set in InstructionSet::available() {
            let mut actual = vec![0.0; input.len()];
            activate_all(set, activation, &input, &mut actual);
            for ((&x, &actual), &expected) in input.iter().zip(&actual).zip(&expected) {
                let error = (f64::from(actual) - expected).abs();
                // A few roundings of the result; GELU is within 3e-7 of |x|.
                let tolerance = 1e-6 * expected.abs() + 3e-7 * f64::from(x.abs().min(10.0)) + 1e-36;
                assert!(
                    error <= tolerance,
                    "{set:?} {activation:?} {x}: {actual}, {expected}"
                );
            }
            let mut nan = [0.0; 3];
            activate_all(set, activation, &[f32::NAN; 3], &mut nan);
            assert!(
                nan.iter().all(|x| x.is_nan()),
                "{set:?} {activation:?}: {nan:?}"
            );
        }
    }
}
