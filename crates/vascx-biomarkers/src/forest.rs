//! Directed trees of segments, from the disc outwards.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::geometry::Point;
use crate::graph::{Graph, Pixel};
use crate::mask::Mask;
use crate::rules::Rules;

/// A stub at the end of a vessel is shorter than this, in pixels.
const STUB: f64 = 3.0;

/// A place where segments begin or end.
#[derive(Clone, Debug)]
pub struct Node {
    /// Position.
    pub position: Point,
    /// Segments that end here.
    pub incoming: Vec<usize>,
    /// Segments that begin here.
    pub outgoing: Vec<usize>,
}

impl Node {
    /// Whether a vessel divides here: one comes in, two or three go out.
    pub fn is_bifurcation(&self) -> bool {
        self.incoming.len() == 1 && (2..=3).contains(&self.outgoing.len())
    }
}

/// A vessel between two nodes, directed away from the root.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) tree: usize,
    pub(crate) points: Vec<Point>,
    /// Whether it closes a loop and therefore belongs to no tree of nodes.
    pub(crate) closes_loop: bool,
}

/// All trees of a layer.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Vec<Link>,
    pub(crate) roots: Vec<usize>,
}

/// The pruning of short ends failed, as it does in the reference when all ends are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AllEndsShort;

/// Cuts the graph's edges where they run through the disc.
pub(crate) fn cut_at_disc(graph: &Graph, disc: &Mask, rules: Rules) -> Graph {
    let outside = |pixel: &Pixel| !disc.get(i64::from(pixel.y), i64::from(pixel.x));
    let mut cut = graph.without_edges();
    for (first, second, stored) in graph.edges() {
        let path = match rules {
            // The path may begin at the second node.
            Rules::Reference => stored.to_vec(),
            Rules::Corrected => graph.path_from(first, stored),
        };
        let mut start = 0;
        while let Some(skip) = path[start..].iter().position(outside) {
            start += skip;
            let length = path[start..]
                .iter()
                .take_while(|pixel| outside(pixel))
                .count();
            let run = &path[start..start + length];
            let whole_start = start == 0;
            start += length;
            if length >= 2 {
                let from = if whole_start {
                    first
                } else {
                    cut.add_node(run[0])
                };
                let to = if start == path.len() {
                    second
                } else {
                    cut.add_node(run[length - 1])
                };
                cut.add_edge(from, to, run.to_vec());
            }
        }
    }
    cut
}

/// Directs the graph's components away from the node nearest to `center`.
pub(crate) fn grow(
    graph: &Graph,
    center: Option<Point>,
    rules: Rules,
) -> Result<Forest, AllEndsShort> {
    let mut growth = Growth {
        graph,
        forest: Forest {
            nodes: graph
                .nodes
                .iter()
                .map(|&pixel| Node::at(point(pixel)))
                .collect(),
            ..Forest::default()
        },
    };
    for component in components(graph) {
        let distance =
            |node: &usize| center.map_or(0.0, |center| center.distance(point(graph.nodes[*node])));
        let nearest = |nodes: &mut dyn Iterator<Item = usize>| {
            nodes.min_by(|a, b| distance(a).total_cmp(&distance(b)))
        };
        let ends = &mut component
            .iter()
            .copied()
            .filter(|&node| graph.degree(node) == 1);
        let root = match (nearest(ends), rules) {
            (None, Rules::Corrected) => nearest(&mut component.iter().copied()),
            (end, _) => end,
        };
        let Some(root) = root.filter(|&root| graph.degree(root) > 0) else {
            continue;
        };
        growth.forest.roots.push(root);
        match rules {
            Rules::Reference => growth.depth_first(root),
            Rules::Corrected => growth.nearest_first(root),
        }
    }
    let mut forest = growth.forest;
    forest.prune_stubs(rules)?;
    forest.number_links();
    Ok(forest)
}

fn point(pixel: Pixel) -> Point {
    Point::new(f64::from(pixel.y), f64::from(pixel.x))
}

/// Nodes of each component in ascending order; components by their first node.
fn components(graph: &Graph) -> Vec<Vec<usize>> {
    let mut seen = vec![false; graph.nodes.len()];
    let mut components = Vec::new();
    for first in 0..graph.nodes.len() {
        if std::mem::replace(&mut seen[first], true) {
            continue;
        }
        let mut members = vec![first];
        let mut next = 0;
        while let Some(&node) = members.get(next) {
            next += 1;
            for &(other, _) in graph.neighbours(node) {
                if !std::mem::replace(&mut seen[other], true) {
                    members.push(other);
                }
            }
        }
        members.sort_unstable();
        components.push(members);
    }
    components
}

struct Growth<'a> {
    graph: &'a Graph,
    forest: Forest,
}

