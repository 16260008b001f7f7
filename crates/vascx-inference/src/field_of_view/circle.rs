//! Fitting a circle to points of which some lie elsewhere.

use std::ops::Range;

use super::draws::Draws;
use crate::geometry::Point;

/// Largest distance of an inlier from the circle, in thumbnail pixels; less than any radius.
const INLIER_DISTANCE: f64 = 1.0;
/// Circles drawn through three random points.
const DRAWS: usize = 1000;
/// Draws for one of a permitted radius.
const ATTEMPTS: usize = 100;
/// Share of the points that must be inliers.
const LEAST_SUPPORT: f64 = 0.2;
/// A circle in pixel indices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Circle {
    pub(super) centre: Point,
    pub(super) radius: f64,
}

impl Circle {
    /// The first circle through three of the points that has most of them as inliers, else the one with
    /// the most inliers, fitted anew to these; none when too few points lie on any circle of a permitted
    /// radius.
    pub(super) fn find(points: &[Point], radii: Range<f64>) -> Option<Self> {
        let mut draws = Draws::new();
        let mut best: Option<(usize, Self)> = None;
        for _ in 0..DRAWS {
            let drawn = (0..ATTEMPTS).find_map(|_| {
                let sample = draws.three(points.len() as u32).map(|index| points[index]);
                Self::fit(&sample).filter(|circle| radii.contains(&circle.radius))
            });
            let Some(circle) = drawn else {
                continue;
            };
            let count = points.iter().filter(|&&point| circle.holds(point)).count();
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, circle));
            }
            if 2 * count > points.len() {
                break;
            }
        }
        let (count, circle) = best?;
        if (count as f64) < LEAST_SUPPORT * points.len() as f64 {
            return None;
        }
        let inliers = points.iter().copied().filter(|&point| circle.holds(point));
        Self::fit(&inliers.collect::<Vec<_>>())
    }

    /// Least-squares fit: |p|² = 2 c·p + (r² − |c|²) is linear in the unknowns. None for points on a
    /// line.
    pub(super) fn fit(points: &[Point]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |value: fn(&Point) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|p| p.x), mean(|p| p.y));
        // Around the centroid the third unknown separates, which leaves two equations.
        let [mut xx, mut xy, mut yy, mut xz, mut yz, mut zz] = [0.0; 6];
        for point in points {
            let (x, y) = (point.x - mean_x, point.y - mean_y);
            let z = x * x + y * y;
            xx += x * x;
            xy += x * y;
            yy += y * y;
            xz += x * z;
            yz += y * z;
            zz += z;
        }
        let determinant = xx * yy - xy * xy;
        if determinant.is_nan() || determinant.abs() <= 1e-9 * (xx + yy) * (xx + yy) {
            return None;
        }
        let x = 0.5 * (xz * yy - yz * xy) / determinant;
        let y = 0.5 * (yz * xx - xz * xy) / determinant;
        Some(Self {
            centre: Point {
                x: x + mean_x,
                y: y + mean_y,
            },
            radius: (x * x + y * y + zz / count).sqrt(),
        })
    }

    /// Share of the points that are inliers.
    pub(super) fn support(&self, points: &[Point]) -> f64 {
        let inliers = points.iter().filter(|&&point| self.holds(point)).count();
        inliers as f64 / points.len() as f64
    }

    fn holds(&self, point: Point) -> bool {
        let squared = (point.x - self.centre.x).powi(2) + (point.y - self.centre.y).powi(2);
        let (inner, outer) = (self.radius - INLIER_DISTANCE, self.radius + INLIER_DISTANCE);
        inner * inner < squared && squared < outer * outer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_circle(count: usize, centre: (f64, f64), radius: f64) -> Vec<Point> {
        (0..count)
            .map(|i| (i as f64 * std::f64::consts::TAU / count as f64).sin_cos())
            .map(|(sin, cos)| Point {
                x: centre.0 + radius * cos,
                y: centre.1 + radius * sin,
            })
            .collect()
    }

    #[test]
    fn exact_points_give_the_exact_circle() {
        let circle = Circle::fit(&on_circle(7, (120.0, 131.5), 97.25)).unwrap();
        assert!((circle.centre.x - 120.0).abs() < 1e-9 && (circle.centre.y - 131.5).abs() < 1e-9);
        assert!((circle.radius - 97.25).abs() < 1e-9);
    }

    #[test]
    fn a_third_of_strays_do_not_matter() {
        let mut points = on_circle(256, (128.0, 125.0), 110.0);
        for (index, point) in points
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| index % 3 == 0)
        {
            point.x += 5.0 + (index % 17) as f64;
        }
        let circle = Circle::find(&points, 64.0..142.0).unwrap();
        assert!((circle.radius - 110.0).abs() < 0.3, "{circle:?}");
        assert!((0.6..0.75).contains(&circle.support(&points)));
    }

    #[test]
    fn lines_and_scatter_are_no_circle() {
        let line: Vec<Point> = (0..256)
            .map(|i| Point {
                x: f64::from(i),
                y: 3.0,
            })
            .collect();
        assert_eq!(Circle::fit(&line), None);
        assert_eq!(Circle::find(&line, 64.0..142.0), None);
        let mut random = fastrand::Rng::with_seed(1);
        let scatter: Vec<Point> = (0..256)
            .map(|_| Point {
                x: random.f64() * 256.0,
                y: random.f64() * 256.0,
            })
            .collect();
        assert_eq!(Circle::find(&scatter, 64.0..142.0), None);
    }
}
