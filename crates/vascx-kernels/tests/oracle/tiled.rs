//! Kernels of bf16: the plain sums of rounded values, rounded once.

use half::bf16;
use vascx_kernels::{
    Activation, Affine, Arithmetic, DepthwiseConvolution, Element, GroupNorm, InstructionSet,
    Neighbours, Shape, Sliding, TileSet, TiledConvolution, TiledTransposedConv2x2, activate_all,
    combine, convert, global_average, layer_norm, max_pool, resize,
};

use super::convolutions::{Layer, parts, sliding};
use super::{activation, apply, channels, largest, shape, values};

fn rounded(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|&value| bf16::from_f32(value)).collect()
}

fn widened(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}

/// Rounds everything that kernels get in bf16.
fn round(layer: &mut Layer) {
    let all = layer
        .maps
        .iter_mut()
        .chain([&mut layer.weights])
        .chain(&mut layer.residual);
    for values in all {
        *values = widened(&rounded(values));
    }
}

/// Half a unit in the last of 8 places, and f32's own errors of long sums.
fn check(what: &str, actual: &[bf16], expected: &[f64], sums: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let least = 2e-5 * largest(sums);
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (actual.to_f64() - expected).abs();
        let tolerance = expected.abs() / 255.0 + least;
        assert!(
            error <= tolerance,
            "{what}: {actual} instead of {expected} at {index}"
        );
    }
}

fn check_convolution(mut layer: Layer) {
    round(&mut layer);
    let sums = layer.sums(1);
    let expected: Vec<f64> = sums
        .iter()
        .map(|&sum| apply(layer.activation, sum))
        .collect();
    let inputs = layer.parts.iter().sum();
    let maps: Vec<_> = layer.maps.iter().map(|map| rounded(map)).collect();
    let parts: Vec<_> = maps
        .iter()
        .map(Vec::as_slice)
        .zip(layer.parts.iter().copied())
        .collect();
    for tiles in TileSet::available() {
        let (weights, bias) = (&layer.weights, Some(&layer.bias[..]));
        let convolution =
            TiledConvolution::new(tiles, weights, layer.outputs, inputs, bias, layer.sliding);
        let mut actual = rounded(&layer.output(sums.len()));
        convolution.run(layer.shape, &parts, layer.epilogue(), &mut actual);
        let what = format!(
            "{tiles:?} {:?} {:?} {:?}",
            layer.shape, layer.parts, layer.sliding
        );
        check(&what, &actual, &expected, &sums);
    }
}

#[test]
fn convolutions_on_tiles_are_plain_sums() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut tried = 0;
    while tried < 60 {
        let sliding = sliding(&mut random);
        let (parts, outputs) = (parts(&mut random, 3), channels(&mut random));
        if let Some(layer) = Layer::new(&mut random, sliding, parts, outputs) {
            tried += 1;
            check_convolution(layer);
        }
    }
}

/// Panels that are many, and too large to be held together.
#[test]
fn large_layers_on_tiles_are_plain_sums() {
    let mut random = fastrand::Rng::with_seed(22);
    let sliding = Sliding {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
    };
    let mut layer = Layer::new(&mut random, sliding, vec![256, 64], 200).unwrap();
    while layer.shape.pixels() > 200 {
        layer = Layer::new(&mut random, sliding, vec![256, 64], 200).unwrap();
    }
    check_convolution(layer);
}

#[test]
fn transposed_convolutions_on_tiles_are_plain_sums() {
    let mut random = fastrand::Rng::with_seed(23);
    let mut tried = 0;
    while tried < 30 {
        let shape = shape(&mut random);
        let (inputs, outputs) = (channels(&mut random), channels(&mut random));
        // The plain loop is slow.
        if shape.pixels() * inputs * outputs > 1 << 20 {
            continue;
        }
        tried += 1;
        let input = rounded(&values(&mut random, shape.pixels() * inputs));
        let weights = widened(&rounded(&values(&mut random, inputs * outputs * 4)));
        let bias = values(&mut random, outputs);
        let mut expected = Vec::new();
        for pixel in 0..4 * shape.pixels() {
            let (line, x) = (pixel / (2 * shape.width), pixel % (2 * shape.width));
            let source = line / 2 * shape.width + x / 2;
            for output in 0..outputs {
                let products = (0..inputs).map(|input_channel| {
                    let corner = line % 2 * 2 + x % 2;
                    let weight = weights[(input_channel * outputs + output) * 4 + corner];
                    f64::from(weight) * input[source * inputs + input_channel].to_f64()
                });
                expected.push(f64::from(bias[output]) + products.sum::<f64>());
            }
        }
        for tiles in TileSet::available() {
            let convolution =
                TiledTransposedConv2x2::new(tiles, &weights, inputs, outputs, Some(&bias));
            let mut actual = vec![bf16::NAN; expected.len()];
            convolution.run(shape, &input, &mut actual);
            let what = format!("{tiles:?} {shape:?} {inputs} -> {outputs}");
            check(&what, &actual, &expected, &expected);
        }
    }
}

