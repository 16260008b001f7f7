//! Central retinal equivalents: one vessel as good as those around the disc.

use super::circles::{crosses, crossings};
use crate::analysis::Analysis;
use crate::geometry::Point;
use crate::grid::Grid;
use crate::landmarks::Landmarks;
use crate::reason::Reason;
use crate::segment::Segment;
use crate::sets::{Cre, LayerName, Sector};
use crate::statistics;

const CIRCLES: usize = 5;
/// Circles that must give a value.
const FEWEST: usize = 2;
/// Half the opening of the temporal sector and of the part that is not nasal, in degrees.
const TEMPORAL: f64 = 85.0;
const NOT_NASAL: f64 = 80.0;

/// A crossing of a vessel and a circle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossing {
    /// Number of the segment.
    pub segment: usize,
    /// Where.
    pub point: Point,
    /// Median diameter of the segment, in pixels.
    pub diameter: f64,
}

/// A circle around the disc with its vessels.
#[derive(Clone, Debug, PartialEq)]
pub struct CreCircle {
    /// Centre.
    pub center: Point,
    /// Radius.
    pub radius: f64,
    /// Vessels that cross it, the widest first; those beyond the number wanted do not count.
    pub crossings: Vec<Crossing>,
    /// Vessels wanted.
    pub wanted: usize,
    /// The equivalent; too few vessels or a part of the circle out of sight leave none.
    pub value: Result<f64, Reason>,
}

/// How diameters become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equivalent {
    /// Knudtson et al. 2003: c · √(a² + b²).
    Knudtson,
    /// Hubbard et al. 1999, in the units of their photographs.
    Hubbard,
}

impl Equivalent {
    /// Pairs the smallest with the largest until one is left; what has no partner waits for the
    /// next round. `sorted` says that rounds are put in order again.
    pub(crate) fn of(self, mut widths: Vec<f64>, layer: LayerName, sorted: bool) -> f64 {
        let artery = layer == LayerName::Arteries;
        widths.sort_by(f64::total_cmp);
        while widths.len() > 1 {
            let half = widths.len() / 2;
            let mut next: Vec<f64> = (0..half)
                .map(|index| {
                    let (small, large) = (widths[index], widths[widths.len() - 1 - index]);
                    self.pair(small, large, artery)
                })
                .collect();
            if widths.len() % 2 == 1 {
                next.push(widths[half]);
            }
            widths = next;
            if sorted {
                widths.sort_by(f64::total_cmp);
            }
        }
        widths.first().copied().unwrap_or(f64::NAN)
    }

    fn pair(self, small: f64, large: f64, artery: bool) -> f64 {
        match (self, artery) {
            (Self::Knudtson, true) => 0.88 * small.hypot(large),
            (Self::Knudtson, false) => 0.95 * small.hypot(large),
            (Self::Hubbard, true) => {
                (0.87 * small * small + 1.01 * large * large - 0.22 * small * large - 10.76).sqrt()
            }
            (Self::Hubbard, false) => (0.72 * small * small + 0.91 * large * large + 450.05).sqrt(),
        }
    }
}

/// Median over circles and their number.
pub(crate) fn median_of(circles: &[CreCircle]) -> Result<(f64, usize), Reason> {
    let values: Vec<f64> = circles
        .iter()
        .filter_map(|circle| circle.value.clone().ok())
        .collect();
    if values.len() < FEWEST {
        let what = "circles with enough vessels";
        return Err(Reason::TooFew {
            what,
            found: values.len(),
            needed: FEWEST,
        });
    }
    Ok((statistics::median(&values), values.len()))
}

/// Where vessels count, and which.
pub(crate) struct SectorShape {
    sector: Sector,
    /// Where angles are measured.
    origin: Point,
    direction: Point,
}

impl SectorShape {
    pub(crate) fn new(sector: Sector, landmarks: &Landmarks) -> Result<Self, Reason> {
        let disc = &landmarks.disc;
        let (origin, direction) = match sector {
            Sector::Full => (disc.center, Point::default()),
            Sector::Nasal => (disc.center, landmarks.fovea.clone()?.direction),
            Sector::Temporal => {
                let direction = landmarks.fovea.clone()?.direction;
                (disc.center - direction * (disc.radius / 2.0), direction)
            }
        };
        Ok(Self {
            sector,
            origin,
            direction,
        })
    }

