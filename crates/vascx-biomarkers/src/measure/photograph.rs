//! Sharpness and brightness of the photograph itself.

use super::LARGER_PART;
use crate::analysis::Analysis;
use crate::grid::{Field, Grid};
use crate::mask::Mask;
use crate::reason::Reason;

impl Analysis<'_> {
    /// Mean brightness over the visible retina.
    pub(crate) fn luminance(&self) -> Result<f64, Reason> {
        let rgb = self.eye.rgb.ok_or(Reason::NoPhotograph)?;
        let (pixels, _) = rgb.as_chunks::<3>();
        let mut sums = [0_u64; 3];
        for (pixel, _) in pixels
            .iter()
            .zip(self.region().pixels())
            .filter(|(_, visible)| **visible != 0)
        {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += u64::from(*value);
            }
        }
        let [red, green, blue] = sums.map(|sum| sum as f64);
        Ok((0.2989 * red + 0.587 * green + 0.114 * blue) / self.region().count() as f64)
    }

    /// Variance of the Laplacian of the grey photograph in a field.
    pub(super) fn laplacian(&self, field: Option<(Grid, Field)>) -> Result<f64, Reason> {
        let rgb = self.eye.rgb.ok_or(Reason::NoPhotograph)?;
        let area = self.visible_field(field, LARGER_PART, false)?;
        let mut wanted = self.region().clone();
        if let Some(area) = &area {
            wanted.keep(&area.mask);
        }
        let (pixels, _) = rgb.as_chunks::<3>();
        Ok(laplacian_variance(
            &pixels.iter().map(|&pixel| grey(pixel)).collect::<Vec<_>>(),
            &wanted,
        ))
    }
}

/// Grey as the reference has it, with the weights of red and blue exchanged, in OpenCV's integers.
fn grey([red, green, blue]: [u8; 3]) -> i32 {
    let sum = 3735 * i32::from(red) + 19_235 * i32::from(green) + 9798 * i32::from(blue);
    (sum + (1 << 14)) >> 15
}

fn laplacian_variance(grey: &[i32], wanted: &Mask) -> f64 {
    let (width, height) = (wanted.width(), wanted.height());
    // The border is reflected without repeating its pixels.
    let mirrored = |at: usize, step: i64, size: usize| {
        let next = at as i64 + step;
        if size == 1 {
            0
        } else if next < 0 {
            1
        } else if next as usize >= size {
            size - 2
        } else {
            next as usize
        }
    };
    let (mut sum, mut squares, mut count) = (0_i64, 0_i64, 0_i64);
    for y in 0..height {
        let [above, below] = [-1, 1].map(|step| mirrored(y, step, height) * width);
        for x in wanted.columns(y) {
            let [left, right] = [-1, 1].map(|step| y * width + mirrored(x, step, width));
            let value = grey[above + x] + grey[below + x] + grey[left] + grey[right]
                - 4 * grey[y * width + x];
            sum += i64::from(value);
            squares += i64::from(value * value);
            count += 1;
        }
    }
    let count = count as f64;
    let mean = sum as f64 / count;
    squares as f64 / count - mean * mean
}
