//! 3 × 3 convolution with stride 1 and same-padding by Winograd's F(4 × 4, 3 × 3): Lavin and Gray,
//! "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016,
//! <https://arxiv.org/abs/1509.09308>). 36 products give 16 results of 9 taps each: a quarter of
//! the multiplications.
//!
//! Tiles are taken in blocks whose transforms stay in the second-level cache.
#![allow(
    clippy::needless_range_loop,
    reason = "two-dimensional patches read better by row and column"
)]

use std::cell::Cell;

use rayon::prelude::*;

use crate::gemm::{Rows, Sink, Tile, product};
use crate::matrix::padded_bias;
use crate::simd::{InstructionSet, Kernel, Vector};
use crate::{Epilogue, Shape};

/// Side of a tile of results.
const TILE: usize = 4;
/// Side of the input that a tile needs.
const PATCH: usize = 6;
/// Positions of a transformed tile.
const POSITIONS: usize = PATCH * PATCH;
/// Tiles per block; a multiple of the rows of every register tile.
const BLOCK: usize = 24;
/// Values between the matrices of neighbouring positions, so that they do not all fall into the
/// same cache set.
const GAP: usize = 16;

/// The filter transform G.
const FILTER: [[f32; 3]; PATCH] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// A 3 × 3 convolution, ready to run: stride 1, one pixel of zeros around the image.
#[derive(Clone, Debug)]
pub struct Conv3x3 {
    inputs: usize,
    outputs: usize,
    set: InstructionSet,
    tile: Tile,
    /// `[panel][position][input][column]`.
    filters: Vec<f32>,
    /// One per column of every panel.
    bias: Vec<f32>,
}

impl Conv3x3 {
    /// Transforms and packs weights `[outputs, inputs, 3, 3]`.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn new(weights: &[f32], outputs: usize, inputs: usize, bias: Option<&[f32]>) -> Self {
        Self::with_instructions(InstructionSet::current(), weights, outputs, inputs, bias)
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
    ) -> Self {
        assert_eq!(weights.len(), outputs * inputs * 9, "weights of 3 × 3");
        assert!(InstructionSet::available().contains(&set), "{}", set.name());
        let tile = Tile::new(set, outputs);
        let (panels, columns) = (tile.panels(outputs), tile.columns);
        let mut filters = vec![0.0; panels * POSITIONS * inputs * columns];
        for (output, weights) in weights.chunks_exact(inputs * 9).enumerate() {
            let (panel, column) = (output / columns, output % columns);
            for (input, taps) in weights.chunks_exact(9).enumerate() {
                for (position, value) in transform_filter(taps).into_iter().enumerate() {
                    let at = ((panel * POSITIONS + position) * inputs + input) * columns + column;
                    filters[at] = value;
                }
            }
        }
        Self {
            inputs,
            outputs,
            set,
            tile,
            filters,
            bias: padded_bias(bias, outputs, panels * columns),
        }
    }

    /// Convolves a feature map given as several parts, each `[N, H, W, C]` with its number of
    /// channels, that count as concatenated along their channels. Writes `[N, H, W, outputs]`.
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
        let channels: usize = parts.iter().map(|(_, channels)| channels).sum();
        assert_eq!(channels, self.inputs, "channels of all parts together");
        for (values, channels) in parts {
            assert_eq!(values.len(), shape.pixels() * channels, "a part's size");
        }
        assert_eq!(output.len(), shape.pixels() * self.outputs, "output's size");
        epilogue.check(output);
        if output.is_empty() {
            return;
        }
        let tiles_per_row = shape.width.div_ceil(TILE);
        let tile_rows = BLOCK.div_ceil(tiles_per_row);
        let row = shape.width * self.outputs;
        output
            .par_chunks_exact_mut(shape.height * row)
            .enumerate()
            .for_each(|(image, output)| {
                let bands = output.par_chunks_mut(tile_rows * TILE * row).enumerate();
                bands.for_each(|(band, output)| {
                    let first = image * shape.height * row + band * tile_rows * TILE * row;
                    self.set.run(Band {
                        convolution: self,
                        shape,
                        parts,
                        image,
                        first_row: band * tile_rows * TILE,
                        epilogue: epilogue.part(first, output.len()),
                        output,
                    });
                });
            });
    }
}

