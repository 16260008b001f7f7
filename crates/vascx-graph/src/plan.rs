//! What a graph's nodes do when it runs: a node by itself, or several in one fused operation.

mod neighbours;

use std::sync::Arc;

use self::neighbours::{absorb_norm, absorb_sum, averaged, concatenated, gated, take_conv};

use super::ops::activation::{Clamp, LeakyRelu, Unary};
use super::ops::binary::{Binary, BinaryKind};
use super::ops::convolution::{Conv, ConvTranspose, FusedConv, Maps};
use super::ops::linear::Linear;
use super::ops::norm::GroupNorm;
use super::ops::pool::MaxPool;
use super::{Arg, Graph, Node, Op};
use crate::Activation;
use crate::engine::Packed;

/// A graph, and how its nodes are run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) graph: Arc<Graph>,
    /// One per node.
    pub(super) steps: Vec<Step>,
    /// Per node, the last node whose step uses its value.
    pub(super) last_use: Vec<usize>,
    /// Whether nothing but convolutions reads the image, and each of them nothing beside it.
    pub(super) only_convolves_image: bool,
}

/// What happens at a node.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The node's own operator, or nothing for inputs.
    Alone,
    /// Nothing: a later node's step computes this one, too.
    Absorbed,
    /// Averages over a map that the step of this node has taken on its way.
    Averages(usize),
    /// A layer fused with its neighbours.
    Layer {
        layer: Layer,
        /// Arguments of this step and of every node fused into it.
        arguments: Vec<Arg>,
    },
}

/// An operator fused with its neighbours.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// Arguments are the maps, the convolution's parameters, and what is added to the result if there
    /// is a `residual`.
    Conv {
        conv: FusedConv,
        maps: Maps,
        residual: bool,
    },
    /// A depthwise convolution of what a 1 × 1 convolution expands.
    Expanded(Box<Expanded>),
    /// Pooling of a convolution of one map.
    Pooled {
        conv: FusedConv,
        pool: Box<MaxPool>,
    },
    ConvTranspose {
        conv: ConvTranspose,
        packed: Packed,
    },
    Linear {
        activation: Option<Activation>,
        packed: Packed,
    },
    GroupNorm {
        norm: GroupNorm,
        activation: Option<Activation>,
    },
}

/// A depthwise convolution and its expansion. Arguments are the expansion's, then the depthwise
/// convolution's parameters.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    pub(super) expansion: FusedConv,
    pub(super) conv: FusedConv,
    /// How many arguments the expansion has.
    pub(super) of_expansion: usize,
    /// Whether averages over the result are asked for, too.
    pub(super) averaged: bool,
}

impl Layer {
    /// The activation that follows, if the layer can have one.
    fn activation(&mut self) -> Option<&mut Option<Activation>> {
        match self {
            Self::Conv { conv, .. } => Some(&mut conv.activation),
            Self::Expanded(layer) => Some(&mut layer.conv.activation),
            Self::Linear { activation, .. } | Self::GroupNorm { activation, .. } => {
                Some(activation)
            }
            // Their kernels have none.
            Self::ConvTranspose { .. } | Self::Pooled { .. } => None,
        }
    }

    /// The convolution whose result this is, where nothing follows it yet.
    fn bare_conv(&mut self) -> Option<&mut FusedConv> {
        let conv = match self {
            Self::Conv {
                conv,
                residual: false,
                ..
            } => conv,
            Self::Expanded(layer) => &mut layer.conv,
            _ => return None,
        };
        (conv.norm.is_none() && conv.activation.is_none()).then_some(conv)
    }
}

