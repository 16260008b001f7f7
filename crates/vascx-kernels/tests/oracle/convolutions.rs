use vascx_kernels::{
    Activation, Conv3x3, Convolution, DepthwiseConvolution, Epilogue, InstructionSet, Shape,
    Sliding, TransposedConv2x2, global_average, max_pool,
};

use super::{activation, apply, channels, check, check_within, largest, shape, values};

const SAME_3X3: Sliding = Sliding {
    kernel: [3, 3],
    stride: [1, 1],
    padding: [1, 1],
    dilation: [1, 1],
};

/// Channels of up to `most` parts.
pub(super) fn parts(random: &mut fastrand::Rng, most: usize) -> Vec<usize> {
    (0..random.usize(1..=most))
        .map(|_| channels(random))
        .collect()
}

/// A layer with random weights and input.
pub(super) struct Layer {
    pub(super) shape: Shape,
    /// Channels of the parts of the input.
    pub(super) parts: Vec<usize>,
    pub(super) maps: Vec<Vec<f32>>,
    pub(super) outputs: usize,
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) sliding: Sliding,
    pub(super) residual: Option<Vec<f32>>,
    pub(super) activation: Activation,
}

impl Layer {
    pub(super) fn new(
        random: &mut fastrand::Rng,
        sliding: Sliding,
        parts: Vec<usize>,
        outputs: usize,
    ) -> Option<Self> {
        let shape = shape(random);
        let results = sliding.output(shape)?;
        let maps = parts
            .iter()
            .map(|channels| values(random, shape.pixels() * channels))
            .collect();
        let inputs: usize = parts.iter().sum();
        let taps = sliding.kernel[0] * sliding.kernel[1];
        Some(Self {
            shape,
            maps,
            outputs,
            weights: values(random, outputs * inputs * taps),
            bias: values(random, outputs),
            sliding,
            residual: random
                .bool()
                .then(|| values(random, results.pixels() * outputs)),
            activation: activation(random),
            parts,
        })
    }

    pub(super) fn epilogue(&self) -> Epilogue {
        Epilogue {
            residual: self.residual.is_some(),
            activation: self.activation,
        }
    }

    /// What results are written to: the residual, or what must not be read.
    pub(super) fn output(&self, length: usize) -> Vec<f32> {
        let nothing = || vec![f32::NAN; length];
        self.residual.clone().unwrap_or_else(nothing)
    }

    fn refs(&self) -> Vec<(&[f32], usize)> {
        let maps = self.maps.iter().map(Vec::as_slice);
        maps.zip(self.parts.iter().copied()).collect()
    }

    fn at(&self, n: usize, y: isize, x: isize, mut channel: usize) -> f64 {
        let (Ok(y), Ok(x)) = (usize::try_from(y), usize::try_from(x)) else {
            return 0.0;
        };
        let shape = self.shape;
        if y >= shape.height || x >= shape.width {
            return 0.0;
        }
        for (map, &channels) in self.maps.iter().zip(&self.parts) {
            if channel < channels {
                let pixel = (n * shape.height + y) * shape.width + x;
                return map[pixel * channels + channel].into();
            }
            channel -= channels;
        }
        unreachable!()
    }

    /// The plain sums before the activation; `groups` is 1 or the number of channels.
    pub(super) fn sums(&self, groups: usize) -> Vec<f64> {
        let inputs = self.parts.iter().sum::<usize>() / groups;
        let Sliding {
            kernel: [rows, columns],
            stride,
            padding,
            dilation,
        } = self.sliding;
        let results = self.sliding.output(self.shape).unwrap();
        let mut sums = Vec::new();
        for pixel in 0..results.pixels() {
            let (n, pixel) = (
                pixel / (results.height * results.width),
                pixel % (results.height * results.width),
            );
            let (y, x) = (pixel / results.width, pixel % results.width);
            for output in 0..self.outputs {
                let mut sum = f64::from(self.bias[output]);
                for input in 0..inputs {
                    for tap in 0..rows * columns {
                        let y = y * stride[0] + tap / columns * dilation[0];
                        let x = x * stride[1] + tap % columns * dilation[1];
                        let weight = self.weights[(output * inputs + input) * rows * columns + tap];
                        let channel = if groups == 1 { input } else { output };
                        let (y, x) = (
                            y as isize - padding[0] as isize,
                            x as isize - padding[1] as isize,
                        );
                        sum += f64::from(weight) * self.at(n, y, x, channel);
                    }
                }
                if let Some(residual) = &self.residual {
                    sum += f64::from(residual[sums.len()]);
                }
                sums.push(sum);
            }
        }
        sums
    }

