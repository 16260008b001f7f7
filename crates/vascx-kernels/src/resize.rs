//! Resizing by weighted neighbours, per axis.

use rayon::prelude::*;

use crate::Shape;
use crate::simd::{InstructionSet, Kernel, Vector};

/// Where a result lies between two pixels of one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbours {
    /// Index of the first pixel.
    pub first: usize,
    /// Index of the second pixel.
    pub second: usize,
    /// Weight of the second; the first has the rest.
    pub weight: f32,
}

/// Interpolates `[N, H, W, channels]` linearly along both axes; writes
/// `[N, rows.len(), columns.len(), channels]`.
///
/// # Panics
/// When sizes do not fit or a neighbour lies outside the image.
pub fn resize(
    set: InstructionSet,
    shape: Shape,
    channels: usize,
    [rows, columns]: [&[Neighbours]; 2],
    input: &[f32],
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    let results = shape.images * rows.len() * columns.len();
    assert_eq!(output.len(), results * channels, "output's size");
    if output.is_empty() {
        return;
    }
    let lines = output.par_chunks_exact_mut(columns.len() * channels);
    lines.enumerate().for_each(|(line, output)| {
        let (image, row) = (line / rows.len(), rows[line % rows.len()]);
        let length = shape.width * channels;
        let row_at = |y: usize| &input[(image * shape.height + y) * length..][..length];
        set.run(Line {
            upper: row_at(row.first),
            lower: row_at(row.second),
            weight: row.weight,
            columns,
            channels,
            output,
        });
    });
}

/// One row of results.
struct Line<'a> {
    upper: &'a [f32],
    lower: &'a [f32],
    /// Of the lower row.
    weight: f32,
    columns: &'a [Neighbours],
    channels: usize,
    output: &'a mut [f32],
}

impl Kernel for Line<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let channels = self.channels;
        let below = V::splat(self.weight);
        let pixels = self.output.chunks_exact_mut(channels);
        for (output, column) in pixels.zip(self.columns) {
            let right = V::splat(column.weight);
            let (first, second) = (column.first * channels, column.second * channels);
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let load = |row: &[f32], pixel: usize| V::load_part(&row[pixel + channel..], count);
                let between = |row: &[f32]| {
                    let left = load(row, first);
                    load(row, second).sub(left).mul_add(right, left)
                };
                let above = between(self.upper);
                let value = if self.weight == 0.0 {
                    above
                } else {
                    between(self.lower).sub(above).mul_add(below, above)
                };
                value.store_part(&mut output[channel..], count);
            }
        }
    }
}
