//! Some channels of a band: transforms, products, transforms back.

use std::cell::Cell;
use std::ops::Range;

use super::filters::{Filters, Transform};
use super::transform::{self, Part};
use super::{BLOCK, Band, COLUMNS, Conv3x3, POSITIONS, TILE};
use crate::gemm::{Rows, Sink, product};
use crate::simd::{Kernel, Vector};
use crate::{Epilogue, Shape};

/// Inputs that are multiplied at a time; those of a block stay in the second-level cache.
const DEPTH: usize = 64;
/// Values between the matrices of neighbouring positions, so that they do not all fall into the
/// same cache set.
const GAP: usize = 16;

/// The channels of some panels for a band.
pub(super) struct Panels<'a> {
    pub(super) band: Band<'a>,
    pub(super) range: Range<usize>,
    pub(super) epilogue: Epilogue<'a>,
    /// The rows of results, `[rows, W, channels of the panels]`.
    pub(super) output: &'a mut [f32],
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    /// Transformed, `[position][tile][channel]`.
    inputs: Vec<f32>,
    /// `[position][tile][column]`.
    products: Vec<f32>,
    /// Transformed on the way, `[position][input][column]`.
    filters: Vec<f32>,
}

thread_local! {
    /// Kept, because fresh memory costs page faults.
    static SCRATCH: Cell<Scratch> = const {
        Cell::new(Scratch { inputs: Vec::new(), products: Vec::new(), filters: Vec::new() })
    };
}

fn grow(scratch: &mut Vec<f32>, length: usize) {
    if scratch.len() < length {
        scratch.resize(length, 0.0);
    }
}

/// Matrices of a block of tiles, one per position, `stride` apart.
struct Matrices<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl Kernel for Panels<'_> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let mut scratch = SCRATCH.take();
        let Conv3x3 {
            inputs: depth,
            outputs,
            tile,
            ..
        } = *self.band.convolution;
        let together = self.band.convolution.panels_together();
        let width = self.band.shape.width;
        let columns = outputs.min(self.range.end * tile.columns) - self.range.start * tile.columns;
        let rows = self.output.len() / (width * columns);
        let tiles_per_row = width.div_ceil(TILE);
        let count = rows.div_ceil(TILE) * tiles_per_row;
        let input_stride = BLOCK * depth + GAP;
        let product_stride = BLOCK * together * tile.columns + GAP;
        grow(&mut scratch.inputs, POSITIONS * input_stride);
        grow(&mut scratch.products, POSITIONS * product_stride);
        for first in (0..count).step_by(BLOCK) {
            let tiles = first..count.min(first + BLOCK);
            let mut transformed = Matrices {
                values: &mut scratch.inputs,
                stride: input_stride,
            };
            for (index, tile) in tiles.clone().enumerate() {
                let (y, x) = place(tile, tiles_per_row);
                self.band
                    .transform_input::<V>(y, x, index, &mut transformed);
            }
            for panel in self.range.clone().step_by(together) {
                let panels = panel..self.range.end.min(panel + together);
                let mut products = Matrices {
                    values: &mut scratch.products,
                    stride: product_stride,
                };
                let convolution = self.band.convolution;
                let filters = &mut scratch.filters;
                let count = tiles.len();
                convolution.multiply::<V>(panels, count, &transformed, filters, &mut products);
                for (index, tile) in tiles.clone().enumerate() {
                    let place = place(tile, tiles_per_row);
                    self.transform_output::<V>(place, panel, index, columns, &products);
                }
            }
        }
        self.epilogue.finish::<V>(self.output);
        SCRATCH.set(scratch);
    }
}

/// Row and column of a tile's first pixel.
#[inline(always)]
fn place(tile: usize, tiles_per_row: usize) -> (usize, usize) {
    (tile / tiles_per_row * TILE, tile % tiles_per_row * TILE)
}

impl Conv3x3 {
    /// Panels whose products are kept at a time. Filters transformed on the way need their place in
    /// the cache, too.
    fn panels_together(&self) -> usize {
        match self.filters {
            Filters::Transformed(_) => (COLUMNS / self.tile.columns).max(1),
            Filters::Plain(_) => 1,
        }
    }

