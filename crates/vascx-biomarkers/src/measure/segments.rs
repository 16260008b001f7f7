//! Calibre, tortuosity and density.

use std::rc::Rc;

use super::{ALL, LARGER_PART, MOST};
use crate::analysis::Analysis;
use crate::curve::Curve;
use crate::forest::length;
use crate::geometry::Point;
use crate::grid::{Field, Grid};
use crate::reason::Reason;
use crate::rules::Rules;
use crate::segment::Segment;
use crate::sets::{Aggregate, LayerName, Tortuosity, TortuosityMeasure};
use crate::statistics;

/// A calibre needs more points than this.
const CALIBRE_POINTS: usize = 10;
/// A tortuosity needs this many points.
const TORTUOSITY_POINTS: usize = 25;
/// More tortuous than any vessel.
const MOST_TORTUOUS: f64 = 1.5;
/// A mean weighted by length needs this many segments.
const WEIGHTED_SEGMENTS: usize = 5;

/// Combines values, each with its segment's weight; says on how many it rests.
fn combine(values: &[(f64, f64)], aggregate: Aggregate) -> Result<(f64, usize), Reason> {
    let finite = |pair: &&(f64, f64)| {
        pair.0.is_finite() && (aggregate != Aggregate::LengthWeighted || pair.1.is_finite())
    };
    let kept: Vec<(f64, f64)> = values.iter().filter(finite).copied().collect();
    let needed = if aggregate == Aggregate::LengthWeighted {
        WEIGHTED_SEGMENTS
    } else {
        1
    };
    // Values that are no number count towards what a weighted mean needs.
    if values.len() < needed || kept.is_empty() {
        return Err(Reason::TooFew {
            what: "segments",
            found: kept.len(),
            needed,
        });
    }
    let plain: Vec<f64> = kept.iter().map(|(value, _)| *value).collect();
    let value = match aggregate {
        Aggregate::Mean => statistics::mean(&plain),
        Aggregate::Median => statistics::median(&plain),
        Aggregate::Std => statistics::deviation(&plain),
        Aggregate::LengthWeighted => {
            let weights: f64 = kept.iter().map(|(_, weight)| weight).sum();
            kept.iter()
                .map(|(value, weight)| value * weight)
                .sum::<f64>()
                / weights
        }
    };
    Ok((value, kept.len()))
}

/// Length of a segment's curve; `NaN` without one.
fn weight(segment: &Segment) -> f64 {
    segment.curve().map_or(f64::NAN, |curve| curve.length)
}

