//! Max-pooling.

use rayon::prelude::*;

use crate::Shape;

/// Halves the resolution of `[N, H, W, channels]`, taking the maximum of every 2 × 2 pixels; an odd
/// last row or column is left out. Writes `[N, H / 2, W / 2, channels]`.
///
/// # Panics
/// When the sizes of input and output do not fit.
pub fn max_pool_2x2(shape: Shape, channels: usize, input: &[f32], output: &mut [f32]) {
    let Shape {
        images,
        height,
        width,
    } = shape;
    let (rows, columns) = (height / 2, width / 2);
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    assert_eq!(
        output.len(),
        images * rows * columns * channels,
        "output's size"
    );
    if output.is_empty() {
        return;
    }
    let lines = output.par_chunks_exact_mut(columns * channels).enumerate();
    lines.for_each(|(line, output)| {
        let (image, y) = (line / rows, line % rows);
        let row = |y: usize| &input[(image * height + y) * width * channels..][..width * channels];
        let (upper, lower) = (row(2 * y), row(2 * y + 1));
        for (x, output) in output.chunks_exact_mut(channels).enumerate() {
            let at = 2 * x * channels;
            let (a, b) = upper[at..at + 2 * channels].split_at(channels);
            let (c, d) = lower[at..at + 2 * channels].split_at(channels);
            for (channel, output) in output.iter_mut().enumerate() {
                *output = larger(
                    larger(a[channel], b[channel]),
                    larger(c[channel], d[channel]),
                );
            }
        }
    });
}

/// The larger of two values, NaN if either is, as in PyTorch.
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}
