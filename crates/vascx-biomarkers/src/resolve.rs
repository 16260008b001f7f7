//! Whole vessels: at every bifurcation one branch continues the vessel.

use std::rc::Rc;

use crate::layer::Layer;
use crate::rules::Rules;
use crate::segment::Segment;

/// Vessels of all trees; those that leave another vessel come before it.
pub(crate) fn resolve(layer: &Layer, rules: Rules) -> Vec<Rc<Segment>> {
    let widths = widths(layer, rules);
    let mut vessels = Vec::new();
    for &root in layer.roots() {
        // Each vessel so far: its segments, branches that leave it, the branch that continues it.
        let mut open = vec![fork(&widths, &layer.nodes()[root].outgoing)];
        while let Some(vessel) = open.last_mut() {
            if !vessel.leaving.is_empty() {
                let branch = vessel.leaving.remove(0);
                open.push(Open {
                    continuing: Some(branch),
                    ..Open::default()
                });
            } else if let Some(next) = vessel.continuing.take() {
                vessel.segments.push(next);
                let end = &layer.nodes()[layer.places()[next].end];
                let after = fork(&widths, &end.outgoing);
                vessel.leaving = after.leaving;
                vessel.continuing = after.continuing;
            } else {
                let points: Vec<_> = vessel
                    .segments
                    .iter()
                    .flat_map(|&segment| layer.segments()[segment].points().iter().copied())
                    .collect();
                if let [segment] = vessel.segments[..] {
                    vessels.push(Rc::clone(&layer.segments()[segment]));
                } else if points.len() >= 2 {
                    vessels.push(Rc::new(Segment::new(points)));
                }
                open.pop();
            }
        }
    }
    vessels
}

#[derive(Default)]
struct Open {
    segments: Vec<usize>,
    leaving: Vec<usize>,
    continuing: Option<usize>,
}

fn fork(widths: &[f64], branches: &[usize]) -> Open {
    let Some((&first, rest)) = branches.split_first() else {
        return Open::default();
    };
    let widest = rest.iter().fold(first, |best, &branch| {
        if widths[branch] > widths[best] {
            branch
        } else {
            best
        }
    });
    let leaving = branches
        .iter()
        .copied()
        .filter(|&branch| branch != widest)
        .collect();
    Open {
        segments: Vec::new(),
        leaving,
        continuing: Some(widest),
    }
}

/// Of each segment: its diameter averaged by length with that of what continues it.
fn widths(layer: &Layer, rules: Rules) -> Vec<f64> {
    let segments = layer.segments();
    let mut widths = vec![f64::NAN; segments.len()];
    // Width and length of each segment with its continuation; the reference confuses the two at
    // the ends of vessels.
    let mut pairs = vec![(f64::NAN, f64::NAN); segments.len()];
    for segment in inward(layer) {
        let own = &segments[segment];
        let (median, length) = (layer.calibre(own).median(), own.length());
        let branches = &layer.nodes()[layer.places()[segment].end].outgoing;
        let next = branches
            .iter()
            .map(|&branch| pairs[branch])
            .reduce(|best, pair| if pair.0 > best.0 { pair } else { best });
        (widths[segment], pairs[segment]) = match (next, rules) {
            (None, Rules::Reference) => (median, (length, median)),
            (None, Rules::Corrected) => (median, (median, length)),
            (Some((width, behind)), _) => {
                let whole = behind + length;
                let mean = (width * behind + median * length) / whole;
                (mean, (mean, whole))
            }
        };
    }
    widths
}

/// Segments of all trees, ends before what leads to them.
fn inward(layer: &Layer) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    for &root in layer.roots() {
        let first = order.len();
        order.extend(&layer.nodes()[root].outgoing);
        let mut next = first;
        while let Some(&segment) = order.get(next) {
            next += 1;
            order.extend(&layer.nodes()[layer.places()[segment].end].outgoing);
        }
    }
    order.reverse();
    order
}
