//! Depthwise convolution: every channel by itself. Rows are brought to where the values of a few
//! channels lie side by side with zeros around: then no tap leaves the image, and rows do not evict
//! one another from the cache. They are copied from a map, or are there computed from a smaller one by
//! a 1 × 1 convolution.

use std::cell::Cell;

use rayon::prelude::*;

mod rows;

use self::rows::Source;
use crate::activation::{activate, for_activation};
use crate::matrix::padded_bias;
use crate::pool::{add_pixels, average_rows};
use crate::simd::{Element, InstructionSet, Kernel, Vector};
use crate::{Activation, Convolution, Epilogue, Memory, Shape, Sliding};

/// Neighbouring results computed together: enough sums to hide the latency of multiply-add.
const TOGETHER: usize = 8;
/// Channels that lie side by side in a copy: a cache line, and the widest vector.
const BLOCK: usize = 16;
/// Most values of a copy of as many rows as the kernel has; half the second-level cache.
const COPIED: usize = 64 << 10;
/// Most rows of results per task. The rows above and below are copied for each.
const ROWS: usize = 32;

/// A depthwise convolution, ready to run.
#[derive(Clone, Debug)]
pub struct DepthwiseConvolution {
    channels: usize,
    set: InstructionSet,
    sliding: Sliding,
    /// `[block of channels][tap][channel]`, the last block filled up.
    weights: Memory,
    bias: Memory,
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
        assert!(set.is_available(), "{}", set.name());
        let padded = channels.next_multiple_of(BLOCK);
        let mut packed = Memory::zeros(taps * padded);
        for (channel, weights) in weights.chunks_exact(taps).enumerate() {
            let (block, lane) = (channel / BLOCK, channel % BLOCK);
            for (tap, &weight) in weights.iter().enumerate() {
                packed[(block * taps + tap) * BLOCK + lane] = weight;
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
    pub fn run<E: Element>(
        &self,
        shape: Shape,
        input: &[E],
        activation: Activation,
        output: &mut [E],
    ) {
        assert_eq!(input.len(), shape.pixels() * self.channels, "input's size");
        self.run_on(shape, Source::Map(input), activation, output, None);
    }

    /// Convolves what a 1 × 1 convolution with stride 1 and an activation make of `[N, H, W, C]`,
    /// a row at a time, so that it need not pass through memory. Writes also the results' averages
    /// `[N, channels]` if they are asked for, equal to those of [`crate::global_average`].
    ///
    /// # Panics
    /// When the first convolution is of another kind or the sizes do not fit.
    pub fn run_expanded(
        &self,
        expansion: (&Convolution, Activation),
        shape: Shape,
        input: &[f32],
        activation: Activation,
        output: &mut [f32],
        averages: Option<&mut [f32]>,
    ) {
        let (convolution, between) = expansion;
        let matrix = convolution.matrix_of_pixels();
        let matrix = matrix.expect("a 1 × 1 convolution with stride 1");
        assert_eq!(matrix.columns, self.channels, "channels between the two");
        assert_eq!(matrix.set, self.set, "instruction sets");
        assert_eq!(input.len(), shape.pixels() * matrix.inputs, "input's size");
        let source = Source::Expanded {
            map: input,
            matrix,
            activation: between,
        };
        self.run_on(shape, source, activation, output, averages);
    }

    fn run_on<E: Element>(
        &self,
        shape: Shape,
        source: Source<E>,
        activation: Activation,
        output: &mut [E],
        averages: Option<&mut [f32]>,
    ) {
        let channels = self.channels;
        let results = self.sliding.output(shape);
        let results = results.expect("the kernel fits the image");
        assert_eq!(output.len(), results.pixels() * channels, "output's size");
        if let Some(averages) = &averages {
            assert_eq!(averages.len(), shape.images * channels, "averages");
        }
        if output.is_empty() {
            return;
        }
        let row = results.width * channels;
        let rows = ROWS.min(results.height.div_ceil(rayon::current_num_threads()));
        let images = output
            .par_chunks_exact_mut(results.height * row)
            .enumerate();
        let summed = averages.is_some();
        let sums = images.map(|(image, output)| -> Vec<Vec<f32>> {
            let bands = output.par_chunks_mut(rows * row).enumerate();
            let sums = bands.map(|(band, output)| {
                let rows_of_band = if summed { output.len() / row } else { 0 };
                let mut sums = vec![0.0; rows_of_band * channels];
                self.set.run(Band {
                    convolution: self,
                    shape,
                    source,
                    image,
                    first_row: band * rows,
                    width: results.width,
                    epilogue: activation.into(),
                    output,
                    sums: &mut sums,
                });
                sums
            });
            sums.collect()
        });
        let sums: Vec<_> = sums.collect();
        if let Some(averages) = averages {
            let pixels = results.height * results.width;
            for (sums, averages) in sums.iter().zip(averages.chunks_exact_mut(channels)) {
                let rows = sums.iter().flat_map(|sums| sums.chunks_exact(channels));
                average_rows(rows, pixels, averages);
            }
        }
    }
}

/// Some rows of results.
struct Band<'a, E> {
    convolution: &'a DepthwiseConvolution,
    shape: Shape,
    source: Source<'a, E>,
    image: usize,
    first_row: usize,
    /// Of the results.
    width: usize,
    epilogue: Epilogue,
    output: &'a mut [E],
    /// Of every row of results and channel, if averages are asked for.
    sums: &'a mut [f32],
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    /// Copied rows, `[row modulo the kernel's reach][block of channels][column][channel]`.
    copies: Memory,
    /// Where the rows under the kernel lie there.
    rows: Vec<usize>,
}

thread_local! {
    /// Kept, because fresh memory costs page faults.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl<E: Element> Kernel for Band<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let DepthwiseConvolution {
            channels, sliding, ..
        } = *self.convolution;
        let mut scratch = SCRATCH.take();
        let row_length = self.width * channels;
        let last = self.width.next_multiple_of(TOGETHER) - 1;
        let block = (last * sliding.stride[1] + sliding.reach(1)) * BLOCK;
        let reach = sliding.reach(0);
        let unit = self.source.blocks_together();
        let units = channels.div_ceil(BLOCK * unit);
        let most = (COPIED / (reach * block * unit)).max(1);
        let together = unit * units.div_ceil(units.div_ceil(most));
        let line_length = together * block;
        scratch.copies.room(reach * line_length);
        for first in (0..channels).step_by(together * BLOCK) {
            let range = first..channels.min(first + together * BLOCK);
            let mut copied = 0;
            for row in 0..self.output.len() / row_length {
                let top = row * sliding.stride[0];
                for line in copied.max(top)..top + reach {
                    let target = line % reach * line_length;
                    let target = &mut scratch.copies[target..][..line_length];
                    self.bring::<V>(line, range.clone(), target, block);
                }
                copied = top + reach;
                scratch.rows.clear();
                let taps = (0..sliding.kernel[0]).map(|tap| top + tap * sliding.dilation[0]);
                scratch
                    .rows
                    .extend(taps.map(|line| line % reach * line_length));
                for channel in range.clone().step_by(BLOCK) {
                    let copies = &scratch.copies[(channel - first) / BLOCK * block..];
                    self.compute::<V>(row, channel, copies, &scratch.rows);
                }
                let output = &mut self.output[row * row_length..][..row_length];
                if !E::ROUNDED {
                    self.epilogue
                        .finish_columns::<V, E>(output, channels, range.clone());
                }
                if let Some(sums) = self.sums.chunks_exact_mut(channels).nth(row) {
                    let first = range.start;
                    add_pixels::<V, E>(&output[first..], channels, &mut sums[range.clone()]);
                }
            }
        }
        SCRATCH.set(scratch);
    }
}

