//! Bilinear resampling of interleaved RGB pixels, and the network's planes made of them.

use image::RgbImage;
use rayon::prelude::*;
use vascx_convert::Normalisation;

use crate::geometry::{Geometry, Tap};

/// Pixels of the square of `geometry`, row by row, resampled bilinearly from the photograph in its
/// black surround and without anti-aliasing; `finish` turns grey levels into what is stored. Only
/// pixels that contribute are touched.
pub(super) fn sample<T: Copy + Default + Send>(
    photograph: &RgbImage,
    geometry: &Geometry,
    finish: impl Fn(f32) -> T + Sync,
) -> Vec<T> {
    let columns = geometry.horizontal.taps_in_photograph(geometry.input.width);
    let rows = geometry.vertical.taps_in_photograph(geometry.input.height);
    resample(photograph, &columns, &rows, finish)
}

/// The crop of `geometry`, which is a circle's, in rounded grey levels, as OpenCV warps bytes.
pub(super) fn crop(photograph: &RgbImage, geometry: &Geometry) -> Vec<u8> {
    let columns = geometry.horizontal.taps_in_photograph(geometry.input.width);
    let rows = geometry.vertical.taps_in_photograph(geometry.input.height);
    warp(photograph, &columns, &rows)
}

/// A square image at another side, in rounded grey levels, as OpenCV warps bytes.
pub(super) fn rescale(image: &RgbImage, side: usize) -> Vec<u8> {
    let taps = warp_taps(image.width() as usize, side);
    warp(image, &taps, &taps)
}

/// For each pixel of a square of side `to`, the pixels of one of side `from` that OpenCV's warp
/// mixes.
pub(super) fn warp_taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let (middle, source_middle) = (to as f64 / 2.0, from as f64 / 2.0);
    (0..to)
        .map(|index| Tap::warp((index as f64 - middle) * scale + source_middle))
        .collect()
}

/// A square image at another side, half-pixel centres, without anti-aliasing.
fn resize(image: &RgbImage, side: usize) -> Vec<f32> {
    let from = image.width() as usize;
    let scale = from as f32 / side as f32;
    let taps: Vec<Tap> = (0..side)
        .map(|index| Tap::at((index as f32 + 0.5) * scale, from))
        .collect();
    resample(image, &taps, &taps, |value| value)
}

/// Bilinear resampling in whole numbers: OpenCV's positions are multiples of 1/32, so that nothing
/// is lost. Lines are mixed first, a vector at a time. Taps ascend; outside the image is black.
fn warp(image: &RgbImage, columns: &[Tap], rows: &[Tap]) -> Vec<u8> {
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
                    pixel[channel] = finish(row.mix(above[channel], below[channel]));
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
        let mix = |first: u8, second: u8| column.mix(f32::from(first), f32::from(second));
        return [mix(a, d), mix(b, e), mix(c, f)];
    }
    let pixel = |x: isize| {
        let pixel = line.get(at(x)..).and_then(<[u8]>::first_chunk::<3>);
        pixel.map_or([0.0; 3], |pixel| pixel.map(f32::from))
    };
    let (first, second) = (pixel(column.first), pixel(column.second));
    [0, 1, 2].map(|channel| column.mix(first[channel], second[channel]))
}

/// Writes a square image as normalised planes `[3, side, side]`, resized where its side differs.
pub(super) fn image_to_planes(
    image: &RgbImage,
    side: usize,
    normalisation: Option<Normalisation>,
    planes: &mut [f32],
) {
    if image.width() as usize != side {
        pixels_to_planes(&resize(image, side), normalisation, planes);
        return;
    }
    let tables = level_tables(normalisation);
    let pixels = image.as_raw().as_chunks::<3>().0;
    for (channel, plane) in planes.chunks_exact_mut(side * side).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels) {
            *value = tables[channel][usize::from(pixel[channel])];
        }
    }
}

/// What the grey levels of every colour are to the network.
pub(crate) fn level_tables(normalisation: Option<Normalisation>) -> [Vec<f32>; 3] {
    [0, 1, 2].map(|channel| {
        let levels = 0..=255_u8;
        let value = |level| normalise(f32::from(level), channel, normalisation);
        levels.map(value).collect()
    })
}

/// Writes interleaved grey levels as normalised planes `[3, …]`.
pub(super) fn pixels_to_planes(
    pixels: &[f32],
    normalisation: Option<Normalisation>,
    planes: &mut [f32],
) {
    let pixels = pixels.as_chunks::<3>().0;
    for (channel, plane) in planes.chunks_exact_mut(pixels.len()).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(pixels) {
            *value = normalise(pixel[channel], channel, normalisation);
        }
    }
}

fn normalise(level: f32, channel: usize, normalisation: Option<Normalisation>) -> f32 {
    let unit = level / 255.0;
    normalisation.map_or(unit, |Normalisation { mean, std }| {
        (unit - mean[channel]) / std[channel]
    })
}
