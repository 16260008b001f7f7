//! Contrast enhancement of a crop of the field of view, as the released models were trained
//! (retinalysis-fundusprep 1.3.0).

use std::ops::Range;

use image::RgbImage;
use rayon::prelude::*;

use super::filter::{Border, RELATIVE_SIGMA, blur, contrast, gaussian_kernel};
use super::sample::warp;
use crate::field_of_view::{FieldOfView, Rectangle};
use crate::geometry::{Point, Size, Warp};

/// The blur is taken on a crop of this side.
const BLURRED_SIDE: usize = 256;
/// The kernel reaches this many standard deviations, as in SciPy.
const REACH: f64 = 4.0;
/// The outermost share of the radius, where the rim's brightness is not to be trusted.
const SHRINK: f64 = 0.01;

/// Where a field of view lies in an image, in its pixel indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disc {
    centre: Point,
    radius: f64,
    /// What straight edges leave visible.
    visible: Rectangle,
}

impl Disc {
    /// In the crop of side `side`, which the circle touches.
    pub(super) fn in_crop(field: &FieldOfView, side: usize) -> Self {
        let middle = side as f64 / 2.0;
        Self {
            centre: Point {
                x: middle,
                y: middle,
            },
            radius: middle,
            visible: field.visible_in_crop(side),
        }
    }

    /// In the photograph that it was found in.
    pub(super) fn in_photograph(field: &FieldOfView) -> Self {
        Self {
            centre: field.centre(),
            radius: field.radius(),
            visible: field.rect,
        }
    }

    /// Whether it leaves out no pixel of an image.
    fn covers(&self, Size { width, height }: Size) -> bool {
        let margin = (0.001 * width.max(height) as f64).max(1.0);
        let (width, height) = (width as f64, height as f64);
        let reaches =
            |x: f64, y: f64| (x - self.centre.x).hypot(y - self.centre.y) <= self.radius + margin;
        let Rectangle {
            min_x,
            max_x,
            min_y,
            max_y,
        } = self.visible;
        min_x as f64 <= margin
            && min_y as f64 <= margin
            && max_x as f64 >= width - margin
            && max_y as f64 >= height - margin
            && [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)]
                .into_iter()
                .all(|(x, y)| reaches(x, y))
    }
}

/// The part of an image whose pixels count, within the rim.
struct Interior {
    size: Size,
    centre: Point,
    rect: Rectangle,
    /// Squared radius of the circle around the centre.
    radius_squared: f64,
}

impl Interior {
    fn new(disc: Disc, size: Size) -> Self {
        let Disc {
            centre,
            radius,
            visible,
        } = disc;
        let margin = (SHRINK * radius).round_ties_even() as isize;
        let shrunk = visible.shrunk(margin, size).filter(|_| !disc.covers(size));
        let share = if shrunk.is_some() { 1.0 - SHRINK } else { 1.0 };
        Self {
            size,
            centre,
            rect: shrunk.unwrap_or(visible),
            radius_squared: (share * radius).powi(2),
        }
    }

    /// Squared distance from the circle's centre, as a share of the squared radius.
    fn distance(&self, x: usize, y: usize) -> f64 {
        let Point { x: cx, y: cy } = self.centre;
        ((x as f64 - cx).powi(2) + (y as f64 - cy).powi(2)) / self.radius_squared
    }

    /// The columns of row `y` that lie inside.
    fn columns(&self, y: usize) -> Range<usize> {
        let Rectangle {
            min_x,
            max_x,
            min_y,
            max_y,
        } = self.rect;
        if !(min_y..max_y).contains(&(y as isize)) {
            return 0..0;
        }
        let half = (self.radius_squared - (y as f64 - self.centre.y).powi(2))
            .max(0.0)
            .sqrt();
        let middle = self.centre.x;
        let within = |x: &usize| self.distance(*x, y) < 1.0;
        // Rounding may put the ends a pixel off; the distance decides.
        let first = ((middle - half).floor() as isize).max(min_x) as usize;
        let last = ((middle + half).ceil() as isize + 1).min(max_x) as usize;
        let start = (first..last).find(within).unwrap_or(last);
        let end = (start..last).rev().find(within).map_or(start, |x| x + 1);
        start..end
    }

    /// For every pixel the one that mirrors it: across the straight edges, then across the circle.
    fn mirror(&self) -> Vec<usize> {
        let Size { width, height } = self.size;
        let columns = mirrored(self.rect.min_x, self.rect.max_x, width);
        let rows = mirrored(self.rect.min_y, self.rect.max_y, height);
        let source = |x: usize, y: usize| {
            let distance = self.distance(x, y);
            if distance <= 1.0 {
                return (x, y);
            }
            let inside = |i: usize, middle: f64, length: usize| {
                let at = middle + (i as f64 - middle) / distance;
                at.round_ties_even().clamp(0.0, length as f64 - 1.0) as usize
            };
            let Point { x: cx, y: cy } = self.centre;
            (inside(x, cx, width), inside(y, cy, height))
        };
        (0..width * height)
            .map(|index| source(index % width, index / width))
            .map(|(x, y)| rows[y] * width + columns[x])
            .collect()
    }
}

