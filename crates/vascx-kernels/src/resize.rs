//! Resizing by weighted neighbours, per axis.

use std::cell::Cell;

use rayon::prelude::*;

use crate::simd::{Element, InstructionSet, Kernel, Vector};
use crate::{Memory, Shape};

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
pub fn resize<E: Element>(
    set: InstructionSet,
    shape: Shape,
    channels: usize,
    [rows, columns]: [&[Neighbours]; 2],
    input: &[E],
    output: &mut [E],
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
struct Line<'a, E> {
    upper: &'a [E],
    lower: &'a [E],
    /// Of the lower row.
    weight: f32,
    columns: &'a [Neighbours],
    channels: usize,
    output: &'a mut [E],
}

impl<E: Element> Kernel for Line<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let mut between = BETWEEN.take();
        if self.weight == 0.0 {
            spread::<V, _, _>(self.upper, self.columns, self.channels, self.output);
        } else {
            let between = between.room(self.upper.len());
            blend::<V, _, _>(self.upper, self.lower, self.weight, between);
            spread::<V, _, _>(between, self.columns, self.channels, self.output);
        }
        BETWEEN.set(between);
    }
}

/// A row of results from a row as high as the image's pixels.
#[inline(always)]
fn spread<V: Vector, I: Element, O: Element>(
    row: &[I],
    columns: &[Neighbours],
    channels: usize,
    output: &mut [O],
) {
    for (output, column) in output.chunks_exact_mut(channels).zip(columns) {
        let first = &row[column.first * channels..][..channels];
        let second = &row[column.second * channels..][..channels];
        blend::<V, _, _>(first, second, column.weight, output);
    }
}

thread_local! {
    /// A row between two of the image's; kept, because fresh memory costs page faults.
    static BETWEEN: Cell<Memory> = const { Cell::new(Memory::EMPTY) };
}

/// `first + weight · (second − first)`; all of the same length.
#[inline(always)]
fn blend<V: Vector, I: Element, O: Element>(
    first: &[I],
    second: &[I],
    weight: f32,
    output: &mut [O],
) {
    let factor = V::splat(weight);
    for at in (0..output.len()).step_by(V::LANES) {
        let count = V::LANES.min(output.len() - at);
        let mut value = I::load::<V>(&first[at..], count);
        if weight != 0.0 {
            let other = I::load::<V>(&second[at..], count);
            value = other.sub(value).mul_add(factor, value);
        }
        O::store(value, &mut output[at..], count);
    }
}
