//! Transposed 2 × 2 convolution with stride 2: products of pixels and weights.

use rayon::prelude::*;

use crate::Shape;
use crate::gemm::{Rows, Sink, product};
use crate::matrix::Matrix;
use crate::simd::{InstructionSet, Kernel, Vector};

/// A transposed 2 × 2 convolution with stride 2, ready to run: every pixel becomes four.
#[derive(Clone, Debug)]
pub struct TransposedConv2x2 {
    /// Columns are the four pixels' output channels: upper left, upper right, lower left, lower
    /// right.
    matrix: Matrix,
    outputs: usize,
}

impl TransposedConv2x2 {
    /// Packs weights `[inputs, outputs, 2, 2]`.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn new(weights: &[f32], inputs: usize, outputs: usize, bias: Option<&[f32]>) -> Self {
        Self::with_instructions(InstructionSet::current(), weights, inputs, outputs, bias)
    }

    /// The same with a certain instruction set, which the machine must have.
    ///
    /// # Panics
    /// When the lengths of weights or bias do not fit.
    pub fn with_instructions(
        set: InstructionSet,
        weights: &[f32],
        inputs: usize,
        outputs: usize,
        bias: Option<&[f32]>,
    ) -> Self {
        assert_eq!(weights.len(), inputs * outputs * 4, "weights of 2 × 2");
        let value = |input, column| {
            let (corner, output) = (column / outputs, column % outputs);
            weights[(input * outputs + output) * 4 + corner]
        };
        let bias = bias.map(|bias| bias.repeat(4));
        let matrix = Matrix::new(set, inputs, 4 * outputs, bias.as_deref(), value);
        Self { matrix, outputs }
    }

    /// Doubles the resolution of `[N, H, W, inputs]`; writes `[N, 2 H, 2 W, outputs]`.
    ///
    /// # Panics
    /// When the sizes of input and output do not fit.
    pub fn run(&self, shape: Shape, input: &[f32], output: &mut [f32]) {
        assert_eq!(
            input.len(),
            shape.pixels() * self.matrix.inputs,
            "input's size"
        );
        assert_eq!(
            output.len(),
            shape.pixels() * 4 * self.outputs,
            "output's size"
        );
        if output.is_empty() {
            return;
        }
        output
            .par_chunks_exact_mut(4 * shape.width * self.outputs)
            .zip(input.par_chunks_exact(shape.width * self.matrix.inputs))
            .for_each(|(output, input)| {
                self.matrix.set.run(DoubledRow {
                    convolution: self,
                    input,
                    output,
                });
            });
    }
}

/// One row of input pixels and the two rows they become.
struct DoubledRow<'a> {
    convolution: &'a TransposedConv2x2,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for DoubledRow<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let TransposedConv2x2 { matrix, outputs } = self.convolution;
        let Matrix {
            inputs,
            columns,
            tile,
            ..
        } = *matrix;
        let width = self.input.len() / inputs;
        let rows = Rows {
            values: self.input,
            offsets: &[0],
            depth: inputs,
            stride: inputs,
            count: width,
            ahead: false,
        };
        let panels = matrix.panels.chunks_exact(inputs * tile.columns);
        for (panel, weights) in panels.enumerate() {
            let first = panel * tile.columns;
            let mut sink = ToFourPixels {
                bias: &matrix.bias[first..],
                first,
                columns,
                outputs: *outputs,
                width,
                output: &mut *self.output,
            };
            let ahead = panel == 0;
            product::<V>(tile, Rows { ahead, ..rows }, weights, &mut sink);
        }
    }
}

/// Adds the bias and spreads a panel's columns over the four pixels.
struct ToFourPixels<'a> {
    bias: &'a [f32],
    /// First column of the panel.
    first: usize,
    columns: usize,
    outputs: usize,
    /// Input pixels per row.
    width: usize,
    output: &'a mut [f32],
}

impl Sink for ToFourPixels<'_> {
    #[inline(always)]
    fn store<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        x: usize,
        sums: &[[V; VECTORS]; ROWS],
    ) {
        let outputs = self.outputs;
        for vector in 0..VECTORS {
            let first = self.first + vector * V::LANES;
            if first >= self.columns {
                return;
            }
            let bias = V::load(&self.bias[vector * V::LANES..]);
            let (corner, channel) = (first / outputs, first % outputs);
            for (x, sums) in (x..).zip(sums) {
                let sum = sums[vector].add(bias);
                if channel + V::LANES <= outputs {
                    let at = self.pixel(x, corner) + channel;
                    sum.store(&mut self.output[at..]);
                    continue;
                }
                // The vector holds channels of several of the four pixels.
                let mut values = [0.0; 16];
                sum.store(&mut values);
                let values = &values[..V::LANES.min(self.columns - first)];
                for (column, &value) in (first..).zip(values) {
                    let at = self.pixel(x, column / outputs) + column % outputs;
                    self.output[at] = value;
                }
            }
        }
    }
}

impl ToFourPixels<'_> {
    /// Where one of the four pixels of an input pixel begins.
    fn pixel(&self, x: usize, corner: usize) -> usize {
        ((corner / 2 * self.width + x) * 2 + corner % 2) * self.outputs
    }
}
