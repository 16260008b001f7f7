//! Tables of segments and bifurcations.

use std::rc::Rc;

use crate::analysis::Analysis;
use crate::curve::Curve;
use crate::geometry::Point;
use crate::layer::Layer;
use crate::reason::Reason;
use crate::segment::Segment;
use crate::sets::LayerName;
use crate::statistics;

/// A segment of a layer; lengths in pixels. What cannot be measured is `NaN`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentRow {
    /// Number in the layer.
    pub segment: usize,
    /// Number of its tree; 0 for all vessels, which form none.
    pub tree: usize,
    /// Bifurcations on the way from the root, plus one; 0 where there is no tree.
    pub order: usize,
    /// Whether it closes a loop.
    pub closes_loop: bool,
    /// First point.
    pub start: Point,
    /// Last point.
    pub end: Point,
    /// Mean of its points.
    pub center: Point,
    /// Length of its curve, or of its points where they are too few for one.
    pub length: f64,
    /// Distance of its ends.
    pub chord: f64,
    /// Mean diameter.
    pub mean_diameter: f64,
    /// Median diameter.
    pub median_diameter: f64,
    /// Standard deviation of the diameter along it.
    pub diameter_deviation: f64,
    /// Diameters measured.
    pub diameters: usize,
    /// Length over chord.
    pub distance_tortuosity: f64,
    /// Mean curvature, in 1 / pixel.
    pub mean_curvature: f64,
}

/// A bifurcation; lengths in pixels. What cannot be measured is `NaN`.
#[derive(Clone, Debug, PartialEq)]
pub struct BifurcationRow {
    /// Where.
    pub position: Point,
    /// Number of its tree.
    pub tree: usize,
    /// Segment that leads to it.
    pub parent: usize,
    /// Segments that leave it.
    pub children: Vec<usize>,
    /// Angle between the two branches that count, in degrees.
    pub degrees: f64,
    /// Median diameter of the parent.
    pub parent_diameter: f64,
    /// Median diameters of the children.
    pub child_diameters: Vec<f64>,
    /// Sum of the children's squared diameters over the parent's.
    pub branching_coefficient: f64,
    /// x with parent^x = Σ child^x; 3 by Murray's law. Only if the parent is wider than each
    /// child.
    pub branching_exponent: f64,
}

impl Analysis<'_> {
    /// All segments of a layer.
    ///
    /// # Errors
    /// Why the layer cannot be measured.
    pub fn segment_table(&self, name: LayerName) -> Result<Vec<SegmentRow>, Reason> {
        let layer = self.layer(name)?;
        let orders = orders(layer);
        let row = |(number, segment): (usize, &Rc<Segment>)| {
            let place = layer.places().get(number);
            let calibre = layer.calibre(segment);
            let curve = segment.curve();
            let length = curve.map_or(segment.length(), |curve| curve.length);
            SegmentRow {
                segment: number,
                tree: place.map_or(0, |place| place.tree),
                order: orders.get(number).copied().unwrap_or(0),
                closes_loop: place.is_some_and(|place| place.closes_loop),
                start: segment.start(),
                end: segment.end(),
                center: segment.middle(),
                length,
                chord: segment.chord(),
                mean_diameter: calibre.mean(),
                median_diameter: calibre.median(),
                diameter_deviation: statistics::deviation(&calibre.diameters),
                diameters: calibre.diameters.len(),
                distance_tortuosity: self.distance_tortuosity(segment),
                mean_curvature: curve.map_or(f64::NAN, Curve::mean_curvature),
            }
        };
        Ok(layer.segments().iter().enumerate().map(row).collect())
    }

    /// All bifurcations of a layer.
    ///
    /// # Errors
    /// Why the layer cannot be measured.
    pub fn bifurcation_table(&self, name: LayerName) -> Result<Vec<BifurcationRow>, Reason> {
        let layer = self.layer(name)?;
        let width = |segment: usize| layer.calibre(&layer.segments()[segment]).median();
        let row = |bifurcation: super::Bifurcation| {
            let angle = self.angle(layer, &bifurcation);
            let parent_diameter = width(bifurcation.parent);
            let child_diameters: Vec<f64> =
                bifurcation.children.iter().map(|&c| width(c)).collect();
            let squares: f64 = child_diameters.iter().map(|child| child * child).sum();
            BifurcationRow {
                position: bifurcation.position,
                tree: layer.places()[bifurcation.parent].tree,
                degrees: angle.map_or(f64::NAN, |angle| angle.degrees),
                branching_coefficient: squares / (parent_diameter * parent_diameter),
                branching_exponent: exponent(parent_diameter, &child_diameters),
                parent: bifurcation.parent,
                children: bifurcation.children,
                parent_diameter,
                child_diameters,
            }
        };
        Ok(layer.bifurcation_segments().into_iter().map(row).collect())
    }
}

/// Of each segment: bifurcations on the way to it from the root, plus one.
fn orders(layer: &Layer) -> Vec<usize> {
    let mut orders = vec![0; layer.places().len()];
    for &root in layer.roots() {
        let mut open: Vec<(usize, usize)> = layer.nodes()[root]
            .outgoing
            .iter()
            .map(|&segment| (segment, 1))
            .collect();
        while let Some((segment, order)) = open.pop() {
            orders[segment] = order;
            let end = &layer.nodes()[layer.places()[segment].end];
            let next = order + usize::from(end.outgoing.len() > 1);
            open.extend(end.outgoing.iter().map(|&segment| (segment, next)));
        }
    }
    orders
}

/// x with parent^x = Σ child^x, between 0.1 and 20; `NaN` without.
fn exponent(parent: f64, children: &[f64]) -> f64 {
    let excess = |x: f64| {
        children
            .iter()
            .map(|child| (child / parent).powf(x))
            .sum::<f64>()
            - 1.0
    };
    let (mut low, mut high) = (0.1, 20.0);
    if !(parent > 0.0 && excess(low) > 0.0 && excess(high) < 0.0) {
        return f64::NAN;
    }
    while high - low > 1e-9 {
        let middle = f64::midpoint(low, high);
        if excess(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn exponents_follow_murray_and_leonardo() {
        assert!((exponent(2_f64.cbrt(), &[1.0, 1.0]) - 3.0).abs() < 1e-6);
        assert!((exponent(5.0, &[3.0, 4.0]) - 2.0).abs() < 1e-6);
        assert!(exponent(3.0, &[4.0, 1.0]).is_nan() && exponent(f64::NAN, &[1.0]).is_nan());
    }
}
