//! The graph of a skeleton: nodes where lines end or meet, edges along the lines between them.
//! The order of nodes, edges and neighbours follows the method known as sknw, because later
//! stages depend on it.

use std::collections::BTreeSet;

use crate::mask::{Mask, places_set};
use crate::rules::Rules;

/// A pixel's row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pixel {
    pub(crate) y: i32,
    pub(crate) x: i32,
}

/// A line between two nodes, with the nodes' positions at its ends.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Node that the edge was inserted from; the path may begin at the other.
    pub(crate) from: usize,
    /// Node that it was inserted to.
    pub(crate) to: usize,
    pub(crate) path: Vec<Pixel>,
}

/// An undirected graph whose neighbours keep the order in which they were inserted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Pixel>,
    edges: Vec<Option<Edge>>,
    /// Of each node: neighbour and edge.
    adjacency: Vec<Vec<(usize, usize)>>,
    /// Whether two nodes can have several edges, and a node one to itself.
    parallel: bool,
}

impl Graph {
    /// The skeleton's graph without nodes that merely join two edges. The reference's rules keep
    /// one edge of several between two nodes, the last.
    pub(crate) fn of(skeleton: &Mask, rules: Rules) -> Self {
        let mut graph = Tracer::new(skeleton).graph(rules == Rules::Corrected);
        graph.join_at_plain_nodes();
        graph
    }

    /// An empty graph with the same nodes.
    pub(crate) fn without_edges(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            edges: Vec::new(),
            adjacency: vec![Vec::new(); self.nodes.len()],
            parallel: self.parallel,
        }
    }

    pub(crate) fn add_node(&mut self, position: Pixel) -> usize {
        self.nodes.push(position);
        self.adjacency.push(Vec::new());
        self.nodes.len() - 1
    }

    pub(crate) fn add_edge(&mut self, from: usize, to: usize, path: Vec<Pixel>) {
        if !self.parallel {
            if from == to {
                return;
            }
            if let Some(edge) = self.edge_between(from, to) {
                if let Some(edge) = &mut self.edges[edge] {
                    edge.path = path;
                }
                return;
            }
        }
        let edge = self.edges.len();
        self.edges.push(Some(Edge { from, to, path }));
        self.adjacency[from].push((to, edge));
        self.adjacency[to].push((from, edge));
    }

    fn edge_between(&self, a: usize, b: usize) -> Option<usize> {
        let (a, b) = if self.adjacency[a].len() > self.adjacency[b].len() {
            (b, a)
        } else {
            (a, b)
        };
        self.adjacency[a]
            .iter()
            .find(|(node, _)| *node == b)
            .map(|(_, edge)| *edge)
    }

    /// Number of edges at a node; one to itself counts twice.
    pub(crate) fn degree(&self, node: usize) -> usize {
        self.adjacency[node].len()
    }

    /// Neighbours and the edges to them.
    pub(crate) fn neighbours(&self, node: usize) -> &[(usize, usize)] {
        &self.adjacency[node]
    }

    pub(crate) fn edge(&self, edge: usize) -> &Edge {
        self.edges[edge]
            .as_ref()
            .expect("adjacency holds edges that exist")
    }

    /// Each edge once, as (first node, second node, path): nodes in order, neighbours in order.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, usize, &[Pixel])> {
        let mut seen = vec![false; self.edges.len()];
        self.adjacency
            .iter()
            .enumerate()
            .flat_map(move |(node, neighbours)| {
                let mut fresh = Vec::new();
                for &(other, edge) in neighbours {
                    if !std::mem::replace(&mut seen[edge], true) {
                        fresh.push((node, other, self.edge(edge).path.as_slice()));
                    }
                }
                fresh
            })
    }

    /// A path as it runs from `node`: the stored one, turned round if only its end lies there.
    pub(crate) fn path_from(&self, node: usize, path: &[Pixel]) -> Vec<Pixel> {
        let mut path = path.to_vec();
        if path.first() != Some(&self.nodes[node]) {
            path.reverse();
        }
        path
    }

    /// Joins the two edges at every node that has two, the last node first.
    fn join_at_plain_nodes(&mut self) {
        let mut plain: BTreeSet<usize> = (0..self.nodes.len())
            .filter(|&node| self.degree(node) == 2)
            .collect();
        while let Some(node) = plain.pop_last() {
            let [(first, into), (second, out)] = self.adjacency[node][..] else {
                continue;
            };
            if into == out {
                continue;
            }
            let [Some(into_edge), Some(out_edge)] = [into, out].map(|edge| self.edges[edge].take())
            else {
                continue;
            };
            let mut path = self.path_from(node, &into_edge.path);
            path.reverse();
            path.pop();
            path.extend(self.path_from(node, &out_edge.path));
            self.adjacency[node].clear();
            self.adjacency[first].retain(|(_, edge)| *edge != into);
            self.adjacency[second].retain(|(_, edge)| *edge != out);
            self.add_edge(first, second, path);
            for neighbour in [first, second] {
                if self.degree(neighbour) == 2 {
                    plain.insert(neighbour);
                } else {
                    plain.remove(&neighbour);
                }
            }
        }
    }
}

const FREE: u32 = 1;
const FIRST_NODE: u32 = 2;

/// Follows the lines of a skeleton.
struct Tracer {
    stride: usize,
    /// Of each pixel, with a border of zeros: 0 for background and traced pixels, [`FREE`] for
    /// pixels with two neighbours, [`FIRST_NODE`] + number for pixels of a node.
    state: Vec<u32>,
    /// NW, N, NE, W, E, SW, S, SE.
    around: [isize; 8],
    skeleton: Vec<usize>,
    nodes: Vec<Pixel>,
}

