//! Square RGB images as three planes of f32, and bilinear resampling into them.

use image::RgbImage;
use rayon::prelude::*;

use crate::geometry::{Geometry, Tap};
use crate::photograph::Photograph;

/// A square image: `[3, side, side]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planes {
    pub(super) side: usize,
    pub(super) values: Vec<f32>,
}

impl Planes {
    pub(super) fn area(&self) -> usize {
        self.side * self.side
    }

    /// Whole grey levels as an interleaved 8-bit image.
    pub(super) fn to_image(&self) -> RgbImage {
        let area = self.area();
        let side = self.side as u32;
        let (red, rest) = self.values.split_at(area);
        let (green, blue) = rest.split_at(area);
        let pixels = red.iter().zip(green).zip(blue);
        let bytes = pixels
            .flat_map(|((r, g), b)| [*r as u8, *g as u8, *b as u8])
            .collect();
        RgbImage::from_raw(side, side, bytes).expect("three bytes per pixel")
    }
}

/// The photograph, surrounded by black, resampled bilinearly as `geometry` says and without
/// anti-aliasing. Only pixels that contribute are touched.
pub(super) fn sample_photograph(photograph: &Photograph, geometry: &Geometry) -> Planes {
    let side = geometry.input.width;
    let columns = geometry.horizontal.taps_in_photograph(side);
    let rows = geometry.vertical.taps_in_photograph(side);
    let row_bytes = 3 * photograph.width();
    let bytes = photograph.rgb().as_raw();
    let line = |y: isize| -> &[u8] {
        match usize::try_from(y) {
            Ok(y) if y < photograph.height() => &bytes[y * row_bytes..(y + 1) * row_bytes],
            _ => &[],
        }
    };
    let mut values = vec![0.0; 3 * side * side];
    let (red, rest) = values.split_at_mut(side * side);
    let (green, blue) = rest.split_at_mut(side * side);
    let lines = red
        .par_chunks_exact_mut(side)
        .zip(green.par_chunks_exact_mut(side));
    lines
        .zip(blue.par_chunks_exact_mut(side))
        .zip(&rows)
        .for_each(|(((red, green), blue), row)| {
            let (upper, lower) = (line(row.first), line(row.second));
            for (x, column) in columns.iter().enumerate() {
                let (first, second) = (pixel(upper, column.first), pixel(upper, column.second));
                let (third, fourth) = (pixel(lower, column.first), pixel(lower, column.second));
                let mix = |channel: usize| {
                    row.mix(
                        column.mix(first[channel], second[channel]),
                        column.mix(third[channel], fourth[channel]),
                    )
                };
                (red[x], green[x], blue[x]) = (mix(0), mix(1), mix(2));
            }
        });
    Planes { side, values }
}

/// Pixel `x` of a line of RGB bytes, black outside.
#[inline]
fn pixel(line: &[u8], x: isize) -> [f32; 3] {
    // A negative index wraps to one far beyond the line.
    match line
        .get((x as usize).wrapping_mul(3)..)
        .and_then(<[u8]>::first_chunk::<3>)
    {
        Some(pixel) => pixel.map(f32::from),
        None => [0.0; 3],
    }
}

/// Bilinear resampling to another side, half-pixel centres, without anti-aliasing.
pub(super) fn resize(image: &Planes, side: usize) -> Planes {
    let scale = image.side as f32 / side as f32;
    let tap = |index: usize| Tap::at((index as f32 + 0.5) * scale, image.side);
    resample(image, side, tap)
}

/// Bilinear resampling to another side between pixel indices, as OpenCV warps; outside is black.
pub(super) fn warp(image: &Planes, side: usize) -> Planes {
    let scale = image.side as f64 / side as f64;
    let (middle, source_middle) = (side as f64 / 2.0, image.side as f64 / 2.0);
    let tap = |index: usize| Tap::warp((index as f64 - middle) * scale + source_middle);
    resample(image, side, tap)
}

fn resample(image: &Planes, side: usize, tap: impl Fn(usize) -> Tap) -> Planes {
    let taps: Vec<Tap> = (0..side).map(tap).collect();
    let mut values = vec![0.0; 3 * side * side];
    values
        .par_chunks_exact_mut(side)
        .enumerate()
        .for_each(|(index, output)| {
            let plane = &image.values[index / side * image.area()..][..image.area()];
            let row = &taps[index % side];
            let line = |y: isize| -> &[f32] {
                match usize::try_from(y) {
                    Ok(y) if y < image.side => &plane[y * image.side..(y + 1) * image.side],
                    _ => &[],
                }
            };
            let (upper, lower) = (line(row.first), line(row.second));
            let at = |line: &[f32], x: usize| line.get(x).copied().unwrap_or(0.0);
            let mixed: Vec<f32> = (0..image.side)
                .map(|x| row.mix(at(upper, x), at(lower, x)))
                .collect();
            for (value, column) in output.iter_mut().zip(&taps) {
                *value = column.sample_in_black(&mixed);
            }
        });
    Planes { side, values }
}
