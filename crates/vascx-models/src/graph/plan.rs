//! What a graph's nodes do when it runs: a node by itself, or several in one fused operation.

use std::sync::Arc;

use super::ops::activation::{LeakyRelu, Unary, UnaryKind};
use super::ops::convolution::{Conv, ConvTranspose};
use super::{Arg, Graph, Node, Op};
use crate::Activation;
use crate::fused::Packed;

/// A graph, and how its nodes are run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) graph: Arc<Graph>,
    /// One per node.
    pub(super) steps: Vec<Step>,
    /// Per node, the last node whose step uses its value.
    pub(super) last_use: Vec<usize>,
}

/// What happens at a node.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The node's own operator, or nothing for inputs.
    Alone,
    /// Nothing: a later node's step computes this one, too.
    Absorbed,
    /// Convolution of the concatenated parts, then an activation.
    Convolve {
        conv: Conv,
        activation: Option<Activation>,
        /// Maps to concatenate.
        parts: usize,
        /// Parts, weight and perhaps bias.
        arguments: Vec<Arg>,
        packed: Packed,
    },
    /// A transposed convolution.
    ConvolveTransposed { conv: ConvTranspose, packed: Packed },
}

impl Plan {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let mut uses = vec![0_usize; graph.nodes.len()];
        uses[graph.output.node] += 1;
        for node in &graph.nodes {
            for used in used_by(node) {
                uses[used] += 1;
            }
        }
        let mut steps: Vec<Step> = graph.nodes.iter().map(|_| Step::Alone).collect();
        for (index, node) in graph.nodes.iter().enumerate() {
            let Node::Call(op, arguments) = node else {
                continue;
            };
            steps[index] = match op {
                Op::Conv(conv) => {
                    let (parts, mut arguments) = (1, arguments.clone());
                    let parts = match concatenated(&graph, &uses, arguments[0]) {
                        Some((cat, maps)) => {
                            steps[cat] = Step::Absorbed;
                            arguments.splice(..1, maps.iter().copied());
                            maps.len()
                        }
                        None => parts,
                    };
                    Step::Convolve {
                        conv: conv.clone(),
                        activation: None,
                        parts,
                        arguments,
                        packed: Packed::default(),
                    }
                }
                Op::ConvTranspose(conv) => Step::ConvolveTransposed {
                    conv: conv.clone(),
                    packed: Packed::default(),
                },
                _ => match (fusible_activation(op), arguments.as_slice()) {
                    (Some(activation), &[Arg::Node(conv)])
                        if uses[conv] == 1 && matches!(steps[conv], Step::Convolve { .. }) =>
                    {
                        let mut step = std::mem::replace(&mut steps[conv], Step::Absorbed);
                        if let Step::Convolve {
                            activation: of_step,
                            ..
                        } = &mut step
                        {
                            *of_step = Some(activation);
                        }
                        step
                    }
                    _ => Step::Alone,
                },
            };
        }
        let last_use = last_uses(&graph, &steps);
        Self {
            graph,
            steps,
            last_use,
        }
    }
}

/// The nodes among a node's arguments.
fn used_by(node: &Node) -> impl Iterator<Item = usize> {
    let arguments = match node {
        Node::Call(_, arguments) => arguments.as_slice(),
        Node::Input | Node::Parameter(_) => &[],
    };
    nodes(arguments)
}

fn nodes(arguments: &[Arg]) -> impl Iterator<Item = usize> {
    arguments.iter().filter_map(|argument| match argument {
        Arg::Node(node) => Some(*node),
        Arg::Literal(_) => None,
    })
}

/// The concatenation along channels that a convolution alone reads, and its maps.
fn concatenated<'a>(graph: &'a Graph, uses: &[usize], map: Arg) -> Option<(usize, &'a [Arg])> {
    let Arg::Node(cat) = map else {
        return None;
    };
    match &graph.nodes[cat] {
        Node::Call(Op::Cat(super::Cat(1)), maps)
            if uses[cat] == 1 && maps.iter().all(|map| matches!(map, Arg::Node(_))) =>
        {
            Some((cat, maps))
        }
        _ => None,
    }
}

fn fusible_activation(op: &Op) -> Option<Activation> {
    match op {
        Op::Unary(Unary(UnaryKind::Relu)) => Some(Activation::Relu),
        &Op::LeakyRelu(LeakyRelu { slope }) => Some(Activation::LeakyRelu {
            negative_slope: slope,
        }),
        _ => None,
    }
}

fn last_uses(graph: &Graph, steps: &[Step]) -> Vec<usize> {
    let mut last_use: Vec<usize> = (0..graph.nodes.len()).collect();
    for (index, (node, step)) in graph.nodes.iter().zip(steps).enumerate() {
        match step {
            Step::Absorbed => {}
            Step::Convolve { arguments, .. } => {
                nodes(arguments).for_each(|used| last_use[used] = index);
            }
            _ => used_by(node).for_each(|used| last_use[used] = index),
        }
    }
    last_use[graph.output.node] = graph.nodes.len();
    last_use
}
