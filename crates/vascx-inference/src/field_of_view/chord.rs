//! Straight edges of the field of view and what they leave visible.

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Size};

use super::circle::Circle;
use super::thumbnail::SIDE;

/// Largest distance of an inlier along the other axis, in thumbnail pixels.
const INLIER_DISTANCE: f64 = 1.0;
/// Steepest permitted slope against the photograph's frame.
const STEEPEST: f64 = 0.02;
/// Share of a sector's points that must lie on its line.
const LEAST_SUPPORT: f64 = 0.5;

/// The side of the photograph on which a straight edge lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Left,
    Right,
    Top,
    Bottom,
}

impl Location {
    pub(super) const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Top, Self::Bottom];
}

/// Two points on a straight edge, each [x, y].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line([[f64; 2]; 2]);

/// The straight edges that were found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lines {
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bottom: Option<Line>,
}

/// Pixels `min_x..max_x`, `min_y..max_y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rectangle {
    pub(crate) min_x: isize,
    pub(crate) max_x: isize,
    pub(crate) min_y: isize,
    pub(crate) max_y: isize,
}

impl Lines {
    /// As Python prints a dictionary of them.
    pub(super) fn to_python(&self) -> String {
        let sides = [
            ("left", self.left),
            ("right", self.right),
            ("top", self.top),
            ("bottom", self.bottom),
        ];
        let printed = sides.iter().filter_map(|(side, line)| {
            let [[x0, y0], [x1, y1]] = line.as_ref()?.0;
            Some(format!("'{side}': (({x0:?}, {y0:?}), ({x1:?}, {y1:?}))"))
        });
        format!("{{{}}}", printed.collect::<Vec<_>>().join(", "))
    }

    pub(super) fn from_fn(line: impl Fn(Location) -> Option<Line>) -> Self {
        Self {
            left: line(Location::Left),
            right: line(Location::Right),
            top: line(Location::Top),
            bottom: line(Location::Bottom),
        }
    }

    fn get(&self, location: Location) -> Option<Line> {
        match location {
            Location::Left => self.left,
            Location::Right => self.right,
            Location::Top => self.top,
            Location::Bottom => self.bottom,
        }
    }

    /// The lines after moving their points.
    pub(super) fn map(&self, to: impl Fn(Point) -> Point) -> Self {
        let moved = |[x, y]: [f64; 2]| {
            let point = to(Point { x, y });
            [point.x, point.y]
        };
        Self::from_fn(|location| {
            self.get(location)
                .map(|Line(points)| Line(points.map(moved)))
        })
    }
}

impl Line {
    /// The nearly horizontal (top, bottom) or vertical (left, right) line that most of a sector's
    /// points lie on, fitted to those points; none when there is no such line.
    ///
    /// Every pair of points is tried, so chance plays no part.
    pub(super) fn find(points: &[Point], location: Location) -> Option<Self> {
        let upright = matches!(location, Location::Left | Location::Right);
        // (along the edge, across it)
        let points: Vec<(f64, f64)> = points
            .iter()
            .map(|p| if upright { (p.y, p.x) } else { (p.x, p.y) })
            .collect();
        let inliers = |slope: f64, offset: f64| {
            let near = move |&&(along, across): &&(f64, f64)| {
                (slope * along + offset - across).abs() < INLIER_DISTANCE
            };
            points.iter().filter(near)
        };
        let mut best = (0, 0.0, 0.0);
        for (index, &(a0, c0)) in points.iter().enumerate() {
            for &(a1, c1) in &points[..index] {
                if a0 == a1 {
                    continue;
                }
                let slope = (c1 - c0) / (a1 - a0);
                let offset = c0 - slope * a0;
                let count = inliers(slope, offset).count();
                if count > best.0 {
                    best = (count, slope, offset);
                }
            }
        }
        let (count, slope, offset) = best;
        if count as f64 <= LEAST_SUPPORT * points.len() as f64 {
            return None;
        }
        let mean = |value: fn(&(f64, f64)) -> f64| {
            inliers(slope, offset).map(value).sum::<f64>() / count as f64
        };
        let (mean_along, mean_across) = (mean(|p| p.0), mean(|p| p.1));
        let (mut spread, mut shared) = (0.0, 0.0);
        for &(along, across) in inliers(slope, offset) {
            spread += (along - mean_along).powi(2);
            shared += (along - mean_along) * (across - mean_across);
        }
        let slope = shared / spread;
        if slope.is_nan() || slope.abs() >= STEEPEST {
            return None;
        }
        let at = |along: f64| {
            let across = mean_across + slope * (along - mean_along);
            if upright {
                [across, along]
            } else {
                [along, across]
            }
        };
        Some(Self([at(0.0), at(SIDE as f64)]))
    }

    /// Where the line enters and leaves a circle; none when it misses it.
    fn chord(self, circle: &Circle) -> Option<[Point; 2]> {
        let Self([[x0, y0], [x1, y1]]) = self;
        let (dx, dy) = (x1 - x0, y1 - y0);
        let length = dx.hypot(dy);
        let (ux, uy) = (dx / length, dy / length);
        let along = (circle.centre.x - x0) * ux + (circle.centre.y - y0) * uy;
        let (fx, fy) = (x0 + along * ux, y0 + along * uy);
        let half =
            circle.radius.powi(2) - (fx - circle.centre.x).powi(2) - (fy - circle.centre.y).powi(2);
        let half = (half >= 0.0).then(|| half.sqrt())?;
        Some([1.0, -1.0].map(|sign| Point {
            x: fx + sign * half * ux,
            y: fy + sign * half * uy,
        }))
    }
}

impl Rectangle {
    /// Whether it lies in an image and holds the image's middle.
    pub(super) fn holds_middle_of(&self, image: Size) -> bool {
        let within = |min: isize, max: isize, length: usize| {
            let middle = (length / 2) as isize;
            0 <= min && min < max && max <= length as isize && min <= middle && middle <= max
        };
        within(self.min_x, self.max_x, image.width) && within(self.min_y, self.max_y, image.height)
    }

    /// Smaller by `by` on each side; none where that hides the middle of the image.
    pub(crate) fn shrunk(&self, by: isize, image: Size) -> Option<Self> {
        let smaller = Self {
            min_x: self.min_x + by,
            max_x: self.max_x - by,
            min_y: self.min_y + by,
            max_y: self.max_y - by,
        };
        smaller.holds_middle_of(image).then_some(smaller)
    }
}

/// What the chords that the lines cut in the circle leave visible of an image, rounded inwards.
pub(super) fn visible(circle: &Circle, lines: &Lines, image: Size) -> Rectangle {
    let chord = |location| lines.get(location).and_then(|line| line.chord(circle));
    let least = |location, axis: fn(&Point) -> f64, end: usize| {
        chord(location).map_or(end as isize, |[a, b]| {
            (axis(&a).min(axis(&b)).floor() as isize).min(end as isize)
        })
    };
    let most = |location, axis: fn(&Point) -> f64| {
        chord(location).map_or(0, |[a, b]| (axis(&a).max(axis(&b)).ceil() as isize).max(0))
    };
    Rectangle {
        min_x: most(Location::Left, |p| p.x),
        max_x: least(Location::Right, |p| p.x, image.width),
        min_y: most(Location::Top, |p| p.y),
        max_y: least(Location::Bottom, |p| p.y, image.height),
    }
}
