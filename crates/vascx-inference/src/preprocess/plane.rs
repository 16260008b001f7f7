//! Square RGB images as three planes of f32, and bilinear resampling into them.

use rayon::prelude::*;

use crate::geometry::{Axis, Geometry, Tap};
use crate::photograph::Photograph;

/// A square image: `[3, side, side]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planes {
    pub(super) side: usize,
    pub(super) values: Vec<f32>,
}

/// The photograph, padded with black as `geometry` says, resampled bilinearly with half-pixel
/// centres and without anti-aliasing. Only pixels that contribute are touched.
pub(super) fn sample_photograph(photograph: &Photograph, geometry: &Geometry) -> Planes {
    let side = geometry.input_size;
    let taps = |axis: Axis| -> Vec<Tap> {
        (0..side)
            .map(|index| axis.tap_in_photograph(index, side))
            .collect()
    };
    let (columns, rows) = (taps(geometry.horizontal), taps(geometry.vertical));
    let (width, height) = (photograph.width(), photograph.height());
    let bytes = photograph.rgb().as_raw();
    // Index into the padded photograph → byte of the photograph, or nothing in the padding.
    let pixel = |x: usize, y: usize, channel: usize| {
        let x = x
            .checked_sub(geometry.horizontal.padding)
            .filter(|&x| x < width);
        let y = y
            .checked_sub(geometry.vertical.padding)
            .filter(|&y| y < height);
        match (x, y) {
            (Some(x), Some(y)) => f32::from(bytes[(y * width + x) * 3 + channel]),
            _ => 0.0,
        }
    };
    let mut values = vec![0.0; 3 * side * side];
    values
        .par_chunks_exact_mut(side)
        .enumerate()
        .for_each(|(index, line)| {
            let (channel, row) = (index / side, rows[index % side]);
            for (value, column) in line.iter_mut().zip(&columns) {
                let at = |y| {
                    column.mix(
                        pixel(column.first, y, channel),
                        pixel(column.second, y, channel),
                    )
                };
                *value = row.mix(at(row.first), at(row.second));
            }
        });
    Planes { side, values }
}

/// Bilinear resampling to another side, half-pixel centres, without anti-aliasing.
pub(super) fn resize(image: &Planes, side: usize) -> Planes {
    let scale = image.side as f32 / side as f32;
    let taps: Vec<Tap> = (0..side)
        .map(|index| Tap::at((index as f32 + 0.5) * scale, image.side))
        .collect();
    let mut values = vec![0.0; 3 * side * side];
    values
        .par_chunks_exact_mut(side)
        .enumerate()
        .for_each(|(index, line)| {
            let plane = &image.values[index / side * image.side * image.side..];
            let row = taps[index % side];
            let upper = &plane[row.first * image.side..][..image.side];
            let lower = &plane[row.second * image.side..][..image.side];
            for (value, column) in line.iter_mut().zip(&taps) {
                *value = row.mix(column.sample(upper), column.sample(lower));
            }
        });
    Planes { side, values }
}
