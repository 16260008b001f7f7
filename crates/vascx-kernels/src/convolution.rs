//! Convolution of any kernel size, stride, padding and dilation as a product of gathered patches
//! and weights. Patches are gathered for a block of pixels at a time, small enough for the
//! second-level cache.

use std::cell::Cell;

use rayon::prelude::*;

use crate::matrix::{FINISHED, Matrix, Pixels};
use crate::simd::InstructionSet;
use crate::{Epilogue, Shape};

/// Most pixels per block.
const MOST_PIXELS: usize = 192;
/// Fewest pixels that make it worth to read all weights; several register tiles.
const LEAST_PIXELS: usize = 48;
/// Inputs and results of a block, where there are at least [`LEAST_PIXELS`]; half the second-level
/// cache.
const BLOCK_VALUES: usize = 64 << 10;

/// Pixels per block: as many blocks for every thread, where there are few.
fn block(pixels: usize, inputs: usize, outputs: usize) -> usize {
    let most = BLOCK_VALUES / (inputs + outputs.min(FINISHED));
    let blocks = pixels.div_ceil(most.clamp(LEAST_PIXELS, MOST_PIXELS));
    let threads = rayon::current_num_threads();
    let blocks = if blocks < 8 * threads {
        blocks.next_multiple_of(threads)
    } else {
        blocks
    };
    // Register tiles have an even number of rows.
    pixels.div_ceil(blocks).next_multiple_of(2)
}

/// How a kernel moves over the image; height before width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// Taps.
    pub kernel: [usize; 2],
    /// Pixels between neighbouring results; at least 1.
    pub stride: [usize; 2],
    /// Pixels of zeros on either side.
    pub padding: [usize; 2],
    /// Pixels between neighbouring taps; at least 1.
    pub dilation: [usize; 2],
}

impl Sliding {
    /// Height and width of the results for images of a shape; none if the kernel does not fit.
    pub fn output(self, shape: Shape) -> Option<Shape> {
        let side = |axis: usize, length: usize| {
            let room = (length + 2 * self.padding[axis]).checked_sub(self.reach(axis))?;
            Some(room / self.stride[axis] + 1)
        };
        Some(Shape {
            height: side(0, shape.height)?,
            width: side(1, shape.width)?,
            ..shape
        })
    }

    /// Pixels from the first to the last tap of an axis, both counted.
    pub(crate) fn reach(self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// The pixel under a tap for a result, where there is one. `length` is the image's.
    #[inline(always)]
    pub(crate) fn source(
        self,
        axis: usize,
        result: usize,
        tap: usize,
        length: usize,
    ) -> Option<usize> {
        (result * self.stride[axis] + tap * self.dilation[axis])
            .checked_sub(self.padding[axis])
            .filter(|&at| at < length)
    }

    fn takes_pixels_as_they_are(self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }
}

/// A convolution, ready to run.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// Inputs are taps, row by row, each with all channels.
    matrix: Matrix,
    sliding: Sliding,
}