    /// Compares with the plain sums; errors are those of sums, whatever activation follows.
    fn check(&self, set: InstructionSet, actual: &[f32], sums: &[f64], tolerance: f64) {
        let expected: Vec<f64> = sums
            .iter()
            .map(|&sum| apply(self.activation, sum))
            .collect();
        let tolerance = tolerance * largest(sums);
        check_within(&self.what(set), actual, &expected, tolerance);
    }

    fn what(&self, set: InstructionSet) -> String {
        let Self {
            shape,
            parts,
            outputs,
            sliding,
            activation,
            ..
        } = self;
        format!("{set:?} {shape:?} {parts:?} -> {outputs} {sliding:?} {activation:?}")
    }
}

#[test]
fn winograd_is_the_plain_sum() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..40 {
        let (parts, outputs) = (parts(&mut random, 3), channels(&mut random));
        let layer = Layer::new(&mut random, SAME_3X3, parts, outputs).unwrap();
        check_winograd(&layer, outputs);
    }
}

/// So many filters are kept as they are and transformed on the way.
#[test]
fn many_filters_are_plain_sums_too() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut tried = 0;
    while tried < 3 {
        let outputs = random.usize(1400..1500);
        let parts = parts(&mut random, 3);
        let layer = Layer::new(&mut random, SAME_3X3, parts, outputs).unwrap();
        let inputs: usize = layer.parts.iter().sum();
        if inputs * outputs > 175_000 && layer.shape.pixels() <= 200 {
            check_winograd(&layer, outputs);
            tried += 1;
        }
    }
}

fn check_winograd(layer: &Layer, outputs: usize) {
    let expected = layer.sums(1);
    let inputs = layer.parts.iter().sum();
    for set in InstructionSet::available() {
        let bias = Some(&layer.bias[..]);
        let convolution = Conv3x3::with_instructions(set, &layer.weights, outputs, inputs, bias);
        let mut actual = layer.output(expected.len());
        convolution.run(layer.shape, &layer.refs(), layer.epilogue(), &mut actual);
        // Winograd's transforms cancel: errors are some tens of 2⁻²⁴ of the largest value.
        layer.check(set, &actual, &expected, 3e-5);
    }
}

pub(super) fn sliding(random: &mut fastrand::Rng) -> Sliding {
    let mut pair = |choices: &[usize]| [0; 2].map(|_| choices[random.usize(..choices.len())]);
    Sliding {
        kernel: pair(&[1, 1, 2, 3, 3, 5, 7]),
        stride: pair(&[1, 1, 2, 3]),
        padding: pair(&[0, 0, 1, 3]),
        dilation: pair(&[1, 1, 1, 2]),
    }
}

#[test]
fn other_convolutions_are_plain_sums() {
    let mut random = fastrand::Rng::with_seed(2);
    let mut tried = 0;
    while tried < 60 {
        let (sliding, parts, outputs) = (
            sliding(&mut random),
            parts(&mut random, 2),
            channels(&mut random),
        );
        let Some(layer) = Layer::new(&mut random, sliding, parts, outputs) else {
            continue;
        };
        tried += 1;
        let expected = layer.sums(1);
        let inputs: usize = layer.parts.iter().sum();
        for set in InstructionSet::available() {
            let (weights, bias) = (&layer.weights, Some(&layer.bias[..]));
            let convolution =
                Convolution::with_instructions(set, weights, outputs, inputs, bias, sliding);
            let mut actual = layer.output(expected.len());
            convolution.run(layer.shape, &layer.refs(), layer.epilogue(), &mut actual);
            // f32 sums of some thousand terms.
            layer.check(set, &actual, &expected, 1e-5);
        }
    }
}