/// G g Gᵀ.
fn transform_filter(taps: &[f32]) -> [f32; POSITIONS] {
    let mut transformed = [0.0; POSITIONS];
    for (i, left) in FILTER.iter().enumerate() {
        for (j, right) in FILTER.iter().enumerate() {
            let mut sum = 0.0_f64;
            for (y, left) in left.iter().enumerate() {
                for (x, right) in right.iter().enumerate() {
                    sum += f64::from(*left) * f64::from(*right) * f64::from(taps[3 * y + x]);
                }
            }
            transformed[PATCH * i + j] = sum as f32;
        }
    }
    transformed
}

/// Some whole rows of tiles of one image.
struct Band<'a> {
    convolution: &'a Conv3x3,
    shape: Shape,
    parts: &'a [(&'a [f32], usize)],
    image: usize,
    /// First image row of the results.
    first_row: usize,
    epilogue: Epilogue<'a>,
    /// The rows of results, `[rows, W, outputs]`.
    output: &'a mut [f32],
}

thread_local! {
    /// Transformed inputs and products of a block; kept, because fresh memory costs page faults.
    static SCRATCH: Cell<(Vec<f32>, Vec<f32>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

impl Kernel for Band<'_> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let (mut inputs, mut products) = SCRATCH.take();
        let convolution = self.convolution;
        let input_stride = BLOCK * convolution.inputs + GAP;
        let product_stride = BLOCK * convolution.tile.columns + GAP;
        grow(&mut inputs, POSITIONS * input_stride);
        grow(&mut products, POSITIONS * product_stride);
        let tiles_per_row = self.shape.width.div_ceil(TILE);
        let rows = self.output.len() / (self.shape.width * convolution.outputs);
        let count = rows.div_ceil(TILE) * tiles_per_row;
        for first in (0..count).step_by(BLOCK) {
            let tiles = BLOCK.min(count - first);
            for index in 0..tiles {
                let (y, x) = place(first + index, tiles_per_row);
                self.transform_input::<V>(y, x, index, input_stride, &mut inputs);
            }
            for panel in 0..convolution.tile.panels(convolution.outputs) {
                convolution.multiply::<V>(
                    panel,
                    tiles,
                    (&inputs, input_stride),
                    (&mut products, product_stride),
                );
                for index in 0..tiles {
                    let (y, x) = place(first + index, tiles_per_row);
                    self.transform_output::<V>(y, x, panel, index, product_stride, &products);
                }
            }
        }
        SCRATCH.set((inputs, products));
    }
}

/// Row and column of a tile's first pixel.
#[inline(always)]
fn place(tile: usize, tiles_per_row: usize) -> (usize, usize) {
    (tile / tiles_per_row * TILE, tile % tiles_per_row * TILE)
}

fn grow(scratch: &mut Vec<f32>, length: usize) {
    if scratch.len() < length {
        scratch.resize(length, 0.0);
    }
}

impl Conv3x3 {
    /// At every position, the tiles' channels times the filters of a panel. Matrices come with the
    /// distance between positions.
    #[inline(always)]
    fn multiply<V: Vector>(
        &self,
        panel: usize,
        tiles: usize,
        (transformed, input_stride): (&[f32], usize),
        (products, product_stride): (&mut [f32], usize),
    ) {
        let Self { inputs, tile, .. } = *self;
        let length = inputs * tile.columns;
        for position in 0..POSITIONS {
            let filters = &self.filters[(panel * POSITIONS + position) * length..][..length];
            let rows = Rows {
                values: &transformed[position * input_stride..],
                stride: inputs,
                depth: inputs,
                // Rows up to the register tile's multiple hold what a former block left: harmless.
                count: tiles.next_multiple_of(tile.rows),
            };
            let mut sink = ToMatrix {
                columns: tile.columns,
                values: &mut products[position * product_stride..],
            };
            product::<V>(tile, rows, filters, &mut sink);
        }
    }
}

struct ToMatrix<'a> {
    columns: usize,
    values: &'a mut [f32],
}

impl<V: Vector> Sink<V> for ToMatrix<'_> {
    #[inline(always)]
    fn store(&mut self, row: usize, column: usize, sums: V) {
        sums.store(&mut self.values[row * self.columns + column..]);
    }
}

/// One part of one image's input, `[H, W, channels]`.
#[derive(Clone, Copy)]
struct Part<'a> {
    values: &'a [f32],
    channels: usize,
    height: usize,
    width: usize,
}

