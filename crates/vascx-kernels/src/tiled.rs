//! Convolution of bf16 maps on matrix tiles. Rows of the image are copied to where zeros surround them;
//! there what lies under a row of the kernel is in reach of a tile, whose rows are neighbouring results.
//! Sums are f32 and rounded once, with bias, residual and activation in them.

use std::cell::Cell;

use half::bf16;
use rayon::prelude::*;

mod band;

use self::band::{Band, Columns};
use crate::tiles::{self, DEPTH, PANEL, TileSet};
use crate::{Epilogue, Memory, Shape, Sliding};

/// Values of copied rows that are held at a time; a quarter of a second-level cache of 2 MB.
const COPIED: usize = 256 << 10;
/// Least results of a task: setting tiles up, and reading all weights, must pay.
const LEAST_RESULTS: usize = 256;
/// Tasks per thread, where there is work for so many: a thread that comes late costs its share.
const TASKS: usize = 4;

/// Weights for tiles.
#[derive(Clone, Debug)]
struct Packed {
    tiles: TileSet,
    inputs: usize,
    sliding: Sliding,
    pieces: Pieces,
    /// `[panel][step]`, each two tiles of pairs.
    weights: Memory<bf16>,
    /// One per column of every panel.
    bias: Memory,
}

/// How what lies under the kernel is cut into steps of as many values as a tile is deep.
#[derive(Clone, Copy, Debug)]
struct Pieces {
    /// Taps that lie side by side.
    together: usize,
    /// Steps for these.
    steps: usize,
}

impl Pieces {
    fn new(sliding: Sliding, inputs: usize) -> Self {
        // Whole tiles per pixel stay by themselves: then neighbouring taps can come one after the other,
        // which read almost the same values.
        let apart = sliding.dilation[1] > 1 || inputs.is_multiple_of(DEPTH);
        let together = if apart { 1 } else { sliding.kernel[1] };
        Self {
            together,
            steps: (together * inputs).div_ceil(DEPTH),
        }
    }

    /// For every step: row and column of its first tap, and the first of its values there.
    fn order(self, sliding: Sliding) -> Vec<(usize, usize, usize)> {
        let mut order = Vec::new();
        for y in 0..sliding.kernel[0] {
            for step in 0..self.steps {
                for x in (0..sliding.kernel[1]).step_by(self.together) {
                    order.push((y, x, step * DEPTH));
                }
            }
        }
        order
    }
}

impl Packed {
    /// `weight` gives that of an output channel, an input channel, and a tap's row and column; panels of
    /// output channels do not span several of the `groups`.
    fn new(
        tiles: TileSet,
        sliding: Sliding,
        (inputs, outputs, groups): (usize, usize, usize),
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, [usize; 2]) -> f32,
    ) -> Self {
        assert!(tiles.is_available(), "{tiles:?}");
        let pieces = Pieces::new(sliding, inputs);
        let order = pieces.order(sliding);
        let panels = outputs.div_ceil(PANEL);
        let mut packed = Packed {
            tiles,
            inputs,
            sliding,
            pieces,
            weights: Memory::zeros(groups * panels * order.len() * DEPTH * PANEL),
            bias: Memory::zeros(groups * panels * PANEL),
        };
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "one bias per output channel");
        }
        let steps = packed.weights.chunks_exact_mut(DEPTH * PANEL);
        for (index, tiles) in steps.enumerate() {
            let (panel, (y, x, first)) = (index / order.len(), order[index % order.len()]);
            let (group, first_output) = (panel / panels, panel % panels * PANEL);
            for (place, value) in tiles.iter_mut().enumerate() {
                // [tile][pair of inputs][column][of the pair]
                let (tile, place) = (
                    place / (DEPTH * tiles::COLUMNS),
                    place % (DEPTH * tiles::COLUMNS),
                );
                let (row, column) = (place / DEPTH, place % DEPTH / 2);
                let input = first + 2 * row + place % 2;
                let output = first_output + tile * tiles::COLUMNS + column;
                if input < pieces.together * inputs && output < outputs {
                    let tap = [y, x + input / inputs];
                    *value = bf16::from_f32(weight(group * outputs + output, input % inputs, tap));
                }
            }
        }
        for group in 0..groups {
            if let Some(bias) = bias {
                packed.bias[group * panels * PANEL..][..outputs].copy_from_slice(bias);
            }
        }
        packed
    }

    /// Computes all results, in bands of rows. `row` are the values of a row of results in the output,
    /// for which `columns` says where every panel's go.
    fn run(
        &self,
        shape: Shape,
        parts: &[(&[bf16], usize)],
        (results, row): (Shape, usize),
        columns: &Columns,
        epilogue: Epilogue,
        output: &mut [bf16],
    ) {
        let Sliding { stride, .. } = self.sliding;
        let copied = (shape.width + 2 * self.sliding.padding[1]) * self.inputs;
        let lines = lines_per_task(results, copied * stride[0]);
        // Few channels of a pixel are not worth a tile for each of its rows.
        let images = output
            .par_chunks_exact_mut(results.height * row)
            .enumerate();
        images.for_each(|(image, output)| {
            let bands = output.par_chunks_mut(lines * row).enumerate();
            bands.for_each(|(band, output)| {
                let mut copies = COPIES.take();
                self.tiles.run(Band {
                    packed: self,
                    shape,
                    parts,
                    image,
                    first_row: band * lines,
                    width: results.width,
                    row,
                    columns,
                    epilogue,
                    copies: &mut copies,
                    output,
                });
                COPIES.set(copies);
            });
        });
    }
}

