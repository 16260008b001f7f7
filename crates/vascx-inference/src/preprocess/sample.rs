//! Bilinear resampling of interleaved RGB pixels, and the network's planes made of them.

use image::RgbImage;
use rayon::prelude::*;
use vascx_format::Normalisation;

use crate::geometry::{Geometry, Tap};

/// Pixels of the square of `geometry`, row by row, resampled bilinearly from the photograph in its
/// black surround and without anti-aliasing; `finish` turns grey levels into what is stored. Only
/// pixels that contribute are touched.
pub(super) fn sample<T: Copy + Default + Send>(
    photograph: &RgbImage,
    geometry: &Geometry,
    finish: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    let (columns, rows) = geometry.taps_in_photograph();
    resample(photograph, &columns, &rows, finish)
}

/// The crop of `geometry`, which is a circle's, in rounded grey levels, as OpenCV warps bytes.
pub(super) fn crop(photograph: &RgbImage, geometry: &Geometry) -> Vec<u8> {
    let (columns, rows) = geometry.taps_in_photograph();
    warp(photograph, &columns, &rows)
}

/// An image stretched to a square, as OpenCV resizes bytes.
pub(super) fn resize(image: &RgbImage, side: usize) -> RgbImage {
    let [columns, rows] = [image.width(), image.height()].map(|from| {
        let taps = (0..side).map(|index| Tap::resized(index, from as usize, side));
        taps.collect::<Vec<_>>()
    });
    super::square_image(side, resize_bytes(image, &columns, &rows))
}

/// The square of `geometry`, as OpenCV resizes bytes.
pub(super) fn fit(photograph: &RgbImage, geometry: &Geometry) -> Vec<u8> {
    let (columns, rows) = geometry.taps_in_photograph();
    resize_bytes(photograph, &columns, &rows)
}

/// Bilinear resampling in OpenCV's whole numbers: weights are multiples of 1/2048, and a line loses
/// its last four bits before lines are mixed. Outside the image is black.
fn resize_bytes(image: &RgbImage, columns: &[Tap], rows: &[Tap]) -> Vec<u8> {
    let row_bytes = 3 * image.width() as usize;
    let line = |y: isize| -> &[u8] {
        match usize::try_from(y) {
            Ok(y) if y < image.height() as usize => &image.as_raw()[y * row_bytes..][..row_bytes],
            _ => &[],
        }
    };
    let columns: Vec<_> = columns
        .iter()
        .map(|tap| (tap, tap.resize_steps()))
        .collect();
    let mut output = vec![0; 3 * columns.len() * rows.len()];
    output
        .par_chunks_exact_mut(3 * columns.len())
        .zip(rows)
        .for_each(|(pixels, row)| {
            let weights = row.resize_steps();
            let lines = [line(row.first), line(row.second)];
            let pixels = pixels.as_chunks_mut::<3>().0.iter_mut();
            for (pixel, (column, steps)) in pixels.zip(&columns) {
                let mixed = lines.map(|line| {
                    let at = |x: isize| {
                        let start = usize::try_from(x).ok()?.checked_mul(3)?;
                        line.get(start..)?.first_chunk::<3>()
                    };
                    let [first, second] = [column.first, column.second].map(at);
                    [0, 1, 2].map(|channel| {
                        let level = |pixel: Option<&[u8; 3]>| {
                            pixel.map_or(0, |pixel| i32::from(pixel[channel]))
                        };
                        level(first) * steps[0] + level(second) * steps[1]
                    })
                });
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let part = |line: usize| ((mixed[line][channel] >> 4) * weights[line]) >> 16;
                    *value = ((part(0) + part(1) + 2) >> 2) as u8;
                }
            }
        });
    output
}