/// For every pixel of an axis the one that mirrors it across `min` or `max`. At `max` the edge
/// pixel itself is not repeated.
fn mirrored(min: isize, max: isize, side: usize) -> Vec<usize> {
    let (min, max) = (min as usize, max as usize);
    let mut sources: Vec<usize> = (0..side).collect();
    for (index, source) in sources[..min].iter_mut().enumerate() {
        *source = (2 * min - 1 - index).min(side - 1);
    }
    for index in max..side {
        sources[index] = sources[(2 * max).saturating_sub(index)];
    }
    sources
}

/// Local contrast of an image in which the field of view lies at `disc`; zero outside of it.
pub(super) fn enhance(image: &RgbImage, field: &FieldOfView, disc: Disc) -> RgbImage {
    let size = Size {
        width: image.width() as usize,
        height: image.height() as usize,
    };
    let Point { x: cx, y: cy } = disc.centre;
    let middle = BLURRED_SIDE as f64 / 2.0;
    let scale = BLURRED_SIDE as f64 / (2.0 * disc.radius);
    let down = [cx, cy].map(|source| Warp {
        scale,
        source,
        middle,
    });
    let [columns, rows] = [down[0].columns(BLURRED_SIDE), down[1].rows(BLURRED_SIDE)];
    let small = warp(image, &columns, &rows);
    let small = small.as_chunks::<3>().0;
    let small_disc = Disc::in_crop(field, BLURRED_SIDE);
    let mirror = Interior::new(small_disc, Size::square(BLURRED_SIDE)).mirror();
    let sigma = RELATIVE_SIGMA * BLURRED_SIDE as f64 / 2.0;
    let kernel = gaussian_kernel(sigma, (REACH * sigma + 0.5) as usize);
    let blurred: Vec<Vec<f32>> = (0..3)
        .into_par_iter()
        .map(|channel| {
            let level = |&source: &usize| f32::from(small[source][channel]) / 255.0;
            let mirrored: Vec<f32> = mirror.iter().map(level).collect();
            blur(&mirrored, BLURRED_SIDE, &kernel, Border::Reflected)
        })
        .collect();

    let interior = Interior::new(disc, size);
    let [up_x, up_y] = down.map(Warp::back);
    let columns = up_x.columns(size.width);
    let rows = up_y.rows(size.height);
    let units: Vec<f32> = (0..=255_u8).map(|level| f32::from(level) / 255.0).collect();
    let mut enhanced = vec![0_u8; 3 * size.area()];
    let lines = enhanced
        .par_chunks_exact_mut(3 * size.width)
        .zip(image.par_chunks_exact(3 * size.width));
    lines
        .zip(&rows)
        .enumerate()
        .for_each(|(y, ((line, image), row))| {
            let visible = interior.columns(y);
            if visible.is_empty() {
                return;
            }
            // One line of the blurred image, interleaved and with a black pixel at its end.
            let mut mixed = vec![[0.0_f32; 3]; BLURRED_SIDE + 1];
            for (channel, plane) in blurred.iter().enumerate() {
                let plane_line = |y: isize| {
                    let start = usize::try_from(y).ok().filter(|&y| y < BLURRED_SIDE)?;
                    Some(&plane[start * BLURRED_SIDE..][..BLURRED_SIDE])
                };
                let (upper, lower) = (plane_line(row.first), plane_line(row.second));
                for (x, mixed) in mixed[..BLURRED_SIDE].iter_mut().enumerate() {
                    let at = |line: Option<&[f32]>| line.map_or(0.0, |line| line[x]);
                    mixed[channel] = row.mix(at(upper), at(lower));
                }
            }
            let pixels = line.as_chunks_mut::<3>().0[visible.clone()].iter_mut();
            let image = &image.as_chunks::<3>().0[visible.clone()];
            for ((pixel, level), column) in pixels.zip(image).zip(&columns[visible]) {
                // Left of the first pixel lies black as well.
                let at = |x: isize| mixed[(x as usize).min(BLURRED_SIDE)];
                let (first, second) = (at(column.first), at(column.second));
                for channel in 0..3 {
                    let blurred = column.mix(first[channel], second[channel]);
                    pixel[channel] = contrast(units[usize::from(level[channel])], blurred);
                }
            }
        });
    RgbImage::from_raw(image.width(), image.height(), enhanced).expect("three bytes per pixel")
}