impl Tracer {
    fn new(skeleton: &Mask) -> Self {
        let (width, height) = (skeleton.width(), skeleton.height());
        let stride = width + 2;
        let s = stride as isize;
        let around = [-s - 1, -s, -s + 1, -1, 1, s - 1, s, s + 1];
        let mut pixels = Vec::new();
        let mut state = vec![0; stride * (height + 2)];
        for place in places_set(skeleton.pixels()) {
            let at = (place / width + 1) * stride + place % width + 1;
            state[at] = FREE;
            pixels.push(at);
        }
        for &at in &pixels {
            let count = around
                .iter()
                .filter(|&&step| state[at.wrapping_add_signed(step)] != 0)
                .count();
            // Nodes get their numbers in the next step.
            if count != 2 {
                state[at] = u32::MAX;
            }
        }
        let mut tracer = Self {
            stride,
            state,
            around,
            skeleton: pixels,
            nodes: Vec::new(),
        };
        tracer.number_nodes();
        tracer
    }

    fn pixel(&self, at: usize) -> Pixel {
        Pixel {
            y: (at / self.stride) as i32 - 1,
            x: (at % self.stride) as i32 - 1,
        }
    }

    fn number_nodes(&mut self) {
        for index in 0..self.skeleton.len() {
            let start = self.skeleton[index];
            if self.state[start] != u32::MAX {
                continue;
            }
            let number = FIRST_NODE + self.nodes.len() as u32;
            self.state[start] = number;
            let mut members = vec![start];
            let mut next = 0;
            while let Some(&at) = members.get(next) {
                next += 1;
                for step in self.around {
                    let other = at.wrapping_add_signed(step);
                    if self.state[other] == u32::MAX {
                        self.state[other] = number;
                        members.push(other);
                    }
                }
            }
            let (mut y, mut x) = (0.0, 0.0);
            for &member in &members {
                let pixel = self.pixel(member);
                y += f64::from(pixel.y);
                x += f64::from(pixel.x);
            }
            let mean = |sum: f64| (sum / members.len() as f64).round_ties_even() as i32;
            self.nodes.push(Pixel {
                y: mean(y),
                x: mean(x),
            });
        }
    }

    fn graph(mut self, parallel: bool) -> Graph {
        let mut found = Vec::new();
        for index in 0..self.skeleton.len() {
            let at = self.skeleton[index];
            if self.state[at] >= FIRST_NODE {
                self.trace_around(at, &mut found);
            }
        }
        for index in 0..self.skeleton.len() {
            let at = self.skeleton[index];
            if self.state[at] == FREE {
                self.state[at] = FIRST_NODE + self.nodes.len() as u32;
                self.nodes.push(self.pixel(at));
                self.trace_around(at, &mut found);
            }
        }
        let mut graph = Graph {
            adjacency: vec![Vec::new(); self.nodes.len()],
            nodes: self.nodes,
            edges: Vec::new(),
            parallel,
        };
        for Edge { from, to, path } in found {
            graph.add_edge(from, to, path);
        }
        graph
    }

    fn trace_around(&mut self, node: usize, found: &mut Vec<Edge>) {
        for step in self.around {
            let at = node.wrapping_add_signed(step);
            if self.state[at] == FREE {
                found.extend(self.trace(at));
            }
        }
    }

    /// Walks along the line from one of its pixels next to a node.
    fn trace(&mut self, start: usize) -> Option<Edge> {
        let mut path = vec![self.pixel(start)];
        let mut at = start;
        let mut first = None;
        loop {
            self.state[at] = 0;
            let (mut next, mut last) = (None, None);
            for step in self.around {
                let other = at.wrapping_add_signed(step);
                match self.state[other] {
                    0 => {}
                    FREE => next = Some(other),
                    node if first.is_none() => first = Some(node),
                    node => last = Some(node),
                }
            }
            if let (Some(from), Some(to)) = (first, last) {
                let [from, to] = [from, to].map(|node| (node - FIRST_NODE) as usize);
                path.insert(0, self.nodes[from]);
                path.push(self.nodes[to]);
                return Some(Edge { from, to, path });
            }
            at = next?;
            path.push(self.pixel(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(rows: &[&str], rules: Rules) -> Graph {
        let image: Vec<u8> = rows.iter().flat_map(|row| row.bytes()).collect();
        let mask = Mask::from_image(rows[0].len(), rows.len(), &image, |value| value == b'#');
        Graph::of(&mask, rules)
    }

    #[test]
    fn a_fork_has_four_nodes_and_three_edges() {
        let fork = graph(
            &[
                "#.....#", ".#...#.", "..#.#..", "...#...", "...#...", "...#...", "...#...",
            ],
            Rules::Reference,
        );
        let edges: Vec<_> = fork
            .edges()
            .map(|(a, b, path)| (a, b, path.len()))
            .collect();
        assert_eq!(fork.nodes.len(), 4);
        assert_eq!(edges, [(0, 2, 4), (1, 2, 4), (2, 3, 4)]);
    }

    #[test]
    fn of_two_edges_between_the_same_nodes_the_reference_keeps_the_last() {
        let eye = [
            ".............",
            "....#####....",
            "...#.....#...",
            "###.......###",
            "...#.....#...",
            "....#####....",
            ".............",
        ];
        let last = graph(&eye, Rules::Reference);
        assert_eq!(last.edges().count(), 1);
        let both = graph(&eye, Rules::Corrected);
        assert_eq!(both.edges().count(), 4);
    }
}