impl Plan {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        let mut uses = vec![0_usize; graph.nodes.len()];
        uses[graph.output.node] += 1;
        for node in &graph.nodes {
            for used in nodes(read_by(node, &Step::Alone)) {
                uses[used] += 1;
            }
        }
        let mut steps: Vec<Step> = graph.nodes.iter().map(|_| Step::Alone).collect();
        for (index, node) in graph.nodes.iter().enumerate() {
            let Node::Call(op, arguments) = node else {
                continue;
            };
            if let Some(step) = layer(&graph, &uses, &mut steps, op, arguments) {
                steps[index] = step;
            } else if let Op::BatchNorm(norm) = op {
                absorb_norm(&graph, &uses, &mut steps, index, norm.epsilon, arguments);
            } else if let Some(activation) = fusible_activation(op) {
                if let &[Arg::Node(inner)] = arguments.as_slice()
                    && uses[inner] == 1
                    && let Step::Layer { layer, .. } = &mut steps[inner]
                    && let Some(none @ None) = layer.activation()
                {
                    *none = Some(activation);
                    steps.swap(index, inner);
                    steps[inner] = Step::Absorbed;
                }
            } else if let (Op::Binary(Binary(BinaryKind::Add)), &[a, b]) =
                (op, arguments.as_slice())
            {
                absorb_sum(&uses, &mut steps, index, [a, b]);
            } else if let Some(map) = averaged(op, arguments)
                && let Step::Layer {
                    layer: Layer::Expanded(layer),
                    ..
                } = &mut steps[map]
                && !layer.averaged
            {
                layer.averaged = true;
                steps[index] = Step::Averages(map);
            }
        }
        Self {
            last_use: last_uses(&graph, &steps),
            only_convolves_image: only_convolves_image(&graph, &steps),
            graph,
            steps,
        }
    }
}

/// The step of an operator that is a layer; what it absorbs is marked.
fn layer(
    graph: &Graph,
    uses: &[usize],
    steps: &mut [Step],
    op: &Op,
    arguments: &[Arg],
) -> Option<Step> {
    let mut arguments = arguments.to_vec();
    let layer = match op {
        Op::Conv(conv) => conv_layer(graph, uses, steps, conv, &mut arguments),
        Op::MaxPool(pool) => {
            let (conv, read) = take_conv(uses, steps, arguments[0], |conv| conv.groups == 1)?;
            arguments = read;
            Layer::Pooled {
                conv,
                pool: Box::new(pool.clone()),
            }
        }
        Op::ConvTranspose(conv) => Layer::ConvTranspose {
            conv: conv.clone(),
            packed: Packed::default(),
        },
        Op::Linear(Linear) => Layer::Linear {
            activation: None,
            packed: Packed::default(),
        },
        Op::GroupNorm(norm) => Layer::GroupNorm {
            norm: norm.clone(),
            activation: None,
        },
        _ => return None,
    };
    Some(Step::Layer { layer, arguments })
}

/// The layer of a convolution; its arguments become those of what it absorbs, too.
fn conv_layer(
    graph: &Graph,
    uses: &[usize],
    steps: &mut [Step],
    conv: &Conv,
    arguments: &mut Vec<Arg>,
) -> Layer {
    // (Where the expansion's kernel is larger than it seems here, running both falls back to one after the
    // other.)
    let of_pixels =
        |inner: &Conv| inner.groups == 1 && inner.stride == [1, 1] && inner.padding == [0, 0];
    if conv.groups > 1
        && let Some((expansion, read)) = take_conv(uses, steps, arguments[0], of_pixels)
    {
        let of_expansion = read.len();
        arguments.splice(..1, read);
        return Layer::Expanded(Box::new(Expanded {
            expansion,
            conv: conv.clone().into(),
            of_expansion,
            averaged: false,
        }));
    }
    let (absorbed, read, maps) = if let Some((cat, parts)) = concatenated(graph, uses, arguments[0])
    {
        (Some(cat), parts, Maps::Parts(parts.len()))
    } else if let Some((product, factors)) = gated(graph, uses, arguments[0]) {
        (Some(product), factors, Maps::Gated)
    } else {
        (None, &[][..], Maps::Parts(1))
    };
    if let Some(absorbed) = absorbed {
        steps[absorbed] = Step::Absorbed;
        arguments.splice(..1, read.iter().copied());
    }
    Layer::Conv {
        conv: conv.clone().into(),
        maps,
        residual: false,
    }
}

/// The nodes among arguments.
fn nodes(arguments: &[Arg]) -> impl Iterator<Item = usize> {
    arguments.iter().filter_map(|argument| match argument {
        Arg::Node(node) => Some(*node),
        Arg::Literal(_) => None,
    })
}