impl Part<'_> {
    /// Bᵀ d B of the patch that begins a pixel above and left of (y, x), for `count` channels.
    #[inline(always)]
    fn transformed<V: Vector>(
        &self,
        y: usize,
        x: usize,
        channel: usize,
        count: usize,
    ) -> [[V; PATCH]; PATCH] {
        let mut half = [[V::splat(0.0); PATCH]; PATCH];
        let inner = y > 0 && y + PATCH <= self.height + 1 && x > 0 && x + PATCH <= self.width + 1;
        for j in 0..PATCH {
            let mut column = [V::splat(0.0); PATCH];
            for (i, value) in column.iter_mut().enumerate() {
                let (y, x) = (y + i, x + j);
                if inner || (1..=self.height).contains(&y) && (1..=self.width).contains(&x) {
                    let at = ((y - 1) * self.width + x - 1) * self.channels + channel;
                    *value = V::load_part(&self.values[at..], count);
                }
            }
            let column = input_line(column);
            for i in 0..PATCH {
                half[i][j] = column[i];
            }
        }
        for line in &mut half {
            *line = input_line(*line);
        }
        half
    }
}

impl Band<'_> {
    /// Bᵀ d B of the patch of the tile at (y, x), all channels.
    #[inline(always)]
    fn transform_input<V: Vector>(
        &self,
        y: usize,
        x: usize,
        index: usize,
        stride: usize,
        transformed: &mut [f32],
    ) {
        let Shape { height, width, .. } = self.shape;
        let inputs = self.convolution.inputs;
        let mut first_channel = 0;
        for &(values, channels) in self.parts {
            let length = height * width * channels;
            let part = Part {
                values: &values[self.image * length..][..length],
                channels,
                height,
                width,
            };
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let patch = part.transformed::<V>(self.first_row + y, x, channel, count);
                let base = index * inputs + first_channel + channel;
                for (i, line) in patch.into_iter().enumerate() {
                    for (j, value) in line.into_iter().enumerate() {
                        let at = (i * PATCH + j) * stride + base;
                        value.store_part(&mut transformed[at..], count);
                    }
                }
            }
            first_channel += channels;
        }
    }

    /// Aᵀ m A, bias and activation; writes the tile's pixels that lie in the image.
    #[inline(always)]
    fn transform_output<V: Vector>(
        &mut self,
        y: usize,
        x: usize,
        panel: usize,
        index: usize,
        stride: usize,
        products: &[f32],
    ) {
        let Conv3x3 {
            outputs,
            tile,
            ref bias,
            ..
        } = *self.convolution;
        let width = self.shape.width;
        let rows = self.output.len() / (width * outputs);
        let first_channel = panel * tile.columns;
        for column in (0..tile.columns.min(outputs - first_channel)).step_by(V::LANES) {
            let channel = first_channel + column;
            let count = V::LANES.min(outputs - channel);
            let base = index * tile.columns + column;
            let mut half = [[V::splat(0.0); PATCH]; TILE];
            for j in 0..PATCH {
                let mut line = [V::splat(0.0); PATCH];
                for (i, value) in line.iter_mut().enumerate() {
                    *value = V::load(&products[(i * PATCH + j) * stride + base..]);
                }
                let line = output_line(line);
                for i in 0..TILE {
                    half[i][j] = line[i];
                }
            }
            let bias = V::load(&bias[channel..]);
            for (i, line) in half.into_iter().enumerate() {
                if y + i >= rows {
                    break;
                }
                for (j, value) in output_line(line).into_iter().enumerate() {
                    if x + j >= width {
                        break;
                    }
                    let at = ((y + i) * width + x + j) * outputs + channel;
                    self.epilogue.store(value.add(bias), self.output, at, count);
                }
            }
        }
    }
}

/// Bᵀ times a line of a patch.
#[inline(always)]
fn input_line<V: Vector>([a, b, c, d, e, f]: [V; PATCH]) -> [V; PATCH] {
    let (two, four, five) = (V::splat(2.0), V::splat(4.0), V::splat(-5.0));
    let minus_four = V::splat(-4.0);
    let (even, odd) = (c.mul_add(minus_four, e), b.mul_add(minus_four, d));
    let (near, far) = (e.sub(c), two.mul(d.sub(b)));
    [
        a.mul_add(four, c.mul_add(five, e)),
        even.add(odd),
        even.sub(odd),
        near.add(far),
        near.sub(far),
        b.mul_add(four, d.mul_add(five, f)),
    ]
}

/// Aᵀ times a line of products.
#[inline(always)]
fn output_line<V: Vector>([a, b, c, d, e, f]: [V; PATCH]) -> [V; TILE] {
    let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
    let (sum, difference) = (b.add(c), b.sub(c));
    let (far_sum, far_difference) = (d.add(e), d.sub(e));
    [
        a.add(sum).add(far_sum),
        far_difference.mul_add(two, difference),
        far_sum.mul_add(four, sum),
        far_difference.mul_add(eight, difference).add(f),
    ]
}
