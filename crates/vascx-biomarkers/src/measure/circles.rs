//! Where vessels cross circles around the disc.

use crate::geometry::Point;
use crate::segment::Segment;

/// Whether exactly one end of a segment lies within `radius` of `center`.
pub(super) fn crosses(segment: &Segment, center: Point, radius: f64) -> bool {
    let inside = |point: Point| point.distance(center) <= radius;
    inside(segment.start()) != inside(segment.end())
}

/// Where a segment's curve crosses a circle, in the order of its points: the relative length is
/// found on the polyline, to five decimals. Positions are in the frame of cells.
pub(super) fn crossings(segment: &Segment, center: Point, radius: f64) -> Vec<Point> {
    let Some(curve) = segment.curve() else {
        return Vec::new();
    };
    let shift = Point::new(0.5, 0.5);
    let total = segment.length();
    let mut way = 0.0;
    let mut found = Vec::new();
    for pair in segment.points().windows(2) {
        let [from, to] = [pair[0], pair[1]].map(|point| {
            let away = point + shift - center;
            away.dot(away) - radius * radius
        });
        let step = pair[0].distance(pair[1]);
        if (from <= 0.0) != (to <= 0.0) {
            let share = from.abs() / (from.abs() + to.abs());
            let t = (way + share * step) / total;
            found.push(curve.position((t * 1e5).round_ties_even() / 1e5));
        }
        way += step;
    }
    found
}
