//! Convolution of any kernel size, stride, padding and dilation as a product of pixels and weights.
//! What lies under a row of the kernel is contiguous in memory, so patches need not be gathered:
//! the product's rows overlap. Only where the image ends, or is given in parts, its rows are copied
//! to where zeros surround them.

use std::cell::Cell;

use rayon::prelude::*;

mod pooled;

use crate::gemm::Rows;
use crate::matrix::{DEPTH, FINISHED, Lines, Matrix};
use crate::simd::InstructionSet;
use crate::{Epilogue, Memory, Shape};

/// Most results per block.
const MOST_RESULTS: usize = 192;
/// Fewest results that make it worth to read all weights; several register tiles.
const LEAST_RESULTS: usize = 48;
/// Inputs and results of a block that are held at a time, where there are at least
/// [`LEAST_RESULTS`]; half the second-level cache.
const BLOCK_VALUES: usize = 64 << 10;

/// Values of a map that the third-level cache does not hold beside others.
const FAR: usize = 4 << 20;

/// What it takes to begin a block, in results.
const BEGINNING: usize = 6;

/// Units (pixels or rows) per block, of those sizes that are wanted: about as many as the cache holds with their
/// inputs and results, `values` each, but so that no thread waits long for another. Where the cache
/// alone decided, one could wait for a twentieth of a layer's time.
fn block(
    units: usize,
    values: usize,
    results_per_unit: usize,
    wanted: impl Fn(usize) -> bool,
) -> usize {
    let least = LEAST_RESULTS.div_ceil(results_per_unit);
    let most = (MOST_RESULTS / results_per_unit).max(least);
    let fitting = (BLOCK_VALUES / values).clamp(least, most);
    let threads = rayon::current_num_threads();
    let least = fitting.div_ceil(2).min(units.div_ceil(threads));
    let most = most.min(fitting + fitting / 2);
    let longest = |&block: &usize| {
        let blocks = units.div_ceil(block).div_ceil(threads);
        blocks * (block * results_per_unit + BEGINNING)
    };
    let sizes = (least..=most).filter(|&block| wanted(block));
    sizes.min_by_key(longest).unwrap_or(most)
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
        let results = self.check(shape, parts);
        assert_eq!(
            output.len(),
            results.pixels() * matrix.columns,
            "output's size"
        );
        if output.is_empty() {
            return;
        }
        if sliding.takes_pixels_as_they_are() && parts.len() == 1 {
            run_pixels(&self.matrix, None, parts[0].0, epilogue, output);
        } else {
            self.run_rows(shape, results, parts, epilogue, output);
        }
    }

    /// The results' shape.
    fn check(&self, shape: Shape, parts: &[(&[f32], usize)]) -> Shape {
        let Self { matrix, sliding } = self;
        let channels: usize = parts.iter().map(|(_, channels)| channels).sum();
        let taps = sliding.kernel[0] * sliding.kernel[1];
        assert_eq!(channels * taps, matrix.inputs, "channels of all parts");
        for (values, channels) in parts {
            assert_eq!(values.len(), shape.pixels() * channels, "a part's size");
        }
        sliding.output(shape).expect("the kernel fits the image")
    }

    /// What pixels are multiplied with, where nothing but a pixel itself counts for its result.
    pub(crate) fn matrix_of_pixels(&self) -> Option<&Matrix> {
        self.sliding
            .takes_pixels_as_they_are()
            .then_some(&self.matrix)
    }

    /// Convolves a map `[N, H, W, C]` whose channels are first multiplied by factors `[N, C]`: the
    /// weights are, which are fewer than the pixels.
    ///
    /// # Panics
    /// When it is not a 1 × 1 convolution with stride 1 or the sizes do not fit.
    pub fn run_scaled(
        &self,
        shape: Shape,
        input: &[f32],
        factors: &[f32],
        epilogue: Epilogue,
        output: &mut [f32],
    ) {
        let matrix = self.matrix_of_pixels();
        let matrix = matrix.expect("a 1 × 1 convolution with stride 1");
        let Matrix {
            inputs, columns, ..
        } = *matrix;
        let pixels = shape.height * shape.width;
        assert_eq!(input.len(), shape.pixels() * inputs, "input's size");
        assert_eq!(factors.len(), shape.images * inputs, "factors");
        assert_eq!(output.len(), shape.pixels() * columns, "output's size");
        if output.is_empty() {
            return;
        }
        let images = input.chunks_exact(pixels * inputs);
        let images = images.zip(factors.chunks_exact(inputs));
        let outputs = output.chunks_exact_mut(pixels * columns);
        for ((input, factors), output) in images.zip(outputs) {
            run_pixels(matrix, Some(factors), input, epilogue, output);
        }
    }

    /// Rows of results, a band at a time.
    fn run_rows(
        &self,
        shape: Shape,
        results: Shape,
        parts: &[(&[f32], usize)],
        epilogue: Epilogue,
        output: &mut [f32],
    ) {
        let Self { matrix, sliding } = self;
        let far = output.len() > FAR;
        let bands = Bands::new(self, shape, results, parts, far);
        let result_row = results.width * matrix.columns;
        let values = bands.row * sliding.stride[0] + results.width * matrix.columns.min(FINISHED);
        let block = block(results.height, values, results.width, |_| true);
        let images = output.par_chunks_exact_mut(results.height * result_row);
        images.enumerate().for_each(|(image, output)| {
            let outputs = output.par_chunks_mut(block * result_row).enumerate();
            outputs.for_each(|(band, output)| {
                bands.run((image, band * block), epilogue, output);
            });
        });
    }
}

