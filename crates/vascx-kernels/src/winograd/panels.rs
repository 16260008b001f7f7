//! Some channels of a band: transforms, products, transforms back.

use std::cell::Cell;
use std::ops::Range;

use super::filters::{Filters, Transform};
use super::transform::{self, Part, STRIP_CHANNELS, STRIP_TILES, Strip};
use super::{BLOCK, Band, Conv3x3, PATCH, POSITIONS, TILE};
use crate::gemm::{Rows, Sink, product};
use crate::simd::{Kernel, Vector};
use crate::{Epilogue, Memory, Shape};

/// Values between the matrices of neighbouring positions, so that they do not all fall into the
/// same cache set.
const GAP: usize = 16;

/// The channels of some panels for a band.
pub(super) struct Panels<'a> {
    pub(super) band: Band<'a>,
    pub(super) range: Range<usize>,
    pub(super) epilogue: Epilogue,
    /// The rows of results, `[rows, W, channels of the panels]`.
    pub(super) output: &'a mut [f32],
}

/// Memory of a task.
#[derive(Default)]
struct Scratch {
    strip: Strip,
    /// Transformed, `[step of inputs][position][tile][input]`.
    inputs: Memory,
    /// `[position][tile][column]`.
    products: Memory,
    /// Transformed on the way, `[position][input][column]`.
    filters: Memory,
}

thread_local! {
    /// Kept, because fresh memory costs page faults.
    static SCRATCH: Cell<Scratch> = Cell::default();
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
            inputs,
            tile,
            blocking,
            ..
        } = *self.band.convolution;
        let width = self.band.shape.width;
        let columns = self.columns();
        let rows = self.output.len() / (width * columns);
        let tiles_per_row = width.div_ceil(TILE);
        let count = rows.div_ceil(TILE) * tiles_per_row;
        let most = BLOCK.min(count).next_multiple_of(tile.rows);
        let input_stride = most * blocking.depth + GAP;
        let product_stride = most * blocking.panels * tile.columns + GAP;
        let steps = inputs.div_ceil(blocking.depth);
        scratch.inputs.room(steps * POSITIONS * input_stride);
        scratch.products.room(POSITIONS * product_stride);
        let all = count;
        for first in (0..all).step_by(BLOCK) {
            let tiles = first..all.min(first + BLOCK);
            let mut transformed = Matrices {
                values: &mut scratch.inputs,
                stride: input_stride,
            };
            let mut index = 0;
            while index < tiles.len() {
                let tile = tiles.start + index;
                let left_in_row = tiles_per_row - tile % tiles_per_row;
                let last = tiles.len().min(index + left_in_row.min(STRIP_TILES));
                let place = place(tile, tiles_per_row);
                let strip = &mut scratch.strip;
                self.band
                    .transform_inputs::<V>(place, index..last, strip, &mut transformed);
                index = last;
            }
            for panel in self.range.clone().step_by(blocking.panels) {
                let panels = panel..self.range.end.min(panel + blocking.panels);
                let mut products = Matrices {
                    values: &mut scratch.products,
                    stride: product_stride,
                };
                let convolution = self.band.convolution;
                let filters = &mut scratch.filters;
                let count = tiles.len();
                if panel == self.range.start {
                    let next = tiles.end..all.min(tiles.end + BLOCK);
                    for tile in next {
                        self.band.ask_for_inputs::<V>(place(tile, tiles_per_row));
                    }
                }
                convolution.multiply::<V>(panels, count, &transformed, filters, &mut products);
                for (index, tile) in tiles.clone().enumerate() {
                    self.ask_for::<V>(place(tile + 1, tiles_per_row), panel);
                    let place = place(tile, tiles_per_row);
                    self.transform_output::<V>(place, panel, index, &products);
                }
            }
        }
        self.epilogue.finish::<V, f32>(self.output);
        SCRATCH.set(scratch);
    }
}

/// Row and column of a tile's first pixel.
#[inline(always)]
fn place(tile: usize, tiles_per_row: usize) -> (usize, usize) {
    (tile / tiles_per_row * TILE, tile % tiles_per_row * TILE)
}

