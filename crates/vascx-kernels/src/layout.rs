//! Bringing maps to the layout in which kernels read them.

use rayon::prelude::*;

use crate::Shape;

/// Copies `[N, channels, H, W]` to `[N, H, W, channels]`.
///
/// # Panics
/// When the sizes of input or output do not fit.
pub fn put_channels_last(shape: Shape, channels: usize, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), shape.pixels() * channels, "input's size");
    assert_eq!(output.len(), input.len(), "output's size");
    if output.is_empty() {
        return;
    }
    let plane = shape.height * shape.width;
    let rows = output.par_chunks_exact_mut(shape.width * channels);
    rows.enumerate().for_each(|(row, output)| {
        let (image, y) = (row / shape.height, row % shape.height);
        let first = image * channels * plane + y * shape.width;
        for channel in 0..channels {
            let values = &input[first + channel * plane..][..shape.width];
            let targets = output[channel..].iter_mut().step_by(channels);
            for (target, value) in targets.zip(values) {
                *target = *value;
            }
        }
    });
}