/// To the last bit.
#[test]
fn pooled_convolutions_are_convolutions_pooled() {
    let mut random = fastrand::Rng::with_seed(12);
    let mut tried = 0;
    while tried < 60 {
        let sliding = sliding(&mut random);
        let (parts, outputs) = (parts(&mut random, 2), channels(&mut random));
        let Some(layer) = Layer::new(&mut random, sliding, parts, outputs) else {
            continue;
        };
        let mut pair = |choices: &[usize]| [0; 2].map(|_| choices[random.usize(..choices.len())]);
        let window = Sliding {
            kernel: pair(&[2, 3]),
            stride: pair(&[1, 2, 2, 4]),
            padding: pair(&[0, 1]),
            dilation: pair(&[1, 1, 2]),
        };
        let results = sliding.output(layer.shape).unwrap();
        let Some(pooled) = window.output(results) else {
            continue;
        };
        tried += 1;
        let inputs: usize = layer.parts.iter().sum();
        for set in InstructionSet::available() {
            let (weights, bias) = (&layer.weights, Some(&layer.bias[..]));
            let convolution =
                Convolution::with_instructions(set, weights, outputs, inputs, bias, sliding);
            let (shape, maps, activation) = (layer.shape, layer.refs(), layer.activation);
            let mut map = vec![f32::NAN; results.pixels() * outputs];
            convolution.run(shape, &maps, activation.into(), &mut map);
            let mut expected = vec![f32::NAN; pooled.pixels() * outputs];
            max_pool(set, results, outputs, window, &map, &mut expected);
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run_pooled(shape, &maps, activation, window, &mut actual);
            assert_eq!(actual, expected, "{set:?} {shape:?} {sliding:?} {window:?}");
        }
    }
}

#[test]
fn scaled_channels_are_scaled_weights() {
    let mut random = fastrand::Rng::with_seed(8);
    let pixel = Sliding {
        kernel: [1, 1],
        padding: [0, 0],
        ..SAME_3X3
    };
    for _ in 0..30 {
        let outputs = channels(&mut random);
        // Long sums are taken in several parts.
        let inputs = channels(&mut random) + [0, 1100][random.usize(..2)];
        let mut layer = Layer::new(&mut random, pixel, vec![inputs], outputs).unwrap();
        let map = layer.maps[0].clone();
        let factors = values(&mut random, layer.shape.images * inputs);
        let pixels = layer.shape.height * layer.shape.width;
        for (index, value) in layer.maps[0].iter_mut().enumerate() {
            *value *= factors[index / (pixels * inputs) * inputs + index % inputs];
        }
        let expected = layer.sums(1);
        for set in InstructionSet::available() {
            let (weights, bias) = (&layer.weights, Some(&layer.bias[..]));
            let convolution =
                Convolution::with_instructions(set, weights, outputs, inputs, bias, pixel);
            let mut actual = layer.output(expected.len());
            convolution.run_scaled(layer.shape, &map, &factors, layer.epilogue(), &mut actual);
            // Sums of some hundred terms.
            layer.check(set, &actual, &expected, 1e-5);
        }
    }
}

#[test]
fn depthwise_convolutions_keep_channels_apart() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut tried = 0;
    while tried < 60 {
        let sliding = sliding(&mut random);
        let channels = channels(&mut random);
        let Some(mut layer) = Layer::new(&mut random, sliding, vec![channels], 1) else {
            continue;
        };
        tried += 1;
        layer.outputs = channels;
        layer.bias = values(&mut random, channels);
        layer.residual = None;
        let expected = layer.sums(channels);
        for set in InstructionSet::available() {
            let (weights, bias) = (&layer.weights, Some(&layer.bias[..]));
            let convolution =
                DepthwiseConvolution::with_instructions(set, weights, channels, bias, sliding);
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run(layer.shape, &layer.maps[0], layer.activation, &mut actual);
            // Sums of at most 49 terms.
            layer.check(set, &actual, &expected, 1e-5);
        }
    }
}