impl Conv3x3 {
    /// At every position, the tiles' channels times the filters of some panels; products are
    /// `[tile][column of a panel]`.
    #[inline(always)]
    fn multiply<V: Vector>(
        &self,
        panels: Range<usize>,
        tiles: usize,
        transformed: &Matrices,
        scratch: &mut Memory,
        products: &mut Matrices,
    ) {
        let Self {
            inputs,
            tile,
            blocking,
            ..
        } = *self;
        let columns = tile.columns;
        let row = blocking.panels * columns;
        for (step, first) in (0..inputs).step_by(blocking.depth).enumerate() {
            let depth = blocking.depth.min(inputs - first);
            let transformed_step = &transformed.values[step * POSITIONS * transformed.stride..];
            // Filters from the first panel's on; distances between panels and between positions.
            let (filters, next_panel, stride) = match &self.filters {
                Filters::Transformed(filters) => {
                    let stride = inputs * columns;
                    let first = panels.start * POSITIONS * stride;
                    (&filters[first..], POSITIONS * stride, stride)
                }
                Filters::Plain(taps) => {
                    let stride = blocking.depth * columns + GAP;
                    let targets = scratch.room(panels.len() * POSITIONS * stride);
                    let targets = targets.chunks_exact_mut(POSITIONS * stride);
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
                    values: &transformed_step[position * transformed.stride..],
                    offsets: &[0],
                    depth,
                    stride: blocking.depth,
                    // Rows beyond the block's hold what a former one left: harmless.
                    count: tile.whole_rows(tiles),
                    ahead: false,
                };
                for index in 0..panels.len() {
                    let at = position * products.stride + index * columns;
                    let mut sink = ToMatrix {
                        row,
                        add: first > 0,
                        values: &mut products.values[at..],
                    };
                    let at = index * next_panel + position * stride;
                    product::<V>(tile, rows, &filters[at..][..depth * columns], &mut sink);
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

impl Sink for ToMatrix<'_> {
    #[inline(always)]
    fn store<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        sums: &[[V; VECTORS]; ROWS],
    ) {
        for (index, sums) in sums.iter().enumerate() {
            let values = &mut self.values[(row + index) * self.row..][..VECTORS * V::LANES];
            for (vector, &sum) in sums.iter().enumerate() {
                let values = &mut values[vector * V::LANES..];
                let sum = if self.add {
                    sum.add(V::load(values))
                } else {
                    sum
                };
                sum.store(values);
            }
        }
    }
}

impl Band<'_> {
    /// Asks for the pixels that a tile's patch does not share with those beside it.
    #[inline(always)]
    fn ask_for_inputs<V: Vector>(&self, (y, x): (usize, usize)) {
        let Shape { height, width, .. } = self.shape;
        for &(values, channels) in self.parts {
            for row in y..y + PATCH {
                // Patches begin a pixel above and left of their tiles.
                let at = (self.image * height + self.first_row + row) * width + x;
                let at = at.saturating_sub(width) * channels;
                V::prefetch_for_later(values, at..at + TILE * channels);
            }
        }
    }

    /// Transforms the patches of tiles side by side, the first of which is at (y, x), all channels.
    #[inline(always)]
    fn transform_inputs<V: Vector>(
        &self,
        (y, x): (usize, usize),
        tiles: Range<usize>,
        strip: &mut Strip,
        transformed: &mut Matrices,
    ) {
        let Shape { height, width, .. } = self.shape;
        let depth = self.convolution.blocking.depth;
        let mut first = 0;
        for &(values, channels) in self.parts {
            let length = height * width * channels;
            let part = Part {
                values: &values[self.image * length..][..length],
                channels,
                height,
                width,
            };
            let mut channel = 0;
            while channel < channels {
                let (step, at) = ((first + channel) / depth, (first + channel) % depth);
                let count = STRIP_CHANNELS.min(channels - channel).min(depth - at);
                let place = (self.first_row + y, x);
                strip.fill::<V>(part, place, tiles.len(), (channel, count));
                for (tile, row) in tiles.clone().enumerate() {
                    let target = step * POSITIONS * transformed.stride + row * depth + at;
                    let target = &mut transformed.values[target..];
                    strip.finish::<V>(tile, count, transformed.stride, target);
                }
                channel += count;
            }
            first += channels;
        }
    }
}

impl Panels<'_> {
    /// Channels of the output.
    fn columns(&self) -> usize {
        let Conv3x3 { outputs, tile, .. } = *self.band.convolution;
        outputs.min(self.range.end * tile.columns) - self.range.start * tile.columns
    }

    /// Asks for the memory of a tile's results, which are written in short runs that the processor
    /// does not foresee.
    #[inline(always)]
    fn ask_for<V: Vector>(&self, (y, x): (usize, usize), panel: usize) {
        let Conv3x3 { tile, blocking, .. } = *self.band.convolution;
        let columns = self.columns();
        let first = (panel - self.range.start) * tile.columns;
        let last = columns.min(first + blocking.panels * tile.columns);
        for row in y..y + TILE {
            for pixel in x..x + TILE {
                let at = (row * self.band.shape.width + pixel) * columns;
                V::prefetch(self.output, at + first..at + last);
            }
        }
    }

    /// Transforms the products of some panels, from `panel` on; adds the bias and writes the
    /// tile's pixels that lie in the image.
    #[inline(always)]
    fn transform_output<V: Vector>(
        &mut self,
        (y, x): (usize, usize),
        panel: usize,
        index: usize,
        products: &Matrices,
    ) {
        let Conv3x3 {
            tile,
            ref bias,
            blocking,
            ..
        } = *self.band.convolution;
        let width = self.band.shape.width;
        let columns = self.columns();
        let rows = self.output.len() / (width * columns);
        let row = blocking.panels * tile.columns;
        let residual = self.epilogue.residual;
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
                    let mut there = [V::splat(0.0); TILE];
                    if residual {
                        there = V::load_every(output, columns);
                    }
                    let [a, b, c, d] = *line;
                    let line = [
                        floor.max(a.add(bias).add(there[0])),
                        floor.max(b.add(bias).add(there[1])),
                        floor.max(c.add(bias).add(there[2])),
                        floor.max(d.add(bias).add(there[3])),
                    ];
                    V::store_every(line, output, columns);
                }
                continue;
            }
            for (i, line) in lines.iter().enumerate().take(rows - y) {
                let at = at + i * width * columns;
                for (j, value) in line.iter().enumerate().take(width - x) {
                    let output = &mut self.output[at + j * columns..];
                    let mut value = value.add(bias);
                    if residual {
                        value = value.add(V::load_part(output, count));
                    }
                    floor.max(value).store_part(output, count);
                }
            }
        }
    }
}