impl Analysis<'_> {
    /// Segments whose calibre counts in a field.
    ///
    /// # Errors
    /// Why the field or the layer is of no use.
    pub fn calibre_segments(
        &self,
        field: Option<(Grid, Field)>,
        layer: LayerName,
    ) -> Result<Vec<Rc<Segment>>, Reason> {
        let area = self.visible_field(field, MOST, true)?;
        let parts = self.parts(layer, false, field, area.as_deref().map(|area| &area.mask))?;
        let parts = parts.iter();
        let long = parts.filter(|part| part.points().len() > CALIBRE_POINTS);
        Ok(long.cloned().collect())
    }

    pub(crate) fn mean_calibre(
        &self,
        aggregate: Aggregate,
        field: Option<(Grid, Field)>,
        name: LayerName,
    ) -> Result<(f64, usize), Reason> {
        let layer = self.layer(name)?;
        let scale = self.eye.mm_per_pixel.unwrap_or(1.0);
        let segments = self.calibre_segments(field, name)?;
        let unmeasured = |segment: &Rc<Segment>| layer.calibre(segment).diameters.is_empty();
        if self.rules == Rules::Reference && segments.iter().any(unmeasured) {
            return Err(Reason::NoDiameters);
        }
        let values: Vec<_> = segments
            .iter()
            .map(|segment| (layer.calibre(segment).median() * scale, weight(segment)))
            .collect();
        combine(&values, aggregate)
    }

    /// Segments whose tortuosity counts in a field: between nodes or whole vessels, cut into
    /// pieces of at most `pieces` distances from disc to fovea.
    ///
    /// # Errors
    /// Why the field or the layer is of no use.
    pub fn tortuosity_segments(
        &self,
        vessels: bool,
        pieces: Option<f64>,
        field: Option<(Grid, Field)>,
        layer: LayerName,
    ) -> Result<Vec<Rc<Segment>>, Reason> {
        let area = self.visible_field(field, LARGER_PART, true)?;
        let mask = area.as_deref().map(|area| &area.mask);
        let parts = self.parts(layer, vessels, field, mask)?;
        let long = parts
            .iter()
            .filter(|part| part.points().len() >= TORTUOSITY_POINTS);
        let Some(pieces) = pieces else {
            return Ok(long.cloned().collect());
        };
        let longest = pieces * self.landmarks()?.fovea.clone()?.distance;
        Ok(long.flat_map(|part| cut(part, longest)).collect())
    }

    pub(crate) fn tortuosity(
        &self,
        kind: Tortuosity,
        field: Option<(Grid, Field)>,
        layer: LayerName,
    ) -> Result<(f64, usize), Reason> {
        let Tortuosity {
            measure,
            vessels,
            skeleton_length,
            pieces,
            aggregate,
        } = kind;
        let segments = match measure {
            TortuosityMeasure::Undefined(_) => return Err(Reason::NeverDefined),
            TortuosityMeasure::Distance => {
                self.tortuosity_segments(vessels, pieces, field, layer)?
            }
            TortuosityMeasure::Curvature => {
                self.tortuosity_segments(vessels, None, field, layer)?
            }
        };
        let fovea = self
            .landmarks()
            .and_then(|landmarks| landmarks.fovea.clone());
        // The length along the skeleton needs no curve, unless the curve weighs it.
        let curves = !skeleton_length || aggregate == Aggregate::LengthWeighted;
        let unsolved = curves && segments.iter().any(|segment| segment.has_no_solution());
        if self.rules == Rules::Reference && unsolved {
            return Err(Reason::NoSolution);
        }
        let unit = match (fovea, self.rules) {
            (Ok(fovea), _) => fovea.distance,
            (Err(reason), Rules::Corrected) if measure == TortuosityMeasure::Curvature => {
                return Err(reason);
            }
            // Without a fovea the reference changes its unit to 1 / pixel.
            (Err(reason), Rules::Reference)
                if measure == TortuosityMeasure::Curvature && self.eye.fovea.is_some() =>
            {
                return Err(reason);
            }
            (Err(_), _) => 1.0,
        };
        let values: Vec<_> = segments
            .iter()
            .map(|segment| {
                let weight = weight(segment);
                if measure == TortuosityMeasure::Curvature {
                    let curvature = segment.curve().map_or(f64::NAN, Curve::mean_curvature);
                    return (curvature * unit, weight);
                }
                let tortuosity = if skeleton_length {
                    segment.length() / segment.chord()
                } else {
                    self.distance_tortuosity(segment)
                };
                let kept = tortuosity <= MOST_TORTUOUS;
                (if kept { tortuosity } else { f64::NAN }, weight)
            })
            .collect();
        combine(&values, aggregate)
    }

    /// Length of a segment's curve over its chord: that of its ends in the reference, that of the
    /// curve's own ends, hence at least 1, in ours. `NaN` without a curve.
    pub(crate) fn distance_tortuosity(&self, segment: &Segment) -> f64 {
        let Some(curve) = segment.curve() else {
            return f64::NAN;
        };
        let chord = match self.rules {
            Rules::Reference => segment.chord(),
            Rules::Corrected => curve.position(0.0).distance(curve.position(1.0)),
        };
        curve.length / chord
    }

    /// Calibres in pixels, over the whole eye.
    pub(crate) fn calibre_by(
        &self,
        aggregate: Aggregate,
        name: LayerName,
    ) -> Result<(f64, usize), Reason> {
        let layer = self.layer(name)?;
        let values: Vec<_> = self
            .calibre_segments(None, name)?
            .iter()
            .map(|segment| (layer.calibre(segment).median(), weight(segment)))
            .collect();
        combine(&values, aggregate)
    }

    /// Pixels of a layer outside the disc.
    pub(crate) fn vessel_area(&self, name: LayerName) -> Result<f64, Reason> {
        let filled = self.masks(name)?.filled();
        let inside = self
            .landmarks()
            .map_or(0, |l| filled.count_common(&l.disc.mask));
        Ok((filled.count() - inside) as f64)
    }

    /// Share of the visible retina outside the disc that a layer covers.
    pub(crate) fn density_outside_disc(&self, name: LayerName) -> Result<f64, Reason> {
        let vessels = self.vessel_area(name)?;
        let disc = self.landmarks().map_or(0, |l| l.disc.mask.count());
        Ok(vessels / (self.region().count() - disc) as f64)
    }

    pub(super) fn density(
        &self,
        field: Option<(Grid, Field)>,
        layer: LayerName,
    ) -> Result<f64, Reason> {
        let filled = self.masks(layer)?.filled();
        let area = self.visible_field(field, ALL, true)?;
        // The layer is empty outside the visible retina.
        let (vessels, all) = match &area {
            None => (filled.count(), self.region().count()),
            Some(area) => (
                filled.count_common(&area.mask),
                self.region().count_common(&area.mask),
            ),
        };
        Ok(vessels as f64 / all as f64)
    }
}

/// Pieces of equal length along the points, none longer than `longest`.
fn cut(segment: &Rc<Segment>, longest: f64) -> Vec<Rc<Segment>> {
    let total = segment.length();
    let count = (total / longest).ceil().max(1.0) as usize;
    if count == 1 {
        return vec![Rc::clone(segment)];
    }
    let points = segment.points();
    let mut ways = vec![0.0];
    for pair in points.windows(2) {
        ways.push(ways[ways.len() - 1] + pair[0].distance(pair[1]));
    }
    let place = |way: f64| {
        let after = ways
            .partition_point(|known| *known <= way)
            .clamp(1, ways.len() - 1);
        let (from, to) = (ways[after - 1], ways[after]);
        let share = if to > from {
            (way - from) / (to - from)
        } else {
            0.0
        };
        points[after - 1] + (points[after] - points[after - 1]) * share
    };
    (0..count)
        .filter_map(|number| {
            let [from, to] = [number, number + 1].map(|n| total * n as f64 / count as f64);
            let mut piece = vec![place(from)];
            let inside = |way: &f64| *way > from && *way < to;
            piece.extend(
                ways.iter()
                    .zip(points)
                    .filter(|(way, _)| inside(way))
                    .map(|(_, p)| *p),
            );
            piece.push(place(to));
            piece.dedup_by(|next, last| close(*next, *last));
            (piece.len() >= 2 && length(&piece) > 0.0).then(|| Rc::new(Segment::new(piece)))
        })
        .collect()
}

/// Whether two points differ by rounding only.
fn close(a: Point, b: Point) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-8 + 1e-5 * b.abs();
    near(a.y, b.y) && near(a.x, b.x)
}
