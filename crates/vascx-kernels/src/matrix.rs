//! Products of pixels and a packed matrix of weights.

use std::cell::Cell;
use std::ops::Range;

use crate::gemm::{Rows, Sink, Tile, pack, product};
use crate::simd::{InstructionSet, Kernel, Vector};
use crate::{Epilogue, Memory};

/// Columns after which results are finished; those of a block's pixels stay in the second-level
/// cache until then.
pub(crate) const FINISHED: usize = 512;
/// Inputs that are multiplied at a time, if there are more: a panel's weights for them and the pixels' values
/// stay in the second-level cache. (With 256, whose weights stay in the first one, sums came and went so often
/// that deep layers took a twentieth more.)
pub(crate) const DEPTH: usize = 1024;

/// A packed matrix `[inputs, columns]` with a bias per column.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) inputs: usize,
    pub(crate) columns: usize,
    pub(crate) set: InstructionSet,
    pub(crate) tile: Tile,
    pub(crate) panels: Memory,
    /// One per column of every panel.
    pub(crate) bias: Memory,
}

impl Matrix {
    pub(crate) fn new(
        set: InstructionSet,
        inputs: usize,
        columns: usize,
        bias: Option<&[f32]>,
        value: impl Fn(usize, usize) -> f32,
    ) -> Self {
        assert!(set.is_available(), "{}", set.name());
        let tile = Tile::new(set, columns);
        Self {
            inputs,
            columns,
            set,
            tile,
            panels: pack(tile, inputs, columns, value),
            bias: padded_bias(bias, columns, tile.panels(columns) * tile.columns),
        }
    }
}

/// A bias for every column of every panel.
pub(crate) fn padded_bias(bias: Option<&[f32]>, outputs: usize, columns: usize) -> Memory {
    let mut padded = Memory::zeros(columns);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), outputs, "one bias per output channel");
        padded[..outputs].copy_from_slice(bias);
    }
    padded
}

/// Lines of pixels times a matrix.
pub(crate) struct Lines<'a> {
    pub(crate) matrix: &'a Matrix,
    /// Of the first line: what is multiplied for each of its results.
    pub(crate) first: Rows<'a>,
    /// Values from a line to the next.
    pub(crate) stride: usize,
    /// What every input is multiplied with first: the weights are, which are fewer.
    pub(crate) factors: Option<&'a [f32]>,
    pub(crate) epilogue: Epilogue,
    /// Whether results go to memory, and not to a cache.
    pub(crate) far: bool,
    /// `[lines, results, columns]`.
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Lines<'_> {
    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let columns = self.matrix.columns;
        let step = FINISHED / self.matrix.tile.columns;
        let panels = self.matrix.tile.panels(columns);
        for first in (0..panels).step_by(step) {
            let panels = first..panels.min(first + step);
            self.multiply::<V>(panels.clone());
            let first = panels.start * self.matrix.tile.columns;
            let last = columns.min(panels.end * self.matrix.tile.columns);
            self.epilogue
                .finish_columns::<V, f32>(self.output, columns, first..last);
        }
    }
}

impl Lines<'_> {
    /// The products with some panels, a few inputs at a time.
    #[inline(always)]
    fn multiply<V: Vector>(&mut self, panels: Range<usize>) {
        let Matrix { inputs, .. } = *self.matrix;
        let Rows { offsets, depth, .. } = self.first;
        // Some whole pieces, or a part of one.
        let together = (DEPTH / depth).max(1);
        let part = depth.div_ceil(depth.div_ceil(DEPTH));
        let mut done = 0;
        for offsets in offsets.chunks(together) {
            for from in (0..depth).step_by(part) {
                let rows = Rows {
                    values: &self.first.values[from..],
                    offsets,
                    depth: part.min(depth - from),
                    ..self.first
                };
                let next = done + rows.depth * offsets.len();
                let sums = Sums {
                    former: done > 0,
                    last: next == inputs,
                };
                for panel in panels.clone() {
                    let ahead = rows.ahead && panel == panels.start;
                    let rows = Rows { ahead, ..rows };
                    self.multiply_panel::<V>(panel, done..next, rows, sums);
                }
                done = next;
            }
        }
    }

    /// The products with a panel's weights for some inputs.
    #[inline(always)]
    fn multiply_panel<V: Vector>(
        &mut self,
        panel: usize,
        inputs: Range<usize>,
        rows: Rows,
        sums: Sums,
    ) {
        let Matrix { columns, tile, .. } = *self.matrix;
        let first = panel * tile.columns;
        let size = self.matrix.inputs * tile.columns;
        let weights = &self.matrix.panels[panel * size..][..size];
        let weights = &weights[inputs.start * tile.columns..inputs.end * tile.columns];
        let mut scaled = Memory::EMPTY;
        let weights = match self.factors {
            None => weights,
            Some(factors) => {
                scaled = SCALED.take();
                let scaled = scaled.room(weights.len());
                scale::<V>(&factors[inputs], weights, scaled);
                scaled
            }
        };
        let floor = if sums.last {
            self.epilogue.floor()
        } else {
            f32::NEG_INFINITY
        };
        let residual = self.epilogue.residual;
        let bias = (!sums.former).then(|| &self.matrix.bias[first..]);
        let lines = self.output.chunks_exact_mut(rows.count * columns);
        for (line, output) in lines.enumerate() {
            let rows = Rows {
                values: &rows.values[line * self.stride..],
                ..rows
            };
            let mut sink = ToPixels {
                asks: self.far || residual,
                adds: sums.former || residual,
                bias,
                floor,
                first,
                width: tile.columns,
                columns,
                output,
            };
            product::<V>(tile, rows, weights, &mut sink);
        }
        if self.factors.is_some() {
            SCALED.set(scaled);
        }
    }
}