impl<E: Element> Band<'_, E> {
    /// Computes a row of results for the channels of a block, whose copies are given.
    #[inline(always)]
    fn compute<V: Vector>(&mut self, row: usize, channel: usize, copies: &[f32], rows: &[usize]) {
        let DepthwiseConvolution {
            channels,
            sliding,
            ref weights,
            ref bias,
            ..
        } = *self.convolution;
        let taps = sliding.kernel[0] * sliding.kernel[1];
        let floor = V::splat(self.epilogue.floor());
        let left = BLOCK.min(channels - channel);
        for x in (0..self.width).step_by(TOGETHER) {
            for x in x + TOGETHER..x + 2 * TOGETHER {
                let at = (row * self.width + x) * channels + channel;
                V::prefetch(self.output, at..at + BLOCK);
            }
            for lane in (0..left).step_by(V::LANES) {
                let window = Window {
                    sliding,
                    copies: &copies[x * sliding.stride[1] * BLOCK + lane..],
                    rows,
                    weights: &weights[channel * taps + lane..],
                    bias: V::load(&bias[channel + lane..]),
                };
                let mut sums = match (sliding.kernel[1], sliding.stride[1], sliding.dilation[1]) {
                    (3, 1, 1) => window.sums_of::<3, 1>(),
                    (5, 1, 1) => window.sums_of::<5, 1>(),
                    (7, 1, 1) => window.sums_of::<7, 1>(),
                    (3, 2, 1) => window.sums_of::<3, 2>(),
                    (5, 2, 1) => window.sums_of::<5, 2>(),
                    _ => window.sums(),
                };
                for sum in &mut sums {
                    *sum = floor.max(*sum);
                }
                let pixels = TOGETHER.min(self.width - x);
                let count = V::LANES.min(left - lane);
                let at = (row * self.width + x) * channels + channel + lane;
                if E::ROUNDED {
                    self.activate(&mut sums);
                }
                let output = &mut self.output[at..];
                if (pixels, count) == (TOGETHER, V::LANES) {
                    let output = &mut output[..(TOGETHER - 1) * channels + V::LANES];
                    for (index, sum) in sums.into_iter().enumerate() {
                        E::store(sum, &mut output[index * channels..], V::LANES);
                    }
                    continue;
                }
                for (index, sum) in sums.into_iter().enumerate().take(pixels) {
                    E::store(sum, &mut output[index * channels..], count);
                }
            }
        }
    }
}

