//! Contrast enhancement by unsharp masking.

use rayon::prelude::*;

use super::plane::Planes;

/// Standard deviation of the blur relative to the radius of the field of view.
const RELATIVE_SIGMA: f64 = 0.05;
/// How much the difference from the blurred image is amplified.
const GAIN: f32 = 4.0;

/// Replaces values in 0…1 by `clamp(4 · (x − blurred x) + 0.5, 0, 1)`.
pub(super) fn unsharp_mask(image: &mut Planes) {
    let kernel = gaussian_kernel(RELATIVE_SIGMA * image.side as f64 / 2.0);
    let side = image.side;
    image
        .values
        .par_chunks_exact_mut(side * side)
        .for_each(|plane| {
            let blurred = blur(plane, side, &kernel);
            for (value, blurred) in plane.iter_mut().zip(blurred) {
                *value = (GAIN * (*value - blurred) + 0.5).clamp(0.0, 1.0);
            }
        });
}

/// Normalised Gaussian weights for the offsets −⌈3σ⌉ … ⌈3σ⌉.
fn gaussian_kernel(sigma: f64) -> Vec<f32> {
    let reach = (3.0 * sigma).ceil() as i32;
    let weights: Vec<f64> = (-reach..=reach)
        .map(|i| (-0.5 * (f64::from(i) / sigma).powi(2)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| (weight / sum) as f32)
        .collect()
}

/// Separable convolution with mirrored borders (the edge pixel is not repeated).
fn blur(plane: &[f32], side: usize, kernel: &[f32]) -> Vec<f32> {
    let reach = kernel.len() / 2;
    let mirrored: Vec<usize> = (0..side + 2 * reach)
        .map(|i| mirror(i, reach, side))
        .collect();
    let mut horizontal = vec![0.0_f32; plane.len()];
    let mut line = vec![0.0; side + 2 * reach];
    for (input, output) in plane
        .chunks_exact(side)
        .zip(horizontal.chunks_exact_mut(side))
    {
        for (value, &source) in line.iter_mut().zip(&mirrored) {
            *value = input[source];
        }
        // Tap by tap over a whole line: the inner loop vectorises.
        for (tap, weight) in kernel.iter().enumerate() {
            accumulate(output, &line[tap..tap + side], *weight);
        }
    }
    let mut vertical = vec![0.0_f32; plane.len()];
    for (y, output) in vertical.chunks_exact_mut(side).enumerate() {
        for (tap, weight) in kernel.iter().enumerate() {
            let source = mirrored[y + tap];
            accumulate(
                output,
                &horizontal[source * side..(source + 1) * side],
                *weight,
            );
        }
    }
    vertical
}

fn accumulate(output: &mut [f32], input: &[f32], weight: f32) {
    for (output, input) in output.iter_mut().zip(input) {
        *output += weight * input;
    }
}

/// Position `i − reach` on an axis of `length`, reflected at both ends as often as needed.
fn mirror(i: usize, reach: usize, length: usize) -> usize {
    if length == 1 {
        return 0;
    }
    let period = 2 * (length as isize - 1);
    let folded = (i as isize - reach as isize).rem_euclid(period);
    folded.min(period - folded) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_mirrored_without_repeating_the_edge() {
        let positions: Vec<_> = (0..10).map(|i| mirror(i, 3, 4)).collect();
        assert_eq!(positions, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
        assert_eq!(mirror(5, 2, 1), 0);
    }

    #[test]
    fn the_kernel_is_normalised_and_reaches_three_sigma() {
        let kernel = gaussian_kernel(25.6);
        assert_eq!(kernel.len(), 155);
        assert!((kernel.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn blurring_matches_the_plain_double_sum() {
        let side = 7;
        let kernel = gaussian_kernel(1.3);
        let reach = kernel.len() / 2;
        let plane: Vec<f32> = (0..side * side).map(|i| ((i * 37) % 11) as f32).collect();
        let blurred = blur(&plane, side, &kernel);
        for y in 0..side {
            for x in 0..side {
                let mut expected = 0.0;
                for (dy, wy) in kernel.iter().enumerate() {
                    for (dx, wx) in kernel.iter().enumerate() {
                        let (sy, sx) = (mirror(y + dy, reach, side), mirror(x + dx, reach, side));
                        expected += wy * wx * plane[sy * side + sx];
                    }
                }
                assert!(
                    (blurred[y * side + x] - expected).abs() < 1e-4,
                    "({x}, {y})"
                );
            }
        }
    }
}
