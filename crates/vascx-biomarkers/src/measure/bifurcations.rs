//! Bifurcations and the angles between their branches.

use super::{ALL, MOST};
use crate::analysis::Analysis;
use crate::geometry::Point;
use crate::grid::{Field, Grid};
use crate::layer::Layer;
use crate::reason::Reason;
use crate::rules::Rules;
use crate::sets::{Aggregate, LayerName};
use crate::statistics;

/// Directions of branches are taken this far along them, in pixels of a crop of 1024.
const ARM: f64 = 20.0;
/// Wider angles are no bifurcations.
const WIDEST: f64 = 135.0;
/// Angles that a mean needs.
const FEWEST: usize = 3;

/// The angle of a bifurcation and the rays it is between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BifurcationAngle {
    /// Where the vessel divides.
    pub position: Point,
    /// Where the rays to the two branches end.
    pub rays: [Point; 2],
    /// Angle in degrees.
    pub degrees: f64,
    /// Whether it counts; wider ones do not.
    pub counts: bool,
}

/// A bifurcation with the segments that meet there.
#[derive(Clone, Debug, PartialEq)]
pub struct Bifurcation {
    /// Where the vessel divides.
    pub position: Point,
    /// Segment that leads to it.
    pub parent: usize,
    /// Segments that leave it.
    pub children: Vec<usize>,
}

impl Layer {
    /// Bifurcations with the numbers of their segments.
    pub fn bifurcation_segments(&self) -> Vec<Bifurcation> {
        self.bifurcations()
            .map(|node| Bifurcation {
                position: node.position,
                parent: node.incoming[0],
                children: node.outgoing.clone(),
            })
            .collect()
    }
}

impl Analysis<'_> {
    /// Angles of the bifurcations in a field whose branches are long enough.
    ///
    /// # Errors
    /// Why the field or the layer is of no use.
    pub fn bifurcation_angles(
        &self,
        field: Option<(Grid, Field)>,
        name: LayerName,
    ) -> Result<Vec<BifurcationAngle>, Reason> {
        let layer = self.layer(name)?;
        let area = self.visible_field(field, MOST, true)?;
        let angles = layer
            .bifurcation_segments()
            .into_iter()
            .filter(|bifurcation| {
                area.as_ref()
                    .is_none_or(|area| area.mask.holds(bifurcation.position))
            });
        Ok(angles
            .filter_map(|bifurcation| self.angle(layer, &bifurcation))
            .collect())
    }

    pub(crate) fn angle(
        &self,
        layer: &Layer,
        bifurcation: &Bifurcation,
    ) -> Option<BifurcationAngle> {
        let [first, second] = match self.rules {
            Rules::Reference => [bifurcation.children[0], bifurcation.children[1]],
            Rules::Corrected => widest_two(layer, &bifurcation.children),
        };
        let arm = match self.rules {
            Rules::Reference => ARM,
            Rules::Corrected => ARM * self.magnification(),
        };
        let ray = |child: usize| {
            let segment = &layer.segments()[child];
            let long = segment.length() > arm;
            let curve = segment.curve().filter(|_| long)?;
            let end = curve.position(arm / segment.length());
            Some(match self.rules {
                Rules::Reference => Point::new(end.y.trunc(), end.x.trunc()),
                Rules::Corrected => end - Point::new(0.5, 0.5),
            })
        };
        let (position, rays) = (bifurcation.position, [ray(first)?, ray(second)?]);
        let degrees = (rays[0] - position).angle_to(rays[1] - position);
        Some(BifurcationAngle {
            position,
            rays,
            degrees,
            counts: degrees <= WIDEST,
        })
    }

    pub(crate) fn bifurcation_angle(
        &self,
        aggregate: Aggregate,
        field: Option<(Grid, Field)>,
        layer: LayerName,
    ) -> Result<(f64, usize), Reason> {
        let angles: Vec<f64> = self
            .bifurcation_angles(field, layer)?
            .iter()
            .filter(|angle| angle.counts)
            .map(|angle| angle.degrees)
            .collect();
        let found = angles.len();
        if found < FEWEST {
            return Err(Reason::TooFew {
                what: "bifurcations",
                found,
                needed: FEWEST,
            });
        }
        let value = match aggregate {
            Aggregate::Median => statistics::median(&angles),
            _ => statistics::mean(&angles),
        };
        Ok((value, found))
    }

    pub(super) fn bifurcation_count(
        &self,
        field: Option<(Grid, Field)>,
        name: LayerName,
    ) -> Result<f64, Reason> {
        let layer = self.layer(name)?;
        let area = self.visible_field(field, ALL, true)?;
        let inside = |position| area.as_ref().is_none_or(|area| area.mask.holds(position));
        Ok(layer
            .bifurcations()
            .filter(|node| inside(node.position))
            .count() as f64)
    }
}

/// The two branches with the largest median diameters, in their order.
fn widest_two(layer: &Layer, children: &[usize]) -> [usize; 2] {
    let mut by_width = children.to_vec();
    by_width.sort_by(|&a, &b| {
        let width = |child: usize| layer.calibre(&layer.segments()[child]).median();
        width(b).total_cmp(&width(a))
    });
    [by_width[0].min(by_width[1]), by_width[0].max(by_width[1])]
}
