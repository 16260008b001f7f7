//! Gaussian blur and unsharp masking.

/// How much the difference from the blurred image is amplified.
const GAIN: f32 = 4.0;
/// Standard deviation of the blur relative to the radius of the field of view.
pub(super) const RELATIVE_SIGMA: f64 = 0.05;

/// What lies beyond the border of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// The mirror image about the edge pixel, which is not repeated.
    Mirrored,
    /// The mirror image about the border, which repeats the edge pixel.
    Reflected,
}

/// Local contrast: the difference of a value in 0…1 from its blurred neighbourhood, amplified, as a
/// grey level.
#[inline]
pub(super) fn contrast(value: f32, blurred: f32) -> u8 {
    ((GAIN * (value - blurred) + 0.5).clamp(0.0, 1.0) * 255.0) as u8
}

/// Normalised Gaussian weights for the offsets −reach … reach.
pub(crate) fn gaussian_kernel(sigma: f64, reach: usize) -> Vec<f32> {
    let reach = reach as i32;
    let weights: Vec<f64> = (-reach..=reach)
        .map(|i| (-0.5 * (f64::from(i) / sigma).powi(2)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| (weight / sum) as f32)
        .collect()
}

/// Separable convolution of a plane whose rows are `width` long.
pub(crate) fn blur(plane: &[f32], width: usize, kernel: &[f32], border: Border) -> Vec<f32> {
    let reach = kernel.len() / 2;
    let height = plane.len() / width;
    let columns = border.sources(width, reach);
    let rows = border.sources(height, reach);
    let mut horizontal = vec![0.0_f32; plane.len()];
    let mut line = vec![0.0; columns.len()];
    for (input, output) in plane
        .chunks_exact(width)
        .zip(horizontal.chunks_exact_mut(width))
    {
        for (value, &source) in line.iter_mut().zip(&columns) {
            *value = input[source];
        }
        // Tap by tap over a whole line: the inner loop vectorises.
        for (tap, weight) in kernel.iter().enumerate() {
            accumulate(output, &line[tap..tap + width], *weight);
        }
    }
    let mut vertical = vec![0.0_f32; plane.len()];
    for (y, output) in vertical.chunks_exact_mut(width).enumerate() {
        for (source, weight) in rows[y..].iter().zip(kernel) {
            accumulate(
                output,
                &horizontal[source * width..(source + 1) * width],
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

impl Border {
    /// The pixels at −reach … length + reach on an axis of `length`, folded back as often as needed.
    fn sources(self, length: usize, reach: usize) -> Vec<usize> {
        let (length, reach) = (length as isize, reach as isize);
        let fold = |position: isize| match self {
            Self::Mirrored if length == 1 => 0,
            Self::Mirrored => {
                let period = 2 * (length - 1);
                let folded = position.rem_euclid(period);
                folded.min(period - folded)
            }
            Self::Reflected => {
                let period = 2 * length;
                let folded = position.rem_euclid(period);
                folded.min(period - 1 - folded)
            }
        };
        (-reach..length + reach)
            .map(|position| fold(position) as usize)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_fold_back_as_often_as_needed() {
        assert_eq!(
            Border::Mirrored.sources(4, 3),
            [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
        );
        assert_eq!(
            Border::Reflected.sources(4, 3),
            [2, 1, 0, 0, 1, 2, 3, 3, 2, 1]
        );
        assert_eq!(Border::Mirrored.sources(1, 2), [0; 5]);
        assert_eq!(Border::Reflected.sources(2, 3), [1, 1, 0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn the_kernel_is_normalised() {
        let kernel = gaussian_kernel(25.6, 77);
        assert_eq!(kernel.len(), 155);
        assert!((kernel.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn blurring_matches_the_plain_double_sum() {
        let (width, height) = (7, 5);
        let kernel = gaussian_kernel(1.3, 4);
        let plane: Vec<f32> = (0..width * height)
            .map(|i| ((i * 37) % 11) as f32)
            .collect();
        for border in [Border::Mirrored, Border::Reflected] {
            let (rows, columns) = (border.sources(height, 4), border.sources(width, 4));
            let blurred = blur(&plane, width, &kernel, border);
            for (index, blurred) in blurred.into_iter().enumerate() {
                let (y, x) = (index / width, index % width);
                let mut expected = 0.0;
                for (row, wy) in rows[y..].iter().zip(&kernel) {
                    for (column, wx) in columns[x..].iter().zip(&kernel) {
                        expected += wy * wx * plane[row * width + column];
                    }
                }
                assert!((blurred - expected).abs() < 1e-4, "{border:?} ({x}, {y})");
            }
        }
    }
}
