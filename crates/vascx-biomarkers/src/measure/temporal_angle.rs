//! The angle between the main temporal vessels.

use super::circles::{crosses, crossings};
use crate::analysis::Analysis;
use crate::geometry::Point;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::sets::LayerName;
use crate::statistics;

/// Radii of the circles, in distances from disc to fovea.
const FIRST: f64 = 2.0 / 3.0;
const STEP: f64 = 0.03;
const CIRCLES: usize = 5;
/// Angles between two main vessels lie between these.
const NARROWEST: f64 = 75.0;
const WIDEST: f64 = 200.0;

/// A circle and the pair of vessels found on it.
#[derive(Clone, Debug, PartialEq)]
pub struct AngleCircle {
    /// Centre.
    pub center: Point,
    /// Radius.
    pub radius: f64,
    /// Numbers of the two whole vessels.
    pub vessels: [usize; 2],
    /// Where they cross the circle.
    pub points: [Point; 2],
    /// Angle in degrees.
    pub degrees: f64,
}

impl Analysis<'_> {
    /// The circles on which a pair of temporal vessels was found.
    ///
    /// # Errors
    /// No disc, no fovea or no vessels.
    pub fn angle_circles(&self, name: LayerName) -> Result<Vec<AngleCircle>, Reason> {
        let landmarks = self.landmarks()?;
        let fovea = landmarks.fovea.clone()?;
        let nasal = landmarks.nasal_point()?;
        let layer = self.layer(name)?;
        let center = landmarks.disc.center;
        let temporal = |point: Point| (point - nasal).dot(fovea.direction) >= 0.0;
        let reach = self.nearest_hidden(center, temporal);
        let mut found = Vec::new();
        for number in 0..CIRCLES {
            let radius = fovea.distance * (FIRST + STEP * number as f64);
            if radius >= reach {
                continue;
            }
            let mut points = Vec::new();
            for (index, vessel) in layer.vessels().iter().enumerate() {
                if !crosses(vessel, center, radius) {
                    continue;
                }
                if self.rules == Rules::Reference && vessel.has_no_solution() {
                    return Err(Reason::NoSolution);
                }
                let Some(&point) = crossings(vessel, center, radius).first() else {
                    continue;
                };
                let point = match self.rules {
                    Rules::Reference => point,
                    Rules::Corrected => point - Point::new(0.5, 0.5),
                };
                if (point - nasal).dot(fovea.direction) > 0.0 {
                    points.push((index, point, layer.calibre(vessel).mean()));
                }
            }
            let mut best: Option<(f64, AngleCircle)> = None;
            for (at, first) in points.iter().enumerate() {
                for second in &points[at + 1..] {
                    let width = first.2 + second.2;
                    if best.as_ref().is_some_and(|(widest, _)| width < *widest) {
                        continue;
                    }
                    let degrees = (first.1 - center).angle_to(second.1 - center);
                    if degrees > NARROWEST && degrees < WIDEST {
                        let vessels = [first.0, second.0];
                        let points = [first.1, second.1];
                        best = Some((
                            width,
                            AngleCircle {
                                center,
                                radius,
                                vessels,
                                points,
                                degrees,
                            },
                        ));
                    }
                }
            }
            found.extend(best.map(|(_, circle)| circle));
        }
        Ok(found)
    }

    pub(crate) fn temporal_angle(&self, layer: LayerName) -> Result<(f64, usize), Reason> {
        let angles: Vec<f64> = self
            .angle_circles(layer)?
            .iter()
            .map(|circle| circle.degrees)
            .collect();
        if angles.is_empty() {
            return Err(Reason::TooFew {
                what: "circles with two vessels",
                found: 0,
                needed: 1,
            });
        }
        Ok((statistics::median(&angles), angles.len()))
    }

    /// Distance from `center` to the nearest pixel of a part of the image that is not visible.
    pub(super) fn nearest_hidden(&self, center: Point, part: impl Fn(Point) -> bool) -> f64 {
        let region = self.region();
        let mut nearest = f64::INFINITY;
        // Rows near the centre first: what they find leaves out most of the others.
        let mut rows: Vec<usize> = (0..region.height()).collect();
        rows.sort_by(|&a, &b| {
            let away = |y: usize| (y as f64 - center.y).abs();
            away(a).total_cmp(&away(b))
        });
        for y in rows {
            let row = Point::new(y as f64, center.x) - center;
            if row.dot(row) >= nearest {
                break;
            }
            // Nearer than what is known.
            let reach = (nearest - row.dot(row)).sqrt();
            let first = (center.x - reach).floor().max(0.0) as usize;
            let pixels = region.row(y).iter().enumerate().skip(first);
            let pixels = pixels.take_while(|(x, _)| *x as f64 <= center.x + reach);
            for (x, _) in pixels.filter(|(_, pixel)| **pixel == 0) {
                let point = Point::new(y as f64, x as f64);
                let away = point - center;
                let square = away.dot(away);
                if square < nearest && part(point) {
                    nearest = square;
                }
            }
        }
        if self.rules == Rules::Corrected {
            // What the image's frame cuts off is hidden as well.
            let side = self.eye.side as f64;
            let edges = [
                Point::new(-1.0, center.x),
                Point::new(side, center.x),
                Point::new(center.y, -1.0),
                Point::new(center.y, side),
            ];
            for edge in edges.into_iter().filter(|&edge| part(edge)) {
                let away = edge - center;
                nearest = nearest.min(away.dot(away));
            }
        }
        nearest.sqrt()
    }
}