fn fusible_activation(op: &Op) -> Option<Activation> {
    match op {
        Op::Unary(Unary(kind)) => kind.activation(),
        &Op::LeakyRelu(LeakyRelu { slope }) => Some(Activation::LeakyRelu {
            negative_slope: slope,
        }),
        &Op::Clamp(Clamp {
            min: Some(min),
            max: Some(max),
        }) if min <= max => Some(Activation::Clamp { min, max }),
        _ => None,
    }
}

/// What a node's step reads.
fn read_by<'a>(node: &'a Node, step: &'a Step) -> &'a [Arg] {
    match (step, node) {
        (Step::Layer { arguments, .. }, _) | (Step::Alone, Node::Call(_, arguments)) => arguments,
        (Step::Absorbed | Step::Averages(_), _)
        | (Step::Alone, Node::Input | Node::Parameter(_)) => &[],
    }
}

fn last_uses(graph: &Graph, steps: &[Step]) -> Vec<usize> {
    let mut last_use: Vec<usize> = (0..graph.nodes.len()).collect();
    for (index, (node, step)) in graph.nodes.iter().zip(steps).enumerate() {
        nodes(read_by(node, step)).for_each(|used| last_use[used] = index);
    }
    last_use[graph.output.node] = graph.nodes.len();
    last_use
}

fn only_convolves_image(graph: &Graph, steps: &[Step]) -> bool {
    let is_image = |node| matches!(graph.nodes[node], Node::Input);
    let convolves = |step: &Step| {
        matches!(
            step,
            Step::Layer {
                layer: Layer::Conv {
                    maps: Maps::Parts(1),
                    ..
                } | Layer::Pooled { .. },
                ..
            }
        )
    };
    let mut steps = graph.nodes.iter().zip(steps);
    let convolved = steps.all(|(node, step)| {
        let read = read_by(node, step);
        match nodes(read).filter(|&node| is_image(node)).count() {
            0 => true,
            1 => convolves(step) && matches!(read[0], Arg::Node(first) if is_image(first)),
            _ => false,
        }
    });
    convolved && !is_image(graph.output.node)
}

#[cfg(test)]
mod tests {
    use super::super::{Cat, Conv, DType, Full, GraphBuilder, Literal, UnaryKind};
    use super::*;

    /// A 1 × 1 convolution of `channels` to 8, of what `read` makes of the image; its sum with `added`.
    fn only_convolves_image(
        channels: i64,
        read: impl FnOnce(&mut GraphBuilder) -> Arg,
        added: Option<Arg>,
    ) -> bool {
        let mut graph = GraphBuilder::new([1, 8, 4, 4]).unwrap();
        let map = read(&mut graph);
        let shape = [8, channels, 1, 1].map(|size| Arg::Literal(Literal::Int(size)));
        let weight = [&[Arg::Literal(Literal::Float(0.5))], &shape[..]].concat();
        let weight = graph.call(Full(DType::Float), weight).unwrap();
        let conv = Conv {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        };
        let mut answer = graph.call(conv, vec![map, weight]).unwrap();
        if let Some(added) = added {
            let sum = Binary(BinaryKind::Add);
            answer = graph.call(sum, vec![answer, added]).unwrap();
        }
        let Arg::Node(answer) = answer else {
            unreachable!("a tensor")
        };
        Plan::new(Arc::new(graph.finish(answer).unwrap())).only_convolves_image
    }

    #[test]
    fn an_image_may_be_filled_up_only_where_convolutions_read_it_alone() {
        let image = Arg::Node(0);
        let relu = |graph: &mut GraphBuilder| graph.call(Unary(UnaryKind::Relu), vec![image]);
        assert!(only_convolves_image(8, |_| image, None));
        assert!(!only_convolves_image(8, |graph| relu(graph).unwrap(), None));
        assert!(
            !only_convolves_image(8, |_| image, Some(image)),
            "a residual"
        );
        let joined = |graph: &mut GraphBuilder| graph.call(Cat(1), vec![image, image]).unwrap();
        assert!(!only_convolves_image(16, joined, None));
        let unchanged = GraphBuilder::new([1, 8, 4, 4]).unwrap().finish(0).unwrap();
        assert!(
            !Plan::new(Arc::new(unchanged)).only_convolves_image,
            "the answer"
        );
    }
}
