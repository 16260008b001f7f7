//! Products of pixels and a packed matrix of weights.

use crate::Epilogue;
use crate::gemm::{Rows, Sink, Tile, pack, product};
use crate::simd::{InstructionSet, Kernel, Vector};

/// Columns after which results are finished; those of a block's pixels stay in the second-level
/// cache until then.
pub(crate) const FINISHED: usize = 512;

/// A packed matrix `[inputs, columns]` with a bias per column.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) inputs: usize,
    pub(crate) columns: usize,
    pub(crate) set: InstructionSet,
    pub(crate) tile: Tile,
    pub(crate) panels: Vec<f32>,
    /// One per column of every panel.
    pub(crate) bias: Vec<f32>,
}

impl Matrix {
    pub(crate) fn new(
        set: InstructionSet,
        inputs: usize,
        columns: usize,
        bias: Option<&[f32]>,
        value: impl Fn(usize, usize) -> f32,
    ) -> Self {
        assert!(InstructionSet::available().contains(&set), "{}", set.name());
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

impl Matrix {
    /// The same with a factor for every input.
    pub(crate) fn scaled(&self, factors: &[f32]) -> Self {
        let columns = self.tile.columns;
        let mut scaled = self.clone();
        for panel in scaled.panels.chunks_exact_mut(self.inputs * columns) {
            for (line, factor) in panel.chunks_exact_mut(columns).zip(factors) {
                for weight in line {
                    *weight *= factor;
                }
            }
        }
        scaled
    }
}

/// A bias for every column of every panel.
pub(crate) fn padded_bias(bias: Option<&[f32]>, outputs: usize, columns: usize) -> Vec<f32> {
    let mut padded = vec![0.0; columns];
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
    pub(crate) epilogue: Epilogue<'a>,
    /// `[lines, results, columns]`.
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Lines<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Matrix {
            inputs,
            columns,
            tile,
            ..
        } = *self.matrix;
        let floor = self.epilogue.floor();
        let panels = self.matrix.panels.chunks_exact(inputs * tile.columns);
        let mut finished = 0;
        for (panel, weights) in panels.enumerate() {
            let first = panel * tile.columns;
            let lines = self.output.chunks_exact_mut(self.first.count * columns);
            for (line, output) in lines.enumerate() {
                let rows = Rows {
                    values: &self.first.values[line * self.stride..],
                    ..self.first
                };
                let mut sink = ToPixels {
                    bias: &self.matrix.bias[first..],
                    floor,
                    first,
                    columns,
                    output,
                };
                product::<V>(tile, rows, weights, &mut sink);
            }
            let done = columns.min(first + tile.columns);
            if done == columns || done - finished >= FINISHED {
                self.epilogue
                    .finish_columns::<V>(self.output, columns, finished..done);
                finished = done;
            }
        }
    }
}

/// Adds the bias and writes the channels of a panel.
struct ToPixels<'a> {
    bias: &'a [f32],
    /// The least value to write.
    floor: f32,
    /// First channel of the panel.
    first: usize,
    columns: usize,
    output: &'a mut [f32],
}

impl<V: Vector> Sink<V> for ToPixels<'_> {
    #[inline(always)]
    fn store<const ROWS: usize>(&mut self, row: usize, column: usize, mut sums: [V; ROWS]) {
        let channel = self.first + column;
        if channel >= self.columns {
            return;
        }
        let (bias, floor) = (V::load(&self.bias[column..]), V::splat(self.floor));
        for sum in &mut sums {
            *sum = floor.max(sum.add(bias));
        }
        let output = &mut self.output[row * self.columns + channel..];
        let count = V::LANES.min(self.columns - channel);
        if count == V::LANES {
            return V::store_every(sums, output, self.columns);
        }
        for (index, sum) in sums.into_iter().enumerate() {
            sum.store_part(&mut output[index * self.columns..], count);
        }
    }
}