/// Threads share bands of rows; a pass of one thread gives the same bits.
#[test]
fn threads_change_no_bit() {
    let mut random = fastrand::Rng::with_seed(24);
    let shape = Shape {
        images: 1,
        height: 37,
        width: 41,
    };
    let sliding = Sliding {
        kernel: [3, 3],
        stride: [2, 1],
        padding: [1, 1],
        dilation: [1, 1],
    };
    let (inputs, outputs) = (70, 33);
    let weights = values(&mut random, inputs * outputs * 9);
    let input = rounded(&values(&mut random, shape.pixels() * inputs));
    let results = sliding.output(shape).unwrap();
    for tiles in TileSet::available() {
        let convolution = TiledConvolution::new(tiles, &weights, outputs, inputs, None, sliding);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut output = vec![bf16::NAN; results.pixels() * outputs];
            let silu = Activation::Silu.into();
            pool.install(|| convolution.run(shape, &[(&input, inputs)], silu, &mut output));
            output
        };
        assert_eq!(run(1), run(7), "{tiles:?}");
    }
}

fn all_sets(check: impl Fn(InstructionSet)) {
    InstructionSet::available().into_iter().for_each(check);
}

/// Of values that are bf16 the largest is, too.
#[test]
fn maps_of_bf16_are_those_of_f32_rounded() {
    let mut random = fastrand::Rng::with_seed(25);
    for _ in 0..30 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let input = rounded(&values(&mut random, shape.pixels() * channels));
        let wide = widened(&input);
        let window = Sliding {
            kernel: [3, 2],
            stride: [2, 2],
            padding: [1, 0],
            dilation: [1, 1],
        };
        all_sets(|set| {
            if let Some(results) = window.output(shape) {
                let count = results.pixels() * channels;
                let (mut narrow_map, mut map) = (vec![bf16::NAN; count], vec![f32::NAN; count]);
                max_pool(set, shape, channels, window, &input, &mut narrow_map);
                max_pool(set, shape, channels, window, &wide, &mut map);
                assert_eq!(widened(&narrow_map), map, "{set:?}");
            }
            let mut means = [
                vec![0.0; shape.images * channels],
                vec![0.0; shape.images * channels],
            ];
            global_average(set, shape, channels, &input, &mut means[0]);
            global_average(set, shape, channels, &wide, &mut means[1]);
            assert_eq!(means[0], means[1], "{set:?}");
            let axis = |length: usize| {
                let place = |index: usize| Neighbours {
                    first: index / 2,
                    second: (index / 2 + 1).min(length - 1),
                    weight: if index.is_multiple_of(2) { 0.0 } else { 0.375 },
                };
                (0..2 * length).map(place).collect::<Vec<_>>()
            };
            let (rows, columns) = (axis(shape.height), axis(shape.width));
            let count = 4 * shape.pixels() * channels;
            let (mut narrow_map, mut map) = (vec![bf16::NAN; count], vec![f32::NAN; count]);
            resize(
                set,
                shape,
                channels,
                [&rows, &columns],
                &input,
                &mut narrow_map,
            );
            resize(set, shape, channels, [&rows, &columns], &wide, &mut map);
            assert_eq!(narrow_map, rounded(&map), "{set:?}");
        });
    }
}

/// Runs a kernel on values of both types; the results of bf16 must be those of f32, rounded once.
fn check_rounded_once(
    what: &str,
    count: usize,
    narrow: impl FnOnce(&mut [bf16]),
    wide: impl FnOnce(&mut [f32]),
) {
    let (mut narrow_output, mut wide_output) = (vec![bf16::NAN; count], vec![f32::NAN; count]);
    narrow(&mut narrow_output);
    wide(&mut wide_output);
    assert_eq!(narrow_output, rounded(&wide_output), "{what}");
}

