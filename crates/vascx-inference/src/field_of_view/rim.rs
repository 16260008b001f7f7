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
const JUMP_COST: f64 = 0.02;
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
        Location::Right => !(0.7..=7.3).contains(&eighth),
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
    for value in &mut values {
        *value /= brightest;
    }
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
    let mut total: Vec<f64> = costs[..COLUMNS]
        .iter()
        .map(|&cost| f64::from(cost))
        .collect();
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(ANGLES - 1);
    for row in costs.chunks_exact(COLUMNS).skip(1) {
        let origin = cheapest_origins(&total);
        let arrive = |(to, &from): (usize, &usize)| {
            total[from] + JUMP_COST * from.abs_diff(to).pow(2) as f64 + f64::from(row[to])
        };
        total = origin.iter().enumerate().map(arrive).collect();
        origins.push(origin);
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

/// For each column the one from which a jump to it is cheapest: whose parabola
/// `total + JUMP_COST · δ²` is the lowest there. The lower envelope of the parabolas takes linear
/// time (Felzenszwalb & Huttenlocher, Distance Transforms of Sampled Functions, 2012).
fn cheapest_origins(total: &[f64]) -> Vec<usize> {
    let height = |column: usize| total[column] / JUMP_COST + (column * column) as f64;
    // The parabolas of the envelope and where each begins to be the lowest.
    let mut envelope: Vec<(usize, f64)> = vec![(0, f64::NEG_INFINITY)];
    for column in 1..total.len() {
        loop {
            let (last, begin) = envelope[envelope.len() - 1];
            let crossing = (height(column) - height(last)) / (2 * (column - last)) as f64;
            if crossing > begin {
                envelope.push((column, crossing));
                break;
            }
            envelope.pop();
        }
    }
    let mut lowest = 0;
    (0..total.len())
        .map(|column| {
            while envelope
                .get(lowest + 1)
                .is_some_and(|&(_, begin)| begin < column as f64)
            {
                lowest += 1;
            }
            envelope[lowest].0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_finds_the_cheapest_origins() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50 {
            let total: Vec<f64> = (0..COLUMNS).map(|_| random.f64() * 4.0 - 3.0).collect();
            for (to, from) in cheapest_origins(&total).into_iter().enumerate() {
                let cost = |from: usize| total[from] + JUMP_COST * from.abs_diff(to).pow(2) as f64;
                let cheapest = (0..COLUMNS).map(cost).fold(f64::INFINITY, f64::min);
                assert!(
                    cost(from) <= cheapest + 1e-9,
                    "{to}: {} > {cheapest}",
                    cost(from)
                );
            }
        }
    }
}