    pub(crate) fn holds(&self, point: Point) -> bool {
        let from = point - self.origin;
        let along = from.dot(self.direction);
        match self.sector {
            Sector::Full => true,
            Sector::Temporal => along > TEMPORAL.to_radians().cos() * from.norm(),
            Sector::Nasal => along < NOT_NASAL.to_radians().cos() * from.norm(),
        }
    }

    /// Whether a segment's middle lies in the sector and it runs that way.
    pub(crate) fn takes(&self, segment: &Segment, center: Point) -> bool {
        let (start, end) = (segment.start(), segment.end());
        let outward = if start.distance(center) <= end.distance(center) {
            end - start
        } else {
            start - end
        };
        let along = outward.dot(self.direction);
        match self.sector {
            Sector::Full => true,
            Sector::Temporal => self.holds(segment.middle()) && along > 0.0,
            Sector::Nasal => self.holds(segment.middle()) && along < 0.0,
        }
    }
}

impl Analysis<'_> {
    /// The circles of a central retinal equivalent, each with the widest vessels on it.
    ///
    /// # Errors
    /// Why there are no circles at all.
    pub fn cre_circles(&self, equivalent: Cre, name: LayerName) -> Result<Vec<CreCircle>, Reason> {
        let landmarks = self.landmarks()?;
        let (center, (_, disc_radius)) = (landmarks.disc.center, landmarks.disc.circle()?);
        let (wanted, (first, last)) = (equivalent.vessels, equivalent.circles);
        let shape = SectorShape::new(equivalent.sector, landmarks)?;
        let half = equivalent.hemifield;
        let half = half.map(|half| self.area(Grid::Hemifield, half));
        let half = half.transpose()?;
        let layer = self.layer(name)?;
        // Hemifields hold visible pixels only.
        let reach = match half {
            Some(_) => f64::INFINITY,
            None => self.nearest_hidden(center, |point| shape.holds(point)),
        };
        let scale = self.eye.mm_per_pixel.unwrap_or(1.0);
        let circles = (0..CIRCLES).map(|number| {
            let share = number as f64 / (CIRCLES - 1) as f64;
            let radius = 2.0 * disc_radius * (first + (last - first) * share);
            let limit = radius + disc_radius / 5.0;
            let mut circle = CreCircle {
                center,
                radius,
                crossings: Vec::new(),
                wanted,
                value: Err(Reason::OutOfSight),
            };
            if limit >= reach {
                return circle;
            }
            for (index, segment) in layer.segments().iter().enumerate() {
                if !crosses(segment, center, radius) || !shape.takes(segment, center) {
                    continue;
                }
                let counts = |point: &Point| {
                    let pixel = Point::new(point.y.round_ties_even(), point.x.round_ties_even());
                    pixel.distance(center) <= limit
                        && shape.holds(pixel)
                        && half.as_ref().is_none_or(|half| half.mask.holds(pixel))
                };
                let crossing = crossings(segment, center, radius).into_iter().find(counts);
                let diameter = layer.calibre(segment).median();
                circle.crossings.extend(crossing.map(|point| Crossing {
                    segment: index,
                    point,
                    diameter,
                }));
            }
            circle
                .crossings
                .sort_by(|a, b| b.diameter.total_cmp(&a.diameter));
            let found = circle.crossings.len();
            circle.value = if found < wanted {
                Err(Reason::TooFew {
                    what: "vessels",
                    found,
                    needed: wanted,
                })
            } else {
                let widths = circle.crossings[..wanted]
                    .iter()
                    .map(|c| c.diameter)
                    .collect();
                Ok(Equivalent::Knudtson.of(widths, name, false) * scale)
            };
            circle
        });
        Ok(circles.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an independent package (PVBM) makes of the same widths; `tools/reference/outside.py`.
    #[test]
    fn equivalents_equal_those_of_another_package() {
        let text = include_str!("../../tests/fixtures/outside/equivalents.csv");
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let mut rows = 0;
        for row in table.deserialize() {
            let (layer, formula, widths, theirs): (String, String, String, f64) = row.unwrap();
            let widths = widths.split(' ').map(|width| width.parse().unwrap());
            let formula = match formula.as_str() {
                "knudtson" => Equivalent::Knudtson,
                _ => Equivalent::Hubbard,
            };
            let layer = match layer.as_str() {
                "arteries" => LayerName::Arteries,
                _ => LayerName::Veins,
            };
            let ours = formula.of(widths.collect(), layer, true);
            assert!((ours - theirs).abs() < 1e-9, "{ours} for {theirs}");
            rows += 1;
        }
        assert_eq!(rows, 48);
    }
}