    /// At every position, the tiles' channels times the filters of some panels; products are
    /// `[tile][column of a panel]`.
    #[inline(always)]
    fn multiply<V: Vector>(
        &self,
        panels: Range<usize>,
        tiles: usize,
        transformed: &Matrices,
        scratch: &mut Vec<f32>,
        products: &mut Matrices,
    ) {
        let Self { inputs, tile, .. } = *self;
        let columns = tile.columns;
        let row = self.panels_together() * columns;
        let step = match self.filters {
            Filters::Transformed(_) => inputs,
            Filters::Plain(_) => DEPTH,
        };
        for first in (0..inputs).step_by(step) {
            let depth = step.min(inputs - first);
            // Filters from the first panel's on; distances between panels and between positions.
            let (filters, next_panel, stride) = match &self.filters {
                Filters::Transformed(filters) => {
                    let stride = inputs * columns;
                    let first = panels.start * POSITIONS * stride;
                    (&filters[first..], POSITIONS * stride, stride)
                }
                Filters::Plain(taps) => {
                    let stride = DEPTH * columns + GAP;
                    grow(scratch, panels.len() * POSITIONS * stride);
                    let targets = scratch.chunks_exact_mut(POSITIONS * stride);
                    for (panel, filters) in panels.clone().zip(targets) {
                        let at = (panel * inputs + first) * 9 * columns;
                        let transform = Transform {
                            columns,
                            taps: &taps[at..][..depth * 9 * columns],
                            stride,
                            filters,
                        };
                        transform.run::<V>();
                    }
                    (&scratch[..], POSITIONS * stride, stride)
                }
            };
            for position in 0..POSITIONS {
                let rows = Rows {
                    values: &transformed.values[position * transformed.stride + first..],
                    stride: inputs,
                    depth,
                    // Rows beyond the block's hold what a former one left: harmless.
                    count: tile.whole_rows(tiles),
                };
                for index in 0..panels.len() {
                    let at = position * products.stride + index * columns;
                    let mut sink = ToMatrix {
                        row,
                        add: first > 0,
                        values: &mut products.values[at..],
                    };
                    let filters = &filters[index * next_panel + position * stride..];
                    product::<V>(tile, rows, &filters[..depth * columns], &mut sink);
                }
            }
        }
    }
}

struct ToMatrix<'a> {
    /// Values per row.
    row: usize,
    /// To what is there.
    add: bool,
    values: &'a mut [f32],
}

impl<V: Vector> Sink<V> for ToMatrix<'_> {
    #[inline(always)]
    fn store(&mut self, row: usize, column: usize, sums: V) {
        let values = &mut self.values[row * self.row + column..];
        let sums = if self.add {
            sums.add(V::load(values))
        } else {
            sums
        };
        sums.store(values);
    }
}

impl Band<'_> {
    /// Transforms the patch of the tile at (y, x), all channels.
    #[inline(always)]
    fn transform_input<V: Vector>(
        &self,
        y: usize,
        x: usize,
        index: usize,
        transformed: &mut Matrices,
    ) {
        let Shape { height, width, .. } = self.shape;
        let mut first = index * self.convolution.inputs;
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
                let target = &mut transformed.values[first + channel..];
                let place = (self.first_row + y, x);
                part.transform::<V>(place, (channel, count), transformed.stride, target);
            }
            first += channels;
        }
    }
}

impl Panels<'_> {
    /// Transforms the products of some panels, from `panel` on; adds the bias and writes the
    /// tile's pixels that lie in the image.
    #[inline(always)]
    fn transform_output<V: Vector>(
        &mut self,
        (y, x): (usize, usize),
        panel: usize,
        index: usize,
        columns: usize,
        products: &Matrices,
    ) {
        let Conv3x3 { tile, ref bias, .. } = *self.band.convolution;
        let width = self.band.shape.width;
        let rows = self.output.len() / (width * columns);
        let row = self.band.convolution.panels_together() * tile.columns;
        let floor = V::splat(self.epilogue.floor());
        // Channels of this output, and of the whole one.
        let first = (panel - self.range.start) * tile.columns;
        let bias = &bias[panel * tile.columns..];
        for column in (0..row.min(columns - first)).step_by(V::LANES) {
            let channel = first + column;
            let count = V::LANES.min(columns - channel);
            let products_of_tile = &products.values[index * row + column..];
            let lines = transform::output::<V>(products_of_tile, products.stride);
            let bias = V::load(&bias[column..]);
            let at = (y * width + x) * columns + channel;
            let whole = y + TILE <= rows && x + TILE <= width && count == V::LANES;
            if whole {
                for (i, line) in lines.iter().enumerate() {
                    let output = &mut self.output[at + i * width * columns..];
                    for (j, value) in line.iter().enumerate() {
                        floor.max(value.add(bias)).store(&mut output[j * columns..]);
                    }
                }
                continue;
            }
            for (i, line) in lines.iter().enumerate().take(rows - y) {
                let at = at + i * width * columns;
                for (j, value) in line.iter().enumerate().take(width - x) {
                    let value = floor.max(value.add(bias));
                    value.store_part(&mut self.output[at + j * columns..], count);
                }
            }
        }
    }
}
