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

impl Kernel for Line<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let DepthwiseConvolution {
            channels,
            sliding,
            ref bias,
            ..
        } = *self.convolution;
        let width = self.output.len() / channels;
        let mut x = 0;
        while x < width {
            let inside = (x * sliding.stride[1]) >= sliding.padding[1]
                && (x + TOGETHER - 1) * sliding.stride[1]
                    + (sliding.kernel[1] - 1) * sliding.dilation[1]
                    < self.shape.width + sliding.padding[1];
            let together = inside && x + TOGETHER <= width;
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let bias = V::load(&bias[channel..]);
                let at = x * channels + channel;
                if together {
                    let sums = self.sums::<V, TOGETHER>(x, channel, count, bias);
                    for (offset, sum) in sums.into_iter().enumerate() {
                        let at = at + offset * channels;
                        self.epilogue.store(sum, self.output, at, count);
                    }
                } else {
                    let [sum] = self.sums::<V, 1>(x, channel, count, bias);
                    self.epilogue.store(sum, self.output, at, count);
                }
            }
            x += if together { TOGETHER } else { 1 };
        }
    }
}

impl Line<'_> {
    /// Sums of COUNT neighbouring results. More than one only where all taps lie in the image's
    /// columns.
    #[inline(always)]
    fn sums<V: Vector, const COUNT: usize>(
        &self,
        x: usize,
        channel: usize,
        count: usize,
        bias: V,
    ) -> [V; COUNT] {
        let DepthwiseConvolution {
            channels,
            sliding,
            ref weights,
            ..
        } = *self.convolution;
        let padded = channels.next_multiple_of(LANES);
        let Shape { height, width, .. } = self.shape;
        let mut sums = [bias; COUNT];
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
                for (offset, sum) in sums.iter_mut().enumerate() {
                    let pixel = y * width + x + offset * sliding.stride[1];
                    let value = V::load_part(&self.image[pixel * channels + channel..], count);
                    *sum = value.mul_add(weight, *sum);
                }
            }
        }
        sums
    }
}