impl Convolution {
    /// Packs weights `[outputs, inputs, height, width]`.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn new(
        weights: &[f32],
        outputs: usize,
        inputs: usize,
        bias: Option<&[f32]>,
        sliding: Sliding,
    ) -> Self {
        let set = InstructionSet::current();
        Self::with_instructions(set, weights, outputs, inputs, bias, sliding)
    }

    /// The same with a certain instruction set, which the machine must have.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn with_instructions(
        set: InstructionSet,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
        bias: Option<&[f32]>,
        sliding: Sliding,
    ) -> Self {
        let taps = sliding.kernel[0] * sliding.kernel[1];
        assert_eq!(weights.len(), outputs * inputs * taps, "weights");
        let value = |row: usize, output: usize| {
            let (tap, input) = (row / inputs, row % inputs);
            weights[(output * inputs + input) * taps + tap]
        };
        Self {
            matrix: Matrix::new(set, taps * inputs, outputs, bias, value),
            sliding,
        }
    }

    /// Convolves a feature map given as several parts, each `[N, H, W, C]` with its number of
    /// channels, that count as concatenated along their channels. Writes `[N, H', W', outputs]`
    /// with the sides of [`Sliding::output`].
    ///
    /// # Panics
    /// When the sizes of inputs or output do not fit.
    pub fn run(
        &self,
        shape: Shape,
        parts: &[(&[f32], usize)],
        epilogue: Epilogue,
        output: &mut [f32],
    ) {
        let Self { matrix, sliding } = self;
        let channels: usize = parts.iter().map(|(_, channels)| channels).sum();
        let taps = sliding.kernel[0] * sliding.kernel[1];
        assert_eq!(channels * taps, matrix.inputs, "channels of all parts");
        for (values, channels) in parts {
            assert_eq!(values.len(), shape.pixels() * channels, "a part's size");
        }
        let results = sliding.output(shape).expect("the kernel fits the image");
        assert_eq!(
            output.len(),
            results.pixels() * matrix.columns,
            "output's size"
        );
        epilogue.check(output);
        if output.is_empty() {
            return;
        }
        let as_they_are = sliding.takes_pixels_as_they_are() && parts.len() == 1;
        let block = block(results.pixels(), matrix.inputs, matrix.columns);
        let blocks = output.par_chunks_mut(block * matrix.columns).enumerate();
        blocks.for_each(|(index, output)| {
            let first = index * block;
            let pixels = output.len() / matrix.columns;
            let epilogue = epilogue.part(first * matrix.columns, output.len());
            let run = |input: &[f32], output| {
                matrix.set.run(Pixels {
                    matrix,
                    input,
                    epilogue,
                    output,
                });
            };
            if as_they_are {
                let inputs = matrix.inputs;
                return run(&parts[0].0[first * inputs..][..pixels * inputs], output);
            }
            let mut patches = PATCHES.take();
            patches.resize(pixels * matrix.inputs, 0.0);
            for (pixel, patch) in patches.chunks_exact_mut(matrix.inputs).enumerate() {
                sliding.gather(shape, results, parts, first + pixel, patch);
            }
            run(&patches, output);
            PATCHES.set(patches);
        });
    }
}

thread_local! {
    /// Gathered patches; kept, because fresh memory costs page faults.
    static PATCHES: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Sliding {
    /// Copies what the kernel covers for one result, taps row by row.
    fn gather(
        self,
        shape: Shape,
        results: Shape,
        parts: &[(&[f32], usize)],
        pixel: usize,
        patch: &mut [f32],
    ) {
        let Shape { height, width, .. } = shape;
        let (line, x) = (pixel / results.width, pixel % results.width);
        let (image, y) = (line / results.height, line % results.height);
        let [rows, columns] = self.kernel;
        let taps = patch.len() / (rows * columns);
        let left = (x * self.stride[1]).checked_sub(self.padding[1]);
        for (row, line) in patch.chunks_exact_mut(columns * taps).enumerate() {
            let Some(y) = self.source(0, y, row, height) else {
                line.fill(0.0);
                continue;
            };
            let base = (image * height + y) * width;
            // Neighbouring pixels lie side by side in memory.
            if let ([(values, channels)], 1, Some(left)) = (parts, self.dilation[1], left)
                && left + columns <= width
            {
                line.copy_from_slice(&values[(base + left) * channels..][..columns * channels]);
                continue;
            }
            for (tap, target) in line.chunks_exact_mut(taps).enumerate() {
                let Some(x) = self.source(1, x, tap, width) else {
                    target.fill(0.0);
                    continue;
                };
                let mut target = target;
                for &(values, channels) in parts {
                    let (head, rest) = target.split_at_mut(channels);
                    head.copy_from_slice(&values[(base + x) * channels..][..channels]);
                    target = rest;
                }
            }
        }
    }
}