impl Growth<'_> {
    /// Follows the first unvisited neighbour to its end before the next; edges that would close a
    /// loop are lost.
    fn depth_first(&mut self, root: usize) {
        let tree = self.forest.roots.len() - 1;
        let mut visited = vec![false; self.graph.nodes.len()];
        visited[root] = true;
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            let Some(&(other, edge)) = self.graph.neighbours(node).get(*next) else {
                stack.pop();
                continue;
            };
            *next += 1;
            if !std::mem::replace(&mut visited[other], true) {
                let points = self.directed(node, &self.graph.edge(edge).path);
                let link = Link {
                    start: node,
                    end: other,
                    tree,
                    points,
                    closes_loop: false,
                };
                self.forest.link(link);
                stack.push((other, 0));
            }
        }
    }

    /// Directs every edge along the shortest way to the root; an edge that closes a loop runs from
    /// the node that is nearer to it and belongs to no node.
    fn nearest_first(&mut self, root: usize) {
        let tree = self.forest.roots.len() - 1;
        let mut reached = vec![false; self.graph.nodes.len()];
        let mut used = BTreeSet::new();
        let mut queue = BinaryHeap::from([Reverse((Length(0.0), root, None))]);
        while let Some(Reverse((Length(way), node, via))) = queue.pop() {
            if std::mem::replace(&mut reached[node], true) {
                continue;
            }
            if let Some((start, edge)) = via {
                used.insert(edge);
                let points = self.directed(start, &self.graph.edge(edge).path);
                self.forest.link(Link {
                    start,
                    end: node,
                    tree,
                    points,
                    closes_loop: false,
                });
            }
            for &(other, edge) in self.graph.neighbours(node) {
                let path = &self.graph.edge(edge).path;
                if !reached[other] {
                    let points: Vec<Point> = path.iter().map(|&pixel| point(pixel)).collect();
                    let way = Length(way + length(&points));
                    queue.push(Reverse((way, other, Some((node, edge)))));
                } else if used.insert(edge) {
                    let points = self.directed(other, path);
                    let link = Link {
                        start: other,
                        end: node,
                        tree,
                        points,
                        closes_loop: true,
                    };
                    self.forest.links.push(link);
                }
            }
        }
    }

    /// The path's points as they run from a node: turned round if it begins farther from the
    /// node than it ends.
    fn directed(&self, start: usize, path: &[Pixel]) -> Vec<Point> {
        let mut points: Vec<Point> = path.iter().map(|&pixel| point(pixel)).collect();
        let start = point(self.graph.nodes[start]);
        if points[0].distance(start) > points[points.len() - 1].distance(start) {
            points.reverse();
        }
        points
    }
}

/// A finite length, ordered.
#[derive(Clone, Copy, PartialEq)]
struct Length(f64);

impl Eq for Length {}

impl PartialOrd for Length {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Length {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Length of a polyline.
pub(crate) fn length(points: &[Point]) -> f64 {
    points
        .windows(2)
        .map(|pair| pair[0].distance(pair[1]))
        .sum()
}

impl Node {
    fn at(position: Point) -> Self {
        Self {
            position,
            incoming: Vec::new(),
            outgoing: Vec::new(),
        }
    }
}

impl Forest {
    fn link(&mut self, link: Link) -> usize {
        let number = self.links.len();
        self.nodes[link.start].outgoing.push(number);
        self.nodes[link.end].incoming.push(number);
        self.links.push(link);
        number
    }

    fn unlink(&mut self, number: usize) {
        let Link { start, end, .. } = self.links[number];
        self.nodes[start].outgoing.retain(|&link| link != number);
        self.nodes[end].incoming.retain(|&link| link != number);
    }

    /// Removes short ends, the shortest first, where the vessel goes on without them.
    fn prune_stubs(&mut self, rules: Rules) -> Result<(), AllEndsShort> {
        let mut ends: Vec<(f64, usize)> = Vec::new();
        for node in &self.nodes {
            for &link in &node.outgoing {
                if self.nodes[self.links[link].end].outgoing.is_empty() {
                    ends.push((length(&self.links[link].points), link));
                }
            }
        }
        if ends.is_empty() {
            return Ok(());
        }
        // Links made by joining come after those of the same length.
        let mut queue: BinaryHeap<_> = ends
            .iter()
            .enumerate()
            .map(|(index, &(length, link))| Reverse((Length(length), index, link)))
            .collect();
        let mut arrivals = ends.len();
        let mut gone = vec![false; self.links.len()];
        loop {
            let Some(&Reverse((Length(shortest), _, stub))) = queue.peek() else {
                return if rules == Rules::Reference {
                    Err(AllEndsShort)
                } else {
                    Ok(())
                };
            };
            if gone[stub] {
                queue.pop();
                continue;
            }
            if shortest >= STUB {
                return Ok(());
            }
            queue.pop();
            let node = &self.nodes[self.links[stub].start];
            let others: Vec<_> = node.outgoing.iter().filter(|&&link| link != stub).collect();
            let ([into], [out]) = (&node.incoming[..], &others[..]) else {
                continue;
            };
            let (into, out) = (*into, **out);
            for link in [stub, into, out] {
                self.unlink(link);
                gone[link] = true;
            }
            let mut points = self.links[into].points.clone();
            points.extend(&self.links[out].points);
            let joined = length(&points);
            let (start, end) = (self.links[into].start, self.links[out].end);
            let tree = self.links[into].tree;
            let link = self.link(Link {
                start,
                end,
                tree,
                points,
                closes_loop: false,
            });
            gone.push(false);
            queue.push(Reverse((Length(joined), arrivals, link)));
            arrivals += 1;
        }
    }

    /// Numbers the links that are left: nodes in order, the links out of each in order.
    fn number_links(&mut self) {
        let mut old: Vec<Option<Link>> = std::mem::take(&mut self.links)
            .into_iter()
            .map(Some)
            .collect();
        let mut numbers = vec![usize::MAX; old.len()];
        for node in &mut self.nodes {
            for link in &mut node.outgoing {
                numbers[*link] = self.links.len();
                self.links.extend(old[*link].take());
                *link = numbers[*link];
            }
        }
        self.links
            .extend(old.into_iter().flatten().filter(|link| link.closes_loop));
        for node in &mut self.nodes {
            for link in &mut node.incoming {
                *link = numbers[*link];
            }
        }
    }
}