/// Bilinear resampling in whole numbers: OpenCV's positions are multiples of 1/32, so that nothing
/// is lost. Lines are mixed first, a vector at a time. Taps ascend; outside the image is black.
pub(super) fn warp(image: &RgbImage, columns: &[Tap], rows: &[Tap]) -> Vec<u8> {
    let width = image.width() as usize;
    let row_bytes = 3 * width;
    let line = |y: isize| -> Option<&[u8]> {
        let start = usize::try_from(y).ok()?.checked_mul(row_bytes)?;
        image.as_raw().get(start..)?.get(..row_bytes)
    };
    let within = |x: isize| x.clamp(0, width as isize) as usize;
    let start = columns.first().map_or(0, |tap| within(tap.first));
    let end = columns.last().map_or(0, |tap| within(tap.second + 1));
    let used = 3 * start..3 * end.max(start);
    // Where a column's neighbours lie in a mixed line, which has a black pixel at either end.
    let columns: Vec<([usize; 2], [u32; 2])> = columns
        .iter()
        .map(|tap| {
            let at = |x: isize| {
                let inside =
                    (x + 1 - start as isize).clamp(0, (end.max(start) - start) as isize + 1);
                3 * inside as usize
            };
            let weights = tap.warp_steps().map(u32::from);
            ([at(tap.first), at(tap.second)], weights)
        })
        .collect();
    let mut output = vec![0; 3 * columns.len() * rows.len()];
    output
        .par_chunks_exact_mut(3 * columns.len())
        .zip(rows)
        .for_each_init(
            || vec![0_u16; used.len() + 6],
            |mixed, (pixels, row)| {
                let [first, second] = row.warp_steps();
                let inner = &mut mixed[3..3 + used.len()];
                match (line(row.first), line(row.second)) {
                    (Some(upper), Some(lower)) => {
                        let pairs = upper[used.clone()].iter().zip(&lower[used.clone()]);
                        for (mixed, (&upper, &lower)) in inner.iter_mut().zip(pairs) {
                            *mixed = u16::from(upper) * first + u16::from(lower) * second;
                        }
                    }
                    (Some(line), None) => scale(&line[used.clone()], first, inner),
                    (None, Some(line)) => scale(&line[used.clone()], second, inner),
                    (None, None) => return,
                }
                let pixels = pixels.as_chunks_mut::<3>().0;
                for (pixel, ([a, b], weights)) in pixels.iter_mut().zip(&columns) {
                    let (a, b) = (&mixed[*a..*a + 3], &mixed[*b..*b + 3]);
                    for channel in 0..3 {
                        let sum =
                            u32::from(a[channel]) * weights[0] + u32::from(b[channel]) * weights[1];
                        pixel[channel] = ((sum + (1 << 9)) >> 10) as u8;
                    }
                }
            },
        );
    output
}

fn scale(line: &[u8], weight: u16, scaled: &mut [u16]) {
    for (scaled, &level) in scaled.iter_mut().zip(line) {
        *scaled = u16::from(level) * weight;
    }
}

fn resample<T: Copy + Default + Send>(
    image: &RgbImage,
    columns: &[Tap],
    rows: &[Tap],
    finish: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    let row_bytes = 3 * image.width() as usize;
    let line = |y: isize| -> &[u8] {
        match usize::try_from(y) {
            Ok(y) if y < image.height() as usize => &image.as_raw()[y * row_bytes..][..row_bytes],
            _ => &[],
        }
    };
    let mut output = vec![T::default(); 3 * columns.len() * rows.len()];
    output
        .par_chunks_exact_mut(3 * columns.len())
        .zip(rows)
        .for_each(|(pixels, row)| {
            let (upper, lower) = (line(row.first), line(row.second));
            for (pixel, column) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
                let (above, below) = (mix_in_line(upper, column), mix_in_line(lower, column));
                for channel in 0..3 {
                    pixel[channel] = finish(row.mix_fused(above[channel], below[channel]));
                }
            }
        });
    output
}

/// The mixture of two pixels of a line of RGB bytes whose surround is black.
#[inline]
fn mix_in_line(line: &[u8], column: &Tap) -> [f32; 3] {
    // Neighbours lie side by side nearly always: one check for both. A negative index wraps to one
    // far beyond the line.
    let at = |x: isize| (x as usize).wrapping_mul(3);
    let pair = line
        .get(at(column.first)..)
        .and_then(<[u8]>::first_chunk::<6>);
    if let (Some(&[a, b, c, d, e, f]), true) = (pair, column.second == column.first + 1) {
        let mix = |first: u8, second: u8| column.mix_fused(f32::from(first), f32::from(second));
        return [mix(a, d), mix(b, e), mix(c, f)];
    }
    let pixel = |x: isize| {
        let pixel = line.get(at(x)..).and_then(<[u8]>::first_chunk::<3>);
        pixel.map_or([0.0; 3], |pixel| pixel.map(f32::from))
    };
    let (first, second) = (pixel(column.first), pixel(column.second));
    [0, 1, 2].map(|channel| column.mix_fused(first[channel], second[channel]))
}

/// A square image as normalised planes `[3, side, side]`.
pub(super) fn image_to_planes(image: &RgbImage, normalisation: Normalisation) -> Vec<f32> {
    let pixels = image.as_raw().as_chunks::<3>().0;
    let mut planes = Vec::with_capacity(3 * pixels.len());
    for (channel, table) in level_tables(normalisation).iter().enumerate() {
        planes.extend(
            pixels
                .iter()
                .map(|pixel| table[usize::from(pixel[channel])]),
        );
    }
    planes
}

/// What the grey levels of every colour are to the network.
pub(crate) fn level_tables(normalisation: Normalisation) -> [Vec<f32>; 3] {
    [0, 1, 2].map(|channel| {
        let levels = 0..=255_u8;
        let value = |level| normalisation.apply(f32::from(level), channel);
        levels.map(value).collect()
    })
}

/// Interleaved grey levels as normalised planes `[3, …]`.
pub(super) fn pixels_to_planes(pixels: &[f32], normalisation: Normalisation) -> Vec<f32> {
    let pixels = pixels.as_chunks::<3>().0;
    let mut planes = Vec::with_capacity(3 * pixels.len());
    for channel in 0..3 {
        let values = pixels.iter().map(|pixel| pixel[channel]);
        planes.extend(values.map(|value| normalisation.apply(value, channel)));
    }
    planes
}
