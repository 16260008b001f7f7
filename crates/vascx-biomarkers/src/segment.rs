//! Vessels between two nodes, or from a root to an end.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::calibre::Calibre;
use crate::curve::Curve;
use crate::forest::length;
use crate::geometry::Point;
use crate::mask::Mask;
use crate::rules::Rules;

/// A stretch of a vessel. What is measured on it is computed when first asked for.
#[derive(Clone, Debug)]
pub struct Segment {
    points: Vec<Point>,
    length: f64,
    curve: OnceCell<Option<Curve>>,
    calibre: OnceCell<Calibre>,
}

impl Segment {
    pub(crate) fn new(points: Vec<Point>) -> Self {
        let length = length(&points);
        Self {
            points,
            length,
            curve: OnceCell::new(),
            calibre: OnceCell::new(),
        }
    }

    /// Points along the skeleton, at least two; pixel centres have integer coordinates.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// First point.
    pub fn start(&self) -> Point {
        self.points[0]
    }

    /// Last point.
    pub fn end(&self) -> Point {
        self.points[self.points.len() - 1]
    }

    /// Length along the points.
    pub fn length(&self) -> f64 {
        self.length
    }

    /// Distance of the ends.
    pub fn chord(&self) -> f64 {
        self.start().distance(self.end())
    }

    /// The smooth curve; `None` for fewer than five points.
    pub fn curve(&self) -> Option<&Curve> {
        self.curve
            .get_or_init(|| Curve::along(&self.points))
            .as_ref()
    }

    /// Whether there are enough points for a curve, but no curve goes through them.
    pub(crate) fn has_no_solution(&self) -> bool {
        self.points.len() > 4 && self.curve().is_none()
    }

    /// Diameters in the layer's mask.
    pub(crate) fn calibre(&self, mask: &Mask, rules: Rules) -> &Calibre {
        self.calibre
            .get_or_init(|| Calibre::measure(&self.points, self.curve(), self.length, mask, rules))
    }

    /// Mean of the points.
    pub(crate) fn middle(&self) -> Point {
        let sum = self
            .points
            .iter()
            .fold(Point::default(), |sum, &point| sum + point);
        sum * (1.0 / self.points.len() as f64)
    }

    /// The stretches of at least two points for which `inside` holds; the whole segment stays
    /// itself.
    pub(crate) fn within(self: &Rc<Self>, inside: impl Fn(Point) -> bool) -> Vec<Rc<Self>> {
        let mut parts = Vec::new();
        let mut start = 0;
        while let Some(skip) = self.points[start..].iter().position(|&point| inside(point)) {
            start += skip;
            let rest = &self.points[start..];
            let count = rest.iter().take_while(|&&point| inside(point)).count();
            if count == self.points.len() {
                return vec![Rc::clone(self)];
            }
            if count >= 2 {
                parts.push(Rc::new(Self::new(rest[..count].to_vec())));
            }
            start += count;
        }
        parts
    }
}