thread_local! {
    /// A panel's weights times factors.
    static SCALED: Cell<Memory> = const { Cell::new(Memory::EMPTY) };
}

/// Multiplies every line of a panel with its factor.
#[inline(always)]
fn scale<V: Vector>(factors: &[f32], lines: &[f32], scaled: &mut [f32]) {
    let columns = lines.len() / factors.len();
    let lines = lines.chunks_exact(columns);
    let scaled = scaled.chunks_exact_mut(columns);
    for ((&factor, line), scaled) in factors.iter().zip(lines).zip(scaled) {
        for column in (0..columns).step_by(V::LANES) {
            let weights = V::load(&line[column..]).mul(V::splat(factor));
            weights.store(&mut scaled[column..]);
        }
    }
}

/// Which of a result's sums are computed.
#[derive(Clone, Copy)]
struct Sums {
    /// Some are there already.
    former: bool,
    /// None are left.
    last: bool,
}

/// Adds the bias and what is there, as far as wanted, and writes the channels of a panel.
struct ToPixels<'a> {
    /// Whether the results' memory is asked for: where it is near and only written, asking costs more than
    /// it brings.
    asks: bool,
    /// Whether what is there is added: former sums, or a residual.
    adds: bool,
    /// For the first sums.
    bias: Option<&'a [f32]>,
    /// The least value to write.
    floor: f32,
    /// First channel of the panel.
    first: usize,
    /// Channels of the panel.
    width: usize,
    columns: usize,
    output: &'a mut [f32],
}

impl Sink for ToPixels<'_> {
    #[inline(always)]
    fn ask_for<V: Vector, const ROWS: usize>(&self, row: usize) {
        if !self.asks {
            return;
        }
        for row in row..row + ROWS {
            // The next panel's results: of a short sum, the panel's own would come too late. The first
            // panel's are asked for, too, as no other has done that.
            let at = row * self.columns + self.first;
            let first = if self.first == 0 { at } else { at + self.width };
            V::prefetch(self.output, first..at + 2 * self.width);
        }
    }

    #[inline(always)]
    fn store<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        sums: &[[V; VECTORS]; ROWS],
    ) {
        for vector in 0..VECTORS {
            let mut column = [V::splat(0.0); ROWS];
            for (value, sums) in column.iter_mut().zip(sums) {
                *value = sums[vector];
            }
            self.store_column(row, vector * V::LANES, column);
        }
    }
}

impl ToPixels<'_> {
    /// Writes a vector of channels of some pixels, from a column of the panel on.
    #[inline(always)]
    fn store_column<V: Vector, const ROWS: usize>(
        &mut self,
        row: usize,
        column: usize,
        mut sums: [V; ROWS],
    ) {
        let channel = self.first + column;
        if channel >= self.columns {
            return;
        }
        let floor = V::splat(self.floor);
        let output = &mut self.output[row * self.columns + channel..];
        let count = V::LANES.min(self.columns - channel);
        if let Some(bias) = self.bias {
            let bias = V::load(&bias[column..]);
            for sum in &mut sums {
                *sum = sum.add(bias);
            }
        }
        if self.adds {
            let mut there = [V::splat(0.0); ROWS];
            if count == V::LANES {
                there = V::load_every(output, self.columns);
            } else {
                for (index, there) in there.iter_mut().enumerate() {
                    *there = V::load_part(&output[index * self.columns..], count);
                }
            }
            for (sum, there) in sums.iter_mut().zip(there) {
                *sum = sum.add(there);
            }
        }
        for sum in &mut sums {
            *sum = floor.max(*sum);
        }
        if count == V::LANES {
            return V::store_every(sums, output, self.columns);
        }
        for (index, sum) in sums.into_iter().enumerate() {
            sum.store_part(&mut output[index * self.columns..], count);
        }
    }
}
