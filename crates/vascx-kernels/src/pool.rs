//! Pooling.

use rayon::prelude::*;

use crate::simd::{Element, InstructionSet, Kernel, Vector};
use crate::{Shape, Sliding};

/// The largest value under a sliding window of `[N, H, W, channels]`, NaN if there is one, as in
/// PyTorch; padding is never chosen. Writes `[N, H', W', channels]` with the sides of
/// [`Sliding::output`].
///
/// # Panics
/// When the sizes of input and output do not fit.
pub fn max_pool<E: Element>(
    set: InstructionSet,
    shape: Shape,
    channels: usize,
    window: Sliding,
    input: &[E],
    output: &mut [E],
) {
    let results = window.output(shape).expect("the window fits the image");
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    assert_eq!(output.len(), results.pixels() * channels, "output's size");
    if output.is_empty() {
        return;
    }
    let row = results.width * channels;
    let lines = output.par_chunks_exact_mut(row).enumerate();
    lines.for_each(|(line, output)| {
        let (image, y) = (line / results.height, line % results.height);
        let row = shape.width * channels;
        let size = shape.height * row;
        let taps = 0..window.kernel[0];
        let rows = taps.filter_map(|tap| window.source(0, y, tap, shape.height));
        set.run(Line {
            values: &input[image * size..][..size],
            rows: &rows.map(|y| y * row).collect::<Vec<_>>(),
            width: shape.width,
            channels,
            window,
            output,
        });
    });
}

/// One row of results.
pub(crate) struct Line<'a, E> {
    pub(crate) values: &'a [E],
    /// Where the rows under the window begin.
    pub(crate) rows: &'a [usize],
    /// Pixels per row.
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) window: Sliding,
    pub(crate) output: &'a mut [E],
}

impl<E: Element> Kernel for Line<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let (channels, window) = (self.channels, self.window);
        let columns = window.kernel[1];
        // Where the pixels under the window begin.
        let mut pixels = Vec::with_capacity(self.rows.len() * columns);
        for (x, output) in self.output.chunks_exact_mut(channels).enumerate() {
            pixels.clear();
            for row in self.rows {
                let columns = (0..columns).filter_map(|tap| window.source(1, x, tap, self.width));
                pixels.extend(columns.map(|x| row + x * channels));
            }
            for channel in (0..channels).step_by(V::LANES) {
                let count = V::LANES.min(channels - channel);
                let mut largest = V::splat(f32::NEG_INFINITY);
                for pixel in &pixels {
                    let values = &self.values[pixel + channel..];
                    largest = largest.max_or_nan(E::load(values, count));
                }
                E::store(largest, &mut output[channel..], count);
            }
        }
    }
}

/// The mean over all pixels of every channel: `[N, H, W, channels]` to `[N, channels]`.
///
/// # Panics
/// When the sizes of input and output do not fit.
pub fn global_average<E: Element>(
    set: InstructionSet,
    shape: Shape,
    channels: usize,
    input: &[E],
    output: &mut [f32],
) {
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    assert_eq!(output.len(), shape.images * channels, "output's size");
    if input.is_empty() {
        return;
    }
    let pixels = shape.height * shape.width;
    let row = shape.width * channels;
    let images = input.par_chunks_exact(pixels * channels);
    let averages = output.par_chunks_exact_mut(channels);
    images.zip(averages).for_each(|(image, averages)| {
        let rows: Vec<Vec<f32>> = image
            .par_chunks_exact(row)
            .map(|row| {
                let mut sums = vec![0.0; channels];
                set.run(Sum {
                    row,
                    sums: &mut sums,
                });
                sums
            })
            .collect();
        average_rows(rows.iter().map(Vec::as_slice), pixels, averages);
    });
}

/// Adds up the pixels of a row.
struct Sum<'a, E> {
    row: &'a [E],
    sums: &'a mut [f32],
}

impl<E: Element> Kernel for Sum<'_, E> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let channels = self.sums.len();
        add_pixels::<V, E>(self.row, channels, self.sums);
    }
}

/// Adds some channels of pixels to sums; `row` begins with the first of these channels.
#[inline(always)]
pub(crate) fn add_pixels<V: Vector, E: Element>(row: &[E], channels: usize, sums: &mut [f32]) {
    let mut groups = sums.chunks_exact_mut(TOGETHER * V::LANES);
    let mut first = 0;
    for sums in &mut groups {
        add_columns::<V, E, TOGETHER>(&row[first..], channels, sums);
        first += sums.len();
    }
    for sums in groups.into_remainder().chunks_mut(V::LANES) {
        add_columns::<V, E, 1>(&row[first..], channels, sums);
        first += sums.len();
    }
}

/// Vectors of channels whose sums are in registers at a time.
const TOGETHER: usize = 4;

/// The same for `N` vectors of channels, the last of which need not be whole.
#[inline(always)]
fn add_columns<V: Vector, E: Element, const N: usize>(
    row: &[E],
    channels: usize,
    sums: &mut [f32],
) {
    let lanes = |index: usize| V::LANES.min(sums.len() - index * V::LANES);
    let lanes: [usize; N] = std::array::from_fn(lanes);
    let mut totals: [V; N] =
        std::array::from_fn(|index| V::load_part(&sums[index * V::LANES..], lanes[index]));
    for pixel in row.chunks(channels) {
        for (index, total) in totals.iter_mut().enumerate() {
            let value = E::load(&pixel[index * V::LANES..], lanes[index]);
            *total = total.add(value);
        }
    }
    for (index, total) in totals.into_iter().enumerate() {
        total.store_part(&mut sums[index * V::LANES..], lanes[index]);
    }
}

/// Averages of so many pixels, whose sums are given row by row: rows are short enough for f32.
pub(crate) fn average_rows<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    pixels: usize,
    averages: &mut [f32],
) {
    let mut sums = vec![0.0; averages.len()];
    for row in rows {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    for (average, sum) in averages.iter_mut().zip(sums) {
        *average = (sum / pixels as f64) as f32;
    }
}
