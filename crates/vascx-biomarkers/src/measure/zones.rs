//! Central retinal equivalents of the zones around the disc, by vessels' widths inside the zone.

use super::circles::crossings;
use super::cre::{Crossing, Equivalent};
use crate::analysis::Analysis;
use crate::geometry::Point;
use crate::reason::Reason;
use crate::sets::LayerName;
use crate::statistics;

/// Circles in a zone.
const CIRCLES: usize = 5;
/// Vessels that enter an equivalent, at most and at least.
const MOST_VESSELS: usize = 6;
const FEWEST_VESSELS: usize = 4;
/// Circles that must give a value.
const FEWEST_CIRCLES: usize = 2;
/// Share of a circle that must be visible.
const VISIBLE: f64 = 0.95;

/// A ring around the disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// From 2 to 3 disc radii from the disc's centre.
    B,
    /// From 2 to 5.
    C,
}

impl Zone {
    fn radii(self) -> (f64, f64) {
        match self {
            Self::B => (2.0, 3.0),
            Self::C => (2.0, 5.0),
        }
    }
}

/// A circle of a zone and the vessels that cross it.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneCircle {
    /// Centre.
    pub center: Point,
    /// Radius.
    pub radius: f64,
    /// The widest vessels, at most six, with their median diameters inside the zone.
    pub crossings: Vec<Crossing>,
    /// The equivalent by the formula asked for, in pixels.
    pub value: Result<f64, Reason>,
}

/// A zone's equivalent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ZoneValue {
    /// Median over the circles, in pixels.
    pub(crate) value: f64,
    /// Circles with enough vessels.
    pub(crate) circles: usize,
    /// Median number of vessels on them.
    pub(crate) vessels: usize,
}

impl Analysis<'_> {
    /// The circles of a zone with the vessels that cross them.
    ///
    /// # Errors
    /// No disc or no vessels; for Hubbard's formula, which holds in µm, no scale either: neither
    /// one that was given nor the distance from disc to fovea.
    pub fn zone_circles(
        &self,
        zone: Zone,
        formula: Equivalent,
        name: LayerName,
    ) -> Result<Vec<ZoneCircle>, Reason> {
        let landmarks = self.landmarks()?;
        let (center, radius) = (landmarks.disc.center, landmarks.disc.radius);
        let layer = self.layer(name)?;
        let um_per_pixel = match (formula, self.eye.mm_per_pixel) {
            (Equivalent::Knudtson, _) => 1.0,
            (Equivalent::Hubbard, Some(scale)) => 1000.0 * scale,
            (Equivalent::Hubbard, None) => 1000.0 * landmarks.fovea.clone()?.mm_per_pixel,
        };
        let (inner, outer) = zone.radii();
        let inside = |point: Point| {
            let distance = point.distance(center);
            // The vessels on the first and last circle belong to it.
            distance >= (inner - 0.1) * radius && distance <= (outer + 0.1) * radius
        };
        let parts = self.zone_parts(zone, name, inside)?;
        let circles = (0..CIRCLES).map(|number| {
            let share = number as f64 / (CIRCLES - 1) as f64;
            let radius = radius * (inner + (outer - inner) * share);
            let mut circle = ZoneCircle {
                center,
                radius,
                crossings: Vec::new(),
                value: Err(Reason::OutOfSight),
            };
            if self.visible_share(center, radius) < VISIBLE {
                return circle;
            }
            for (segment, part) in parts.iter() {
                let half = Point::new(0.5, 0.5);
                // The curve lies in the frame of cells.
                let Some(&point) = crossings(part, center + half, radius).first() else {
                    continue;
                };
                let diameter = layer.calibre(part).median();
                if diameter.is_finite() {
                    let point = point - half;
                    circle.crossings.push(Crossing {
                        segment: *segment,
                        point,
                        diameter,
                    });
                }
            }
            circle
                .crossings
                .sort_by(|a, b| b.diameter.total_cmp(&a.diameter));
            circle.crossings.truncate(MOST_VESSELS);
            let found = circle.crossings.len();
            circle.value = if found < FEWEST_VESSELS {
                Err(Reason::TooFew {
                    what: "vessels",
                    found,
                    needed: FEWEST_VESSELS,
                })
            } else {
                let widths = circle
                    .crossings
                    .iter()
                    .map(|c| c.diameter * um_per_pixel)
                    .collect();
                let value = formula.of(widths, name, true) / um_per_pixel;
                if value.is_finite() {
                    Ok(value)
                } else {
                    Err(Reason::NotFinite)
                }
            };
            circle
        });
        Ok(circles.collect())
    }

    pub(crate) fn zone_value(
        &self,
        zone: Zone,
        formula: Equivalent,
        layer: LayerName,
    ) -> Result<ZoneValue, Reason> {
        let circles = self.zone_circles(zone, formula, layer)?;
        let good: Vec<(f64, f64)> = circles
            .iter()
            .filter_map(|circle| Some((circle.value.clone().ok()?, circle.crossings.len() as f64)))
            .collect();
        if good.len() < FEWEST_CIRCLES {
            let what = "circles with enough vessels";
            return Err(Reason::TooFew {
                what,
                found: good.len(),
                needed: FEWEST_CIRCLES,
            });
        }
        let (values, vessels): (Vec<f64>, Vec<f64>) = good.into_iter().unzip();
        Ok(ZoneValue {
            value: statistics::median(&values),
            circles: values.len(),
            vessels: statistics::median(&vessels) as usize,
        })
    }

    /// Share of a circle inside the visible retina.
    fn visible_share(&self, center: Point, radius: f64) -> f64 {
        const PLACES: usize = 720;
        let visible = (0..PLACES).filter(|&place| {
            let angle = std::f64::consts::TAU * place as f64 / PLACES as f64;
            let point = center + Point::new(angle.sin(), angle.cos()) * radius;
            self.region()
                .get(point.y.round() as i64, point.x.round() as i64)
        });
        visible.count() as f64 / PLACES as f64
    }
}