#[test]
fn norms_and_arithmetic_of_bf16_are_those_of_f32_rounded_once() {
    let mut random = fastrand::Rng::with_seed(27);
    for _ in 0..40 {
        let (shape, channels) = (shape(&mut random), channels(&mut random));
        let count = shape.pixels() * channels;
        let input = rounded(&values(&mut random, count));
        let factors = rounded(&values(&mut random, shape.images * channels));
        let (scale, shift) = (values(&mut random, channels), values(&mut random, channels));
        let affine = Affine {
            scale: &scale,
            shift: &shift,
        };
        let activation = activation(&mut random);
        let norm = GroupNorm {
            groups: channels,
            epsilon: 1e-3,
            affine: Some(affine),
            activation,
        };
        let (wide, wide_factors) = (widened(&input), widened(&factors));
        all_sets(|set| {
            let what = format!("{set:?} {shape:?} {channels} {activation:?}");
            check_rounded_once(
                &what,
                count,
                |output| norm.run(set, shape, channels, &input, output),
                |output| norm.run(set, shape, channels, &wide, output),
            );
            check_rounded_once(
                &what,
                count,
                |output| layer_norm(set, 1e-3, affine, &input, output),
                |output| layer_norm(set, 1e-3, affine, &wide, output),
            );
            check_rounded_once(
                &what,
                count,
                |output| activate_all(set, activation, &input, output),
                |output| activate_all(set, activation, &wide, output),
            );
            let sizes = [shape.images, shape.height * shape.width, channels];
            let times = Arithmetic::Multiply;
            check_rounded_once(
                &what,
                count,
                |output| combine(set, times, &input, &factors, sizes, output),
                |output| combine(set, times, &wide, &wide_factors, sizes, output),
            );
        });
    }
}

#[test]
fn depthwise_convolutions_of_bf16_are_those_of_f32_rounded_once() {
    let mut random = fastrand::Rng::with_seed(28);
    let mut tried = 0;
    while tried < 40 {
        let (sliding, channels) = (sliding(&mut random), channels(&mut random));
        let Some(mut layer) = Layer::new(&mut random, sliding, vec![channels], 1) else {
            continue;
        };
        tried += 1;
        let count = sliding.output(layer.shape).unwrap().pixels() * channels;
        layer.residual = None;
        round(&mut layer);
        let input = rounded(&layer.maps[0]);
        let bias = values(&mut random, channels);
        all_sets(|set| {
            let (weights, bias) = (&layer.weights, Some(&bias[..]));
            let convolution =
                DepthwiseConvolution::with_instructions(set, weights, channels, bias, sliding);
            let (shape, activation) = (layer.shape, layer.activation);
            check_rounded_once(
                &format!("{set:?} {shape:?} {channels} {sliding:?}"),
                count,
                |output| convolution.run(shape, &input, activation, output),
                |output| convolution.run(shape, &layer.maps[0], activation, output),
            );
        });
    }
}

#[test]
fn conversion_rounds_to_the_nearest_even() {
    fn both_ways<I: Element, O: Element>(values: &[I]) -> Vec<O> {
        let mut output = vec![O::default(); values.len()];
        convert(values, &mut output);
        output
    }
    let mut random = fastrand::Rng::with_seed(26);
    let special = [
        0x3f80_8000,
        0x3f81_8000,
        0x3f80_8001,
        0x7f7f_ffff,
        0x7f80_0000,
        0x8000_0000,
    ];
    let mut input: Vec<f32> = special.map(f32::from_bits).to_vec();
    // No subnormal numbers, which AMX takes for zero as well.
    input.extend((0..1000).map(|_| (random.f32() - 0.5) * 2f32.powi(random.i32(-60..60))));
    assert_eq!(both_ways::<f32, bf16>(&input), rounded(&input));
    assert_eq!(
        both_ways::<bf16, f32>(&rounded(&input)),
        widened(&rounded(&input))
    );
    assert!(
        both_ways::<f32, bf16>(&[f32::NAN; 20])
            .into_iter()
            .all(bf16::is_nan)
    );
}
