//! Arteries, veins or all vessels: mask, skeleton, trees and segments.

use std::cell::OnceCell;
use std::rc::Rc;

use crate::calibre::Calibre;
use crate::components::fill_holes;
use crate::forest::{Forest, Link, Node, cut_at_disc, grow};
use crate::geometry::Point;
use crate::graph::{Graph, Pixel};
use crate::landmarks::Disc;
use crate::mask::Mask;
use crate::reason::Reason;
use crate::resolve::resolve;
use crate::rules::Rules;
use crate::segment::Segment;
use crate::thin::thin;

/// Holes in vessels smaller than this are filled, in pixels of a crop of 1024.
const SMALLEST_HOLE: usize = 25;

/// Where a segment belongs in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Node that it begins at.
    pub start: usize,
    /// Node that it ends at.
    pub end: usize,
    /// Number of its tree.
    pub tree: usize,
    /// Whether it closes a loop, so that neither node counts it.
    pub closes_loop: bool,
}

/// A layer of vessels.
#[derive(Debug)]
pub struct Layer {
    rules: Rules,
    raw: Mask,
    filled: Mask,
    skeleton: Mask,
    failure: Option<Reason>,
    nodes: Vec<Node>,
    segments: Vec<Rc<Segment>>,
    places: Vec<Place>,
    roots: Vec<usize>,
    vessels: OnceCell<Vec<Rc<Segment>>>,
}

impl Layer {
    /// Arteries or veins: directed trees that begin near the disc. Where they cannot be grown, the
    /// layer holds its masks and the reason.
    pub(crate) fn trees(raw: Mask, disc: Result<Option<&Disc>, Reason>, rules: Rules) -> Self {
        let mut layer = Self::masks(raw, rules);
        let forest = disc.and_then(|disc| {
            let graph = Graph::of(&layer.skeleton, rules);
            let graph = match disc {
                Some(disc) => cut_at_disc(&graph, &disc.mask, rules),
                None => graph,
            };
            grow(&graph, disc.map(|disc| disc.center), rules).map_err(|_| Reason::OnlyStubs)
        });
        let Forest {
            nodes,
            links,
            roots,
        } = match forest {
            Ok(forest) => forest,
            Err(reason) => {
                layer.failure = Some(reason);
                return layer;
            }
        };
        let place = |link: &Link| Place {
            start: link.start,
            end: link.end,
            tree: link.tree,
            closes_loop: link.closes_loop,
        };
        layer.nodes = nodes;
        layer.roots = roots;
        layer.places = links.iter().map(place).collect();
        layer.segments = links
            .into_iter()
            .map(|link| Rc::new(Segment::new(link.points)))
            .collect();
        layer
    }

    fn masks(raw: Mask, rules: Rules) -> Self {
        let mut filled = raw.clone();
        fill_holes(&mut filled, SMALLEST_HOLE);
        let skeleton = thin(&filled);
        Self {
            rules,
            raw,
            filled,
            skeleton,
            failure: None,
            nodes: Vec::new(),
            segments: Vec::new(),
            places: Vec::new(),
            roots: Vec::new(),
            vessels: OnceCell::new(),
        }
    }

    /// All vessels outside the disc: segments without direction.
    pub(crate) fn undirected(raw: Mask, disc: Option<&Disc>, rules: Rules) -> Self {
        let mut layer = Self::masks(raw, rules);
        if let Some(disc) = disc {
            layer.skeleton.clear(&disc.mask);
        }
        let graph = Graph::of(&layer.skeleton, rules);
        let point = |pixel: &Pixel| Point::new(f64::from(pixel.y), f64::from(pixel.x));
        layer.segments = graph
            .edges()
            .map(|(_, _, path)| Rc::new(Segment::new(path.iter().map(point).collect())))
            .collect();
        layer
    }

    /// Why there are no segments.
    pub(crate) fn failure(&self) -> Option<&Reason> {
        self.failure.as_ref()
    }

    /// The layer's pixels inside the visible retina.
    pub fn mask(&self) -> &Mask {
        &self.raw
    }

    /// The same with small holes filled.
    pub fn filled(&self) -> &Mask {
        &self.filled
    }

    /// The skeleton of the filled mask.
    pub fn skeleton(&self) -> &Mask {
        &self.skeleton
    }

    /// Ends and bifurcations; empty for all vessels.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Nodes at which trees begin.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// Vessels between nodes.
    pub fn segments(&self) -> &[Rc<Segment>] {
        &self.segments
    }

    /// Where each segment belongs; empty for all vessels.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Nodes where a vessel divides.
    pub fn bifurcations(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_bifurcation())
    }

    /// Diameters of a segment in this layer.
    pub fn calibre<'a>(&self, segment: &'a Segment) -> &'a Calibre {
        segment.calibre(&self.raw, self.rules)
    }

    /// Vessels from a root or from where they leave another vessel to an end.
    pub fn vessels(&self) -> &[Rc<Segment>] {
        self.vessels.get_or_init(|| resolve(self, self.rules))
    }
}