/// The channels here are so few that sums are taken at once in both ways.
#[test]
fn expanding_on_the_way_changes_no_bit() {
    let mut random = fastrand::Rng::with_seed(7);
    // So wide that the channels are computed in several groups.
    let wide = Shape {
        images: 2,
        height: 9,
        width: 200,
    };
    let large = Sliding {
        kernel: [7, 7],
        padding: [3, 3],
        ..SAME_3X3
    };
    let mut cases = vec![(wide, 5, 150, large)];
    while cases.len() < 40 {
        let (shape, sliding) = (shape(&mut random), sliding(&mut random));
        if sliding.output(shape).is_some() {
            cases.push((shape, channels(&mut random), channels(&mut random), sliding));
        }
    }
    for (shape, inputs, expanded, sliding) in cases {
        let input = values(&mut random, shape.pixels() * inputs);
        let weights = values(&mut random, expanded * inputs);
        let taps = values(
            &mut random,
            expanded * sliding.kernel[0] * sliding.kernel[1],
        );
        let bias = values(&mut random, expanded);
        let between = activation(&mut random);
        let results = sliding.output(shape).unwrap().pixels() * expanded;
        for set in InstructionSet::available() {
            let bias = Some(&bias[..]);
            let pixel = Sliding {
                kernel: [1, 1],
                padding: [0, 0],
                ..SAME_3X3
            };
            let expand =
                Convolution::with_instructions(set, &weights, expanded, inputs, bias, pixel);
            let depthwise =
                DepthwiseConvolution::with_instructions(set, &taps, expanded, bias, sliding);
            let mut map = vec![f32::NAN; shape.pixels() * expanded];
            let mut expected = vec![f32::NAN; results];
            let mut actual = expected.clone();
            expand.run(shape, &[(&input, inputs)], between.into(), &mut map);
            depthwise.run(shape, &map, Activation::Relu, &mut expected);
            let expansion = (&expand, between);
            let mut averages = vec![f32::NAN; shape.images * expanded];
            depthwise.run_expanded(
                expansion,
                shape,
                &input,
                Activation::Relu,
                &mut actual,
                Some(&mut averages),
            );
            let what = format!("{set:?} {shape:?} {inputs} -> {expanded} {sliding:?} {between:?}");
            assert_eq!(actual, expected, "{what}");
            let results = sliding.output(shape).unwrap();
            let mut expected = vec![f32::NAN; averages.len()];
            global_average(set, results, expanded, &actual, &mut expected);
            assert_eq!(averages, expected, "{what}");
        }
    }
}

#[test]
fn transposed_convolutions_spread_pixels() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..40 {
        let (shape, inputs, outputs) = (
            shape(&mut random),
            channels(&mut random),
            channels(&mut random),
        );
        let input = values(&mut random, shape.pixels() * inputs);
        let bias = values(&mut random, outputs);
        let weights = values(&mut random, outputs * inputs * 4);
        let mut expected = vec![0.0; shape.pixels() * 4 * outputs];
        for (index, pixel) in input.chunks_exact(inputs).enumerate() {
            let (row, x) = (index / shape.width, index % shape.width);
            for corner in 0..4 {
                for output in 0..outputs {
                    let products = pixel.iter().enumerate().map(|(i, &value)| {
                        f64::from(value) * f64::from(weights[(i * outputs + output) * 4 + corner])
                    });
                    let (row, x) = (2 * row + corner / 2, 2 * x + corner % 2);
                    expected[(row * 2 * shape.width + x) * outputs + output] =
                        products.sum::<f64>() + f64::from(bias[output]);
                }
            }
        }
        for set in InstructionSet::available() {
            let convolution =
                TransposedConv2x2::with_instructions(set, &weights, inputs, outputs, Some(&bias));
            let mut actual = vec![f32::NAN; expected.len()];
            convolution.run(shape, &input, &mut actual);
            let what = format!("transposed {set:?} {shape:?} {inputs} -> {outputs}");
            // Sums of at most 130 terms.
            check(&what, &actual, &expected, 1e-5);
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
    let winograd = Conv3x3::new(&weights, outputs, inputs, None);
    let product = Convolution::new(&weights, outputs, inputs, None, SAME_3X3);
    let depthwise = DepthwiseConvolution::new(&weights[..inputs * 9], inputs, None, SAME_3X3);
    // One band of tiles: channels are split instead.
    let (small, many) = (Shape { height: 7, ..shape }, 300);
    let weights = values(&mut random, many * inputs * 9);
    let wide = Conv3x3::new(&weights, many, inputs, None);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let parts = [(&input[..], inputs)];
        let start = [(&input[..small.pixels() * inputs], inputs)];
        let sizes = [outputs, outputs, inputs].map(|channels| shape.pixels() * channels);
        let [mut first, mut second, mut third] = sizes.map(|size| vec![0.0; size]);
        let mut fourth = vec![0.0; small.pixels() * many];
        pool.install(|| {
            winograd.run(shape, &parts, Activation::Relu.into(), &mut first);
            product.run(shape, &parts, Activation::Silu.into(), &mut second);
            depthwise.run(shape, &input, Activation::Silu, &mut third);
            wide.run(small, &start, Activation::Relu.into(), &mut fourth);
        });
        [first, second, third, fourth]
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}
