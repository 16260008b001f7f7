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

/// A bias for every column of every panel.
pub(crate) fn padded_bias(bias: Option<&[f32]>, outputs: usize, columns: usize) -> Vec<f32> {
    let mut padded = vec![0.0; columns];
    if let Some(bias) = bias {
        assert_eq!(bias.len(), outputs, "one bias per output channel");
        padded[..outputs].copy_from_slice(bias);
    }
    padded
}

/// Pixels `[…, inputs]` times a matrix, `[…, columns]`.
pub(crate) struct Pixels<'a> {
    pub(crate) matrix: &'a Matrix,
    pub(crate) input: &'a [f32],
    pub(crate) epilogue: Epilogue<'a>,
    pub(crate) output: &'a mut [f32],
}

impl Kernel for Pixels<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Matrix {
            inputs,
            columns,
            tile,
            ..
        } = *self.matrix;
        let rows = Rows {
            values: self.input,
            stride: inputs,
            depth: inputs,
            count: self.output.len() / columns,
        };
        let floor = self.epilogue.floor();
        let panels = self.matrix.panels.chunks_exact(inputs * tile.columns);
        let mut finished = 0;
        for (panel, weights) in panels.enumerate() {
            let first = panel * tile.columns;
            let mut sink = ToPixels {
                bias: &self.matrix.bias[first..],
                floor,
                first,
                columns,
                output: &mut *self.output,
            };
            product::<V>(tile, rows, weights, &mut sink);
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
    fn store(&mut self, row: usize, column: usize, sums: V) {
        let channel = self.first + column;
        if channel < self.columns {
            let value = sums.add(V::load(&self.bias[column..]));
            let count = V::LANES.min(self.columns - channel);
            let at = row * self.columns + channel;
            let value = V::splat(self.floor).max(value);
            value.store_part(&mut self.output[at..], count);
        }
    }
}