thread_local! {
    /// Rows with what surrounds them; kept, because fresh memory costs page faults.
    static COPIES: Cell<Memory<bf16>> = const { Cell::new(Memory::EMPTY) };
}

/// Rows of results per task, for which so many values are copied each.
fn lines_per_task(results: Shape, copied: usize) -> usize {
    let most = (COPIED / copied).max(1);
    let least = LEAST_RESULTS.div_ceil(results.width);
    let tasks = (TASKS * rayon::current_num_threads()).div_ceil(results.images);
    let lines = results
        .height
        .div_ceil(tasks)
        .clamp(1, most)
        .max(least.min(most));
    // As many for every thread, where there are few.
    let threads = rayon::current_num_threads();
    let tasks = results.height.div_ceil(lines);
    let tasks = if results.images == 1 && tasks > 1 && tasks < 4 * threads {
        tasks.next_multiple_of(threads)
    } else {
        tasks
    };
    results.height.div_ceil(tasks)
}

/// A convolution of bf16 maps, ready to run.
#[derive(Clone, Debug)]
pub struct TiledConvolution {
    packed: Packed,
    outputs: usize,
}

impl TiledConvolution {
    /// Packs weights `[outputs, inputs, height, width]`, rounded to bf16.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit, or the machine does not have these tiles.
    pub fn new(
        tiles: TileSet,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
        bias: Option<&[f32]>,
        sliding: Sliding,
    ) -> Self {
        let [rows, columns] = sliding.kernel;
        assert_eq!(weights.len(), outputs * inputs * rows * columns, "weights");
        let weight = |output: usize, input: usize, [y, x]: [usize; 2]| {
            weights[((output * inputs + input) * rows + y) * columns + x]
        };
        Self {
            packed: Packed::new(tiles, sliding, (inputs, outputs, 1), bias, weight),
            outputs,
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
        parts: &[(&[bf16], usize)],
        epilogue: Epilogue,
        output: &mut [bf16],
    ) {
        let Self { packed, outputs } = self;
        let channels: usize = parts.iter().map(|(_, channels)| channels).sum();
        assert_eq!(channels, packed.inputs, "channels of all parts");
        for (values, channels) in parts {
            assert_eq!(values.len(), shape.pixels() * channels, "a part's size");
        }
        let results = packed.sliding.output(shape);
        let results = results.expect("the kernel fits the image");
        assert_eq!(output.len(), results.pixels() * outputs, "output's size");
        if output.is_empty() {
            return;
        }
        let columns = Columns {
            places: (0..*outputs)
                .step_by(PANEL)
                .map(|first| (first, PANEL.min(outputs - first)))
                .collect(),
            lines: results.width * outputs,
            pixels: *outputs,
        };
        let row = results.width * outputs;
        packed.run(shape, parts, (results, row), &columns, epilogue, output);
    }
}

/// A transposed 2 × 2 convolution of bf16 maps with stride 2, ready to run: every pixel becomes four.
#[derive(Clone, Debug)]
pub struct TiledTransposedConv2x2 {
    /// Of pixels; the four corners are groups of panels.
    packed: Packed,
    outputs: usize,
}

impl TiledTransposedConv2x2 {
    /// Packs weights `[inputs, outputs, 2, 2]`, rounded to bf16.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit, or the machine does not have these tiles.
    pub fn new(
        tiles: TileSet,
        weights: &[f32],
        inputs: usize,
        outputs: usize,
        bias: Option<&[f32]>,
    ) -> Self {
        assert_eq!(weights.len(), inputs * outputs * 4, "weights of 2 × 2");
        let pixels = Sliding {
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
        };
        let weight = |output: usize, input: usize, _: [usize; 2]| {
            let (corner, output) = (output / outputs, output % outputs);
            weights[(input * outputs + output) * 4 + corner]
        };
        Self {
            packed: Packed::new(tiles, pixels, (inputs, outputs, 4), bias, weight),
            outputs,
        }
    }

    /// Doubles the resolution of `[N, H, W, inputs]`; writes `[N, 2 H, 2 W, outputs]`.
    ///
    /// # Panics
    /// When the sizes of input and output do not fit.
    pub fn run(&self, shape: Shape, input: &[bf16], output: &mut [bf16]) {
        let Self { packed, outputs } = self;
        assert_eq!(input.len(), shape.pixels() * packed.inputs, "input's size");
        assert_eq!(output.len(), shape.pixels() * 4 * outputs, "output's size");
        if output.is_empty() {
            return;
        }
        let row = 2 * shape.width * outputs;
        let corners = [0, *outputs, row, row + outputs];
        let place = |corner: usize, first: usize| (corner + first, PANEL.min(outputs - first));
        let columns = Columns {
            places: corners
                .into_iter()
                .flat_map(|corner| {
                    (0..*outputs)
                        .step_by(PANEL)
                        .map(move |first| place(corner, first))
                })
                .collect(),
            lines: 2 * row,
            pixels: 2 * outputs,
        };
        let parts = [(input, packed.inputs)];
        let identity = crate::Activation::Identity.into();
        packed.run(shape, &parts, (shape, 2 * row), &columns, identity, output);
    }
}
