//! Contrast enhancement of a crop of the field of view, as the released models were trained
//! (retinalysis-fundusprep 1.3.0).

use rayon::prelude::*;

use super::filter::{Border, RELATIVE_SIGMA, blur, contrast, gaussian_kernel};
use super::plane::{Planes, warp};
use crate::field_of_view::{FieldOfView, Rectangle};
use crate::geometry::Size;

/// The blur is taken on a crop of this side.
const BLURRED_SIDE: usize = 256;
/// The kernel reaches this many standard deviations, as in SciPy.
const REACH: f64 = 4.0;
/// The outermost share of the radius, where the rim's brightness is not to be trusted.
const SHRINK: f64 = 0.01;

/// The part of a crop whose pixels count, within the rim.
struct Interior {
    side: usize,
    rect: Rectangle,
    /// Squared radius of the circle around the crop's centre.
    radius_squared: f64,
}

impl Interior {
    fn new(field: &FieldOfView, side: usize) -> Self {
        let visible = field.visible_in_crop(side);
        let radius = side as f64 / 2.0;
        let margin = (SHRINK * radius).round_ties_even() as isize;
        let size = Size {
            width: side,
            height: side,
        };
        let shrunk = visible.shrunk(margin, size);
        let share = if shrunk.is_some() { 1.0 - SHRINK } else { 1.0 };
        Self {
            side,
            rect: shrunk.unwrap_or(visible),
            radius_squared: (share * radius).powi(2),
        }
    }

    /// Squared distance from the crop's centre, as a share of the squared radius.
    fn distance(&self, x: usize, y: usize) -> f64 {
        let middle = self.side as f64 / 2.0;
        ((x as f64 - middle).powi(2) + (y as f64 - middle).powi(2)) / self.radius_squared
    }

    fn holds(&self, x: usize, y: usize) -> bool {
        let Rectangle {
            min_x,
            max_x,
            min_y,
            max_y,
        } = self.rect;
        (min_x..max_x).contains(&(x as isize))
            && (min_y..max_y).contains(&(y as isize))
            && self.distance(x, y) < 1.0
    }

    /// For every pixel the one that mirrors it: across the straight edges, then across the circle.
    fn mirror(&self) -> Vec<usize> {
        let side = self.side;
        let columns = mirrored(self.rect.min_x, self.rect.max_x, side);
        let rows = mirrored(self.rect.min_y, self.rect.max_y, side);
        let middle = side as f64 / 2.0;
        let source = |x: usize, y: usize| {
            let distance = self.distance(x, y);
            if distance <= 1.0 {
                return (x, y);
            }
            let inside = |i: usize| {
                let at = middle + (i as f64 - middle) / distance;
                at.round_ties_even().clamp(0.0, side as f64 - 1.0) as usize
            };
            (inside(x), inside(y))
        };
        (0..side * side)
            .map(|index| source(index % side, index / side))
            .map(|(x, y)| rows[y] * side + columns[x])
            .collect()
    }
}

/// For every pixel of an axis the one that mirrors it across `min` or `max`. At `max` the edge
/// pixel itself is not repeated.
fn mirrored(min: isize, max: isize, side: usize) -> Vec<usize> {
    let (min, max) = (min as usize, max as usize);
    let mut sources: Vec<usize> = (0..side).collect();
    for index in 0..min {
        sources[index] = (2 * min - 1 - index).min(side - 1);
    }
    for index in max..side {
        sources[index] = sources[(2 * max).saturating_sub(index)];
    }
    sources
}

/// Local contrast of a crop of 8-bit values, again as 8-bit values; zero outside the field of view.
pub(super) fn enhance(crop: &Planes, field: &FieldOfView) -> Planes {
    let mut small = warp(crop, BLURRED_SIDE);
    let mirror = Interior::new(field, BLURRED_SIDE).mirror();
    let sigma = RELATIVE_SIGMA * BLURRED_SIDE as f64 / 2.0;
    let kernel = gaussian_kernel(sigma, (REACH * sigma + 0.5) as usize);
    let area = small.area();
    small.values.par_chunks_exact_mut(area).for_each(|plane| {
        let mirrored: Vec<f32> = mirror
            .iter()
            .map(|&source| (plane[source] + 0.5).trunc() / 255.0)
            .collect();
        plane.copy_from_slice(&blur(&mirrored, BLURRED_SIDE, &kernel, Border::Reflected));
    });
    let mut enhanced = warp(&small, crop.side);
    let interior = Interior::new(field, crop.side);
    let lines = enhanced.values.par_chunks_exact_mut(crop.side);
    lines
        .zip(crop.values.par_chunks_exact(crop.side))
        .enumerate()
        .for_each(|(index, (line, values))| {
            let y = index % crop.side;
            for (x, (blurred, value)) in line.iter_mut().zip(values).enumerate() {
                *blurred = if interior.holds(x, y) {
                    contrast(value / 255.0, *blurred)
                } else {
                    0.0
                };
            }
        });
    enhanced
}
