//! Depthwise convolution: every channel by itself.

use rayon::prelude::*;

use crate::matrix::padded_bias;
use crate::simd::{InstructionSet, Kernel, Vector};
use crate::{Epilogue, Shape, Sliding};

/// Neighbouring results computed together, so that a tap's weights are read once for all.
const TOGETHER: usize = 4;
/// Widest vector.
const LANES: usize = 16;

/// A depthwise convolution, ready to run.
#[derive(Clone, Debug)]
pub struct DepthwiseConvolution {
    channels: usize,
    set: InstructionSet,
    sliding: Sliding,
    /// `[tap][channel]`, channels filled up to whole vectors.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl DepthwiseConvolution {
    /// Packs weights `[channels, 1, height, width]`.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn new(weights: &[f32], channels: usize, bias: Option<&[f32]>, sliding: Sliding) -> Self {
        let set = InstructionSet::current();
        Self::with_instructions(set, weights, channels, bias, sliding)
    }

    /// The same with a certain instruction set, which the machine must have.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn with_instructions(
        set: InstructionSet,
        weights: &[f32],
        channels: usize,
        bias: Option<&[f32]>,
        sliding: Sliding,
    ) -> Self {
        let taps = sliding.kernel[0] * sliding.kernel[1];
        assert_eq!(weights.len(), channels * taps, "weights");
        assert!(InstructionSet::available().contains(&set), "{}", set.name());
        let padded = channels.next_multiple_of(LANES);
        let mut packed = vec![0.0; taps * padded];
        for (channel, weights) in weights.chunks_exact(taps).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                packed[tap * padded + channel] = weight;
            }
        }
        Self {
            channels,
            set,
            sliding,
            weights: packed,
            bias: padded_bias(bias, channels, padded),
        }
    }

    /// Convolves `[N, H, W, channels]`; writes `[N, H', W', channels]` with the sides of
    /// [`Sliding::output`].
    ///
    /// # Panics
    /// When the sizes of input or output do not fit.
    pub fn run(&self, shape: Shape, input: &[f32], epilogue: Epilogue, output: &mut [f32]) {
        let channels = self.channels;
        let results = self.sliding.output(shape);
        let results = results.expect("the kernel fits the image");
        assert_eq!(input.len(), shape.pixels() * channels, "input's size");
        assert_eq!(output.len(), results.pixels() * channels, "output's size");
        epilogue.check(output);
        if output.is_empty() {
            return;
        }
        let row = results.width * channels;
        let lines = output.par_chunks_exact_mut(row).enumerate();
        lines.for_each(|(line, output)| {
            let (image, y) = (line / results.height, line % results.height);
            let size = shape.height * shape.width * channels;
            self.set.run(Line {
                convolution: self,
                shape,
                image: &input[image * size..][..size],
                y,
                epilogue: epilogue.part(line * row, row),
                output,
            });
        });
    }
}

/// One row of results.
struct Line<'a> {
    convolution: &'a DepthwiseConvolution,
    shape: Shape,
    /// `[H, W, channels]`.
    image: &'a [f32],
    y: usize,
    epilogue: Epilogue<'a>,
    output: &'a mut [f32],
}

/// A tap of the kernel within the image's rows.
struct Tap {
    /// Of its weights.
    weights: usize,
    /// Of its values, from those of the leftmost tap in the image's first row.
    values: usize,
}

impl Kernel for Line<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let DepthwiseConvolution {
            channels, sliding, ..
        } = *self.convolution;
        let Sliding {
            kernel: [_, columns],
            stride: [_, stride],
            padding: [_, padding],
            dilation: [_, dilation],
        } = sliding;
        let taps = self.taps();
        let width = self.output.len() / channels;
        let reach = (columns - 1) * dilation;
        let mut x = 0;
        while x < width {
            let last = (x + TOGETHER - 1) * stride + reach;
            let inside = x * stride >= padding && last < self.shape.width + padding;
            let together = inside && x + TOGETHER <= width;
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let at = x * channels + channel;
                if together && count == V::LANES {
                    let first = (x * stride - padding) * channels + channel;
                    let sums = self.sums::<V>(&taps, first, channel);
                    for (offset, sum) in sums.into_iter().enumerate() {
                        let at = at + offset * channels;
                        self.epilogue.store(sum, self.output, at, count);
                    }
                } else {
                    let results = if together { TOGETHER } else { 1 };
                    for offset in 0..results {
                        let sum = self.sum::<V>(x + offset, channel, count);
                        let at = at + offset * channels;
                        self.epilogue.store(sum, self.output, at, count);
                    }
                }
            }
            x += if together { TOGETHER } else { 1 };
        }
    }
}

impl Line<'_> {
    fn taps(&self) -> Vec<Tap> {
        let DepthwiseConvolution {
            channels, sliding, ..
        } = *self.convolution;
        let padded = channels.next_multiple_of(LANES);
        let [rows, columns] = sliding.kernel;
        let Shape { height, width, .. } = self.shape;
        let rows = (0..rows).filter_map(|row| {
            let y = sliding.source(0, self.y, row, height)?;
            Some((row, y))
        });
        rows.flat_map(|(row, y)| {
            (0..columns).map(move |column| Tap {
                weights: (row * columns + column) * padded,
                values: (y * width + column * sliding.dilation[1]) * channels,
            })
        })
        .collect()
    }

    /// Neighbouring results with all taps in the image's columns. `first` is the first value under
    /// the leftmost tap, were it in the image's first row.
    #[inline(always)]
    fn sums<V: Vector>(&self, taps: &[Tap], first: usize, channel: usize) -> [V; TOGETHER] {
        let convolution = self.convolution;
        let step = convolution.sliding.stride[1] * convolution.channels;
        let weights = &convolution.weights[channel..];
        let values = &self.image[first..];
        let mut sums = [V::load(&convolution.bias[channel..]); TOGETHER];
        for tap in taps {
            let weight = V::load(&weights[tap.weights..]);
            let values = &values[tap.values..][..(TOGETHER - 1) * step + V::LANES];
            for (offset, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(&values[offset * step..]).mul_add(weight, *sum);
            }
        }
        sums
    }

    /// One result anywhere.
    #[inline(always)]
    fn sum<V: Vector>(&self, x: usize, channel: usize, count: usize) -> V {
        let DepthwiseConvolution {
            channels,
            sliding,
            ref weights,
            ref bias,
            ..
        } = *self.convolution;
        let padded = channels.next_multiple_of(LANES);
        let Shape { height, width, .. } = self.shape;
        let mut sum = V::load(&bias[channel..]);
        for row in 0..sliding.kernel[0] {
            let Some(y) = sliding.source(0, self.y, row, height) else {
                continue;
            };
            for column in 0..sliding.kernel[1] {
                let Some(x) = sliding.source(1, x, column, width) else {
                    continue;
                };
                let tap = row * sliding.kernel[1] + column;
                let weight = V::load(&weights[tap * padded + channel..]);
                let at = (y * width + x) * channels + channel;
                sum = V::load_part(&self.image[at..], count).mul_add(weight, sum);
            }
        }
        sum
    }
}
