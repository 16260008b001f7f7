//! The visible retina.

use crate::geometry::Point;
use crate::mask::{Mask, first_place};

/// Share of the circle's radius that counts as visible; as much is taken off straight borders.
const SHARE: f64 = 0.99;

/// A straight border of the field of view: two points of a line.
pub type Line = [Point; 2];

/// Where a photograph shows retina, in the photograph's pixels: a circle, and straight borders
/// where the circle is cut off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Height and width of the photograph.
    pub size: (usize, usize),
    /// Centre of the circle.
    pub center: Point,
    /// Radius of the circle.
    pub radius: f64,
    /// Upper border.
    pub top: Option<Line>,
    /// Lower border.
    pub bottom: Option<Line>,
    /// Left border.
    pub left: Option<Line>,
    /// Right border.
    pub right: Option<Line>,
}

impl Bounds {
    /// The visible retina in the crop of side `side` that the circle was enlarged to.
    pub fn in_crop(&self, side: usize) -> FieldOfView {
        let half = side as f64 / 2.0;
        let scale = half / self.radius;
        let place = |point: Point| (point - self.center) * scale + Point::new(half, half);
        // A border's chord in the circle: the ends nearer to and farther from the origin.
        let chord = |line: Option<Line>, along: fn(Point) -> f64| {
            let ends = chord(line?.map(place), Point::new(half, half), half)?;
            let [a, b] = ends.map(along);
            Some((a.min(b), a.max(b)))
        };
        let (down, right) = (|point: Point| point.y, |point: Point| point.x);
        let limit = |value: f64| value.clamp(0.0, side as f64) as usize;
        FieldOfView {
            top: chord(self.top, down).map_or(0, |(_, far)| limit(far.ceil())),
            bottom: chord(self.bottom, down).map_or(side, |(near, _)| limit(near.floor())),
            left: chord(self.left, right).map_or(0, |(_, far)| limit(far.ceil())),
            right: chord(self.right, right).map_or(side, |(near, _)| limit(near.floor())),
        }
    }
}

/// Where a line meets a circle, if it does so twice.
fn chord([a, b]: Line, center: Point, radius: f64) -> Option<[Point; 2]> {
    let direction = b - a;
    let from = a - center;
    let square = direction.dot(direction);
    let half = direction.dot(from);
    let root = (half * half - square * (from.dot(from) - radius * radius)).sqrt();
    let ends = [-1.0, 1.0].map(|sign| a + direction * ((sign * root - half) / square));
    (root > 0.0 && ends.iter().all(|end| end.is_finite())).then_some(ends)
}

/// The rectangle that bounds the visible retina in a square crop, inside the circle that touches
/// the crop's sides: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldOfView {
    /// First row.
    pub top: usize,
    /// Row after the last.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// Column after the last.
    pub right: usize,
}

impl FieldOfView {
    /// The whole circle in a crop of side `side`.
    pub fn circle(side: usize) -> Self {
        Self {
            top: 0,
            bottom: side,
            left: 0,
            right: side,
        }
    }

    /// The visible retina without its rim as pixels of the crop.
    pub(crate) fn mask(self, side: usize) -> Mask {
        let half = side as f64 / 2.0;
        let radius = SHARE * half;
        let Self {
            top,
            bottom,
            left,
            right,
        } = self.shrunk(side);
        Mask::from_stretches(side, side, |y| {
            if !(top..bottom).contains(&y) {
                return 0..0;
            }
            let within = |x: usize| {
                let (dy, dx) = (y as f64 - half, x as f64 - half);
                dy * dy + dx * dx < radius * radius
            };
            let middle = side / 2;
            if !within(middle) {
                return 0..0;
            }
            let start = first_place(middle, within);
            let end = middle + first_place(side - middle, |x| !within(middle + x));
            start.max(left)..end.min(right)
        })
    }

    /// Without the rim, unless it is the whole crop or the centre would be lost.
    fn shrunk(self, side: usize) -> Self {
        let half = side as f64 / 2.0;
        let by = ((1.0 - SHARE) * half).round_ties_even() as usize;
        let smaller = Self {
            top: self.top.saturating_add(by),
            bottom: self.bottom.saturating_sub(by),
            left: self.left.saturating_add(by),
            right: self.right.saturating_sub(by),
        };
        let center = side / 2;
        let holds_center = (smaller.top..smaller.bottom).contains(&center)
            && (smaller.left..smaller.right).contains(&center);
        if self == Self::circle(side) || !holds_center {
            self
        } else {
            smaller
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_border_bounds_the_crop_inward() {
        let bounds = Bounds {
            size: (2000, 3000),
            center: Point::new(1000.0, 1500.0),
            radius: 1024.0,
            top: Some([Point::new(20.0, 0.0), Point::new(24.0, 3000.0)]),
            right: Some([Point::new(0.0, 2900.0), Point::new(9.0, 2900.0)]),
            ..Bounds::default()
        };
        let field = bounds.in_crop(1024);
        // Row 22.3 or so at the right end of the chord: (22.3 - 1000) / 2 + 512.
        assert_eq!((field.top, field.bottom), (24, 1024));
        // The line at x = 2900 does not meet the circle.
        assert_eq!((field.left, field.right), (0, 1024));
        assert_eq!(field.mask(1024).row(28).iter().max(), Some(&0));
        assert_eq!(field.mask(1024).row(29).iter().max(), Some(&1));
    }
}