/// What it takes to compute any rows of results.
struct Bands<'a> {
    convolution: &'a Convolution,
    shape: Shape,
    /// Results per row.
    width: usize,
    parts: &'a [(&'a [f32], usize)],
    /// Whether rows are copied to where zeros surround them.
    copied: bool,
    /// Whether results go to memory, and not to a cache.
    far: bool,
    /// Values of a row of the image, with what surrounds it.
    row: usize,
    channels: usize,
    /// Where taps that lie side by side begin, and how many values they are.
    offsets: Vec<usize>,
    depth: usize,
}

impl<'a> Bands<'a> {
    fn new(
        convolution: &'a Convolution,
        shape: Shape,
        results: Shape,
        parts: &'a [(&'a [f32], usize)],
        far: bool,
    ) -> Self {
        let Convolution { matrix, sliding } = convolution;
        let [kernel_rows, kernel_columns] = sliding.kernel;
        let channels = matrix.inputs / (kernel_rows * kernel_columns);
        let row = (shape.width + 2 * sliding.padding[1]) * channels;
        // Neighbouring taps lie side by side, unless they are dilated.
        let taps_together = if sliding.dilation[1] == 1 {
            kernel_columns
        } else {
            1
        };
        let offsets = (0..kernel_rows)
            .flat_map(|y| {
                let columns = (0..kernel_columns).step_by(taps_together);
                columns.map(move |x| (y, x))
            })
            .map(|(y, x)| y * sliding.dilation[0] * row + x * sliding.dilation[1] * channels)
            .collect();
        Self {
            convolution,
            shape,
            width: results.width,
            parts,
            copied: sliding.padding != [0, 0] || parts.len() > 1,
            far,
            row,
            channels,
            offsets,
            depth: taps_together * channels,
        }
    }

    /// The rows of an image's results from the first on that fill the output.
    fn run(&self, (image, first): (usize, usize), epilogue: Epilogue, output: &mut [f32]) {
        let Convolution { matrix, sliding } = self.convolution;
        let lines = output.len() / (self.width * matrix.columns);
        let top = first * sliding.stride[0];
        let row = self.row;
        let mut surrounded = SURROUNDED.take();
        let values = if self.copied {
            let rows = (lines - 1) * sliding.stride[0] + sliding.reach(0);
            let surrounded = surrounded.room(rows * row);
            for (y, target) in (top..).zip(surrounded.chunks_exact_mut(row)) {
                sliding.copy_row(self.shape, self.parts, (image, y), target);
            }
            surrounded
        } else {
            &self.parts[0].0[(image * self.shape.height + top) * row..]
        };
        matrix.set.run(Lines {
            matrix,
            first: Rows {
                values,
                offsets: &self.offsets,
                depth: self.depth,
                stride: sliding.stride[1] * self.channels,
                count: self.width,
                ahead: !self.copied && self.parts[0].0.len() > FAR,
            },
            stride: sliding.stride[0] * row,
            factors: None,
            epilogue,
            far: self.far,
            output,
        });
        SURROUNDED.set(surrounded);
    }
}

/// A product of all pixels, regardless of rows.
fn run_pixels(
    matrix: &Matrix,
    factors: Option<&[f32]>,
    input: &[f32],
    epilogue: Epilogue,
    output: &mut [f32],
) {
    let Matrix {
        inputs, columns, ..
    } = *matrix;
    let pixels = output.len() / columns;
    let values = inputs.min(DEPTH) + columns.min(FINISHED);
    let block = block(pixels, values, 1, |block| {
        matrix.tile.whole_rows(block) == block
    });
    let far = output.len() > FAR;
    let inputs_of_blocks = input.par_chunks(block * inputs);
    let blocks = output.par_chunks_mut(block * columns).zip(inputs_of_blocks);
    blocks.for_each(|(output, values)| {
        matrix.set.run(Lines {
            matrix,
            first: Rows {
                values,
                offsets: &[0],
                depth: inputs,
                stride: inputs,
                count: output.len() / columns,
                ahead: input.len() > FAR,
            },
            stride: 0,
            factors,
            far,
            epilogue,
            output,
        });
    });
}

thread_local! {
    /// Rows with what surrounds them; kept, because fresh memory costs page faults.
    static SURROUNDED: Cell<Memory> = const { Cell::new(Memory::EMPTY) };
}

impl Sliding {
    /// Copies a row of an image, counted from the first of the zeros above, with the zeros around.
    fn copy_row(
        self,
        shape: Shape,
        parts: &[(&[f32], usize)],
        (image, y): (usize, usize),
        target: &mut [f32],
    ) {
        let Shape { height, width, .. } = shape;
        let Some(y) = y.checked_sub(self.padding[0]).filter(|&y| y < height) else {
            return target.fill(0.0);
        };
        let pixels = (image * height + y) * width..(image * height + y + 1) * width;
        let channels = target.len() / (width + 2 * self.padding[1]);
        let (left, target) = target.split_at_mut(self.padding[1] * channels);
        let (target, right) = target.split_at_mut(width * channels);
        left.fill(0.0);
        right.fill(0.0);
        if let [(values, _)] = parts {
            let row = pixels.start * channels..pixels.end * channels;
            return target.copy_from_slice(&values[row]);
        }
        for (pixel, mut target) in pixels.zip(target.chunks_exact_mut(channels)) {
            for &(values, channels) in parts {
                let (head, rest) = target.split_at_mut(channels);
                head.copy_from_slice(&values[pixel * channels..][..channels]);
                target = rest;
            }
        }
    }
}