impl<E: Element> Band<'_, E> {
    /// Activates sums before they are rounded.
    #[inline(always)]
    fn activate<V: Vector>(&self, sums: &mut [V; TOGETHER]) {
        for_activation!(self.epilogue.activation, |activation| {
            for sum in sums {
                *sum = activate(*sum, activation);
            }
        });
    }
}

/// What is under the kernel for some neighbouring results, for the channels of a vector.
struct Window<'a, V> {
    sliding: Sliding,
    copies: &'a [f32],
    /// Where the rows under the kernel begin.
    rows: &'a [usize],
    weights: &'a [f32],
    bias: V,
}

impl<V: Vector> Window<'_, V> {
    /// The sums of common kernels: what the compiler knows makes for better code.
    #[inline(always)]
    fn sums_of<const COLUMNS: usize, const STRIDE: usize>(&self) -> [V; TOGETHER] {
        let mut sums = [self.bias; TOGETHER];
        for (row, &first) in self.rows.iter().enumerate() {
            let weights = &self.weights[row * COLUMNS * BLOCK..];
            let weights = V::load_every::<COLUMNS>(weights, BLOCK);
            let reach = ((TOGETHER - 1) * STRIDE + COLUMNS - 1) * BLOCK + V::LANES;
            let values = &self.copies[first..][..reach];
            for column in 0..COLUMNS {
                for index in 0..TOGETHER {
                    let value = V::load(&values[(index * STRIDE + column) * BLOCK..]);
                    sums[index] = value.mul_add(weights[column], sums[index]);
                }
            }
        }
        sums
    }

    /// The same for any kernel.
    #[inline(always)]
    fn sums(&self) -> [V; TOGETHER] {
        let Sliding {
            kernel: [_, columns],
            stride: [_, stride],
            dilation: [_, dilation],
            ..
        } = self.sliding;
        let step = stride * BLOCK;
        let mut sums = [self.bias; TOGETHER];
        for (row, &first) in self.rows.iter().enumerate() {
            let weights = &self.weights[row * columns * BLOCK..];
            let values = &self.copies[first..];
            for column in 0..columns {
                let weight = V::load(&weights[column * BLOCK..]);
                let values = &values[column * dilation * BLOCK..];
                let values = &values[..(TOGETHER - 1) * step + V::LANES];
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(&values[index * step..]).mul_add(weight, *sum);
                }
            }
        }
        sums
    }
}
