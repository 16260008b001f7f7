//! Smooth curves along vessels.

use crate::geometry::Point;
use crate::spline::{Places, Spline};

/// Points that a curve needs.
const FEWEST: usize = 5;
/// One place per this many pixels for the mean curvature.
const CURVATURE_SPACING: f64 = 5.0;

/// A smoothing spline in each coordinate over the relative length, 0 to 1. It runs through the
/// frame of cells, in which the pixel (y, x) has its centre at (y + ½, x + ½).
#[derive(Clone, Debug)]
pub struct Curve {
    /// Rows.
    pub y: Spline,
    /// Columns.
    pub x: Spline,
    /// Length of the curve, as a polyline through evenly spaced parameters.
    pub length: f64,
    /// Length of the polyline it smooths.
    total: f64,
}

impl Curve {
    /// The curve along pixels; `None` for fewer than five or where the equations have no solution.
    pub(crate) fn along(points: &[Point]) -> Option<Self> {
        if points.len() < FEWEST {
            return None;
        }
        let mut t = Vec::with_capacity(points.len());
        let mut total = 0.0;
        t.push(0.0);
        for pair in points.windows(2) {
            total += pair[0].distance(pair[1]);
            t.push(total);
        }
        if total == 0.0 {
            return None;
        }
        for place in &mut t {
            *place /= total;
        }
        let places = Places::new(t);
        let fit = |coordinate: fn(&Point) -> f64| {
            let values: Vec<f64> = points.iter().map(|point| coordinate(point) + 0.5).collect();
            let steps = values
                .windows(2)
                .map(|pair| (pair[1] - pair[0]).powi(2))
                .sum::<f64>();
            let sum = values.len() as f64 * (steps / (values.len() - 1) as f64) / 2.0;
            Spline::smoothing(&places, &values, sum)
        };
        let (y, x) = (fit(|point| point.y)?, fit(|point| point.x)?);
        let mut curve = Self {
            y,
            x,
            length: 0.0,
            total,
        };
        let places = (total.round_ties_even() as usize).max(10);
        let mut last = curve.position(0.0);
        for index in 1..places {
            let next = curve.position(index as f64 / (places - 1) as f64);
            curve.length += last.distance(next);
            last = next;
        }
        Some(curve)
    }

    /// The point at a relative length.
    pub fn position(&self, t: f64) -> Point {
        Point::new(self.y.value(t), self.x.value(t))
    }

    /// The point and the derivative at a relative length.
    pub fn position_and_tangent(&self, t: f64) -> (Point, Point) {
        let (y, x) = (self.y.derivatives(t), self.x.derivatives(t));
        (Point::new(y[0], x[0]), Point::new(y[1], x[1]))
    }

    /// Mean curvature over evenly spaced places, in 1 / pixel.
    pub fn mean_curvature(&self) -> f64 {
        let places = ((self.total / CURVATURE_SPACING).round_ties_even() as usize).max(10);
        let sum: f64 = (1..=places)
            .map(|index| {
                let t = index as f64 / (places + 1) as f64;
                let [_, dy, ddy] = self.y.derivatives(t);
                let [_, dx, ddx] = self.x.derivatives(t);
                (dx * ddy - dy * ddx).abs() / (dx * dx + dy * dy).powf(1.5)
            })
            .sum();
        sum / places as f64
    }
}
