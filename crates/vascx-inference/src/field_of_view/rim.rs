//! The rim of the field of view: one point per direction from the thumbnail's centre.

use std::f64::consts::TAU;
use std::ops::Range;

use crate::geometry::Point;
use crate::preprocess::filter::{Border, blur, gaussian_kernel};

use super::chord::{Line, Lines, Location};
use super::circle::Circle;
use super::thumbnail::{SIDE, Thumbnail};

/// Directions around the centre.
const ANGLES: usize = SIDE;
/// Largest radius of the polar image, 256 // 1.8, in its `SIDE` columns.
const MAX_RADIUS: f64 = 142.0;
/// First column in which the rim is looked for.
const FIRST: usize = SIDE / 4;
/// Columns in which the rim is looked for.
const COLUMNS: usize = SIDE - FIRST;
/// Cost of a path that jumps by δ columns from one direction to the next, divided by δ².
const JUMP_COST: f32 = 0.02;
/// Length and standard deviation of the blur that marks the inside (OpenCV's σ for this length).
const BLUR_LENGTH: usize = 31;
const BLUR_SIGMA: f64 = 5.0;
/// Radii of a permissible circle in thumbnail pixels.
const RADII: Range<f64> = 64.0..MAX_RADIUS;

/// Points on the rim, by direction: point `i` lies at the angle 2πi/256 (clockwise on the screen).
pub(super) struct Rim {
    pub(super) points: Vec<Point>,
}

impl Rim {
    /// Traces the rim as the cheapest way around the centre, where a fall of brightness outwards is
    /// cheap, more so in the dark.
    pub(super) fn trace(thumbnail: &Thumbnail) -> Self {
        let centre = SIDE as f64 / 2.0;
        let points = cheapest_path(&costs(&polar(thumbnail)))
            .into_iter()
            .enumerate()
            .map(|(angle, column)| {
                let radius = MAX_RADIUS * (FIRST + column) as f64 / SIDE as f64;
                let (sin, cos) = (TAU * angle as f64 / ANGLES as f64).sin_cos();
                Point {
                    x: centre + radius * cos,
                    y: centre + radius * sin,
                }
            })
            .collect();
        Self { points }
    }

    pub(super) fn circle(&self) -> Option<Circle> {
        Circle::find(&self.points, RADII)
    }

    /// Points in the directions where no straight edge is looked for.
    pub(super) fn corners(&self) -> Vec<Point> {
        let in_corner = |index: usize| Location::ALL.iter().all(|l| !in_sector(*l, index));
        (0..ANGLES)
            .filter(|&index| in_corner(index))
            .map(|index| self.points[index])
            .collect()
    }

    /// Straight edges on the four sides.
    pub(super) fn lines(&self) -> Lines {
        Lines::from_fn(|location| {
            let sector = (0..ANGLES).filter(|&index| in_sector(location, index));
            let points: Vec<Point> = sector.map(|index| self.points[index]).collect();
            Line::find(&points, location)
        })
    }
}

/// Whether direction `index` can meet the straight edge at `location`.
fn in_sector(location: Location, index: usize) -> bool {
    let eighth = index as f64 / (ANGLES / 8) as f64;
    match location {
        Location::Bottom => 1.0 < eighth && eighth < 3.0,
        Location::Top => 5.0 < eighth && eighth < 7.0,
        Location::Right => eighth < 0.7 || eighth > 7.3,
        Location::Left => 3.3 < eighth && eighth < 4.7,
    }
}

/// The thumbnail by direction (row) and distance (column), nearest neighbours, brightest pixel 1.
fn polar(thumbnail: &Thumbnail) -> Vec<f32> {
    let centre = SIDE as f64 / 2.0;
    let mut values = Vec::with_capacity(ANGLES * COLUMNS);
    for angle in 0..ANGLES {
        let (sin, cos) = (TAU * angle as f64 / ANGLES as f64).sin_cos();
        for column in FIRST..SIDE {
            let radius = MAX_RADIUS * column as f64 / SIDE as f64;
            let at = |direction: f64| (centre + radius * direction).round_ties_even();
            let (x, y) = (at(cos), at(sin));
            let inside = |at: f64| (0.0..SIDE as f64).contains(&at);
            let pixel =
                (inside(x) && inside(y)).then(|| thumbnail.pixels[y as usize * SIDE + x as usize]);
            values.push(f32::from(pixel.unwrap_or(0)));
        }
    }
    let brightest = values.iter().copied().fold(1.0, f32::max);
    values.iter_mut().for_each(|value| *value /= brightest);
    values
}

/// Change of brightness outwards (Sobel), damped where the neighbourhood is bright.
fn costs(polar: &[f32]) -> Vec<f32> {
    let kernel = gaussian_kernel(BLUR_SIGMA, BLUR_LENGTH / 2);
    let brightness = blur(polar, COLUMNS, &kernel, Border::Mirrored);
    let row = |index: usize| &polar[index * COLUMNS..(index + 1) * COLUMNS];
    let mut costs = Vec::with_capacity(polar.len());
    for y in 0..ANGLES {
        // The border repeats the edge.
        let (above, here, below) = (
            row(y.saturating_sub(1)),
            row(y),
            row((y + 1).min(ANGLES - 1)),
        );
        let smooth = |x: usize| above[x] + 2.0 * here[x] + below[x];
        for x in 0..COLUMNS {
            let change = smooth((x + 1).min(COLUMNS - 1)) - smooth(x.saturating_sub(1));
            costs.push(change * (1.0 - brightness[y * COLUMNS + x]));
        }
    }
    costs
}

/// The column per row of the cheapest path from the first row to the last.
fn cheapest_path(costs: &[f32]) -> Vec<usize> {
    let jump: Vec<f32> = (0..COLUMNS)
        .map(|distance| JUMP_COST * (distance * distance) as f32)
        .collect();
    let mut total = costs[..COLUMNS].to_vec();
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(ANGLES - 1);
    for row in costs.chunks_exact(COLUMNS).skip(1) {
        let cheapest = |to: usize| {
            let mut best = (f32::INFINITY, 0);
            for (from, before) in total.iter().enumerate() {
                let cost = before + jump[from.abs_diff(to)];
                if cost < best.0 {
                    best = (cost, from);
                }
            }
            best
        };
        let steps: Vec<(f32, usize)> = (0..COLUMNS).map(cheapest).collect();
        total = steps
            .iter()
            .zip(row)
            .map(|((before, _), here)| before + here)
            .collect();
        origins.push(steps.into_iter().map(|(_, from)| from).collect());
    }
    let mut column = (1..COLUMNS).fold(0, |best, x| if total[x] < total[best] { x } else { best });
    let mut path = vec![column];
    for origin in origins.iter().rev() {
        column = origin[column];
        path.push(column);
    }
    path.reverse();
    path
}
