//! What layers take over from their neighbours.

use super::{Layer, Step, fusible_activation};
use crate::ops::binary::{Binary, BinaryKind};
use crate::ops::convolution::{Conv, FusedConv, Maps};
use crate::{Activation, Arg, Cat, Graph, Literal, Node, Op};

/// Absorbs the convolution of one map that makes a map for one reader alone, if it is as wanted; gives
/// also its arguments.
pub(super) fn take_conv(
    uses: &[usize],
    steps: &mut [Step],
    map: Arg,
    wanted: impl Fn(&Conv) -> bool,
) -> Option<(FusedConv, Vec<Arg>)> {
    let Arg::Node(node) = map else {
        return None;
    };
    let step = steps.get_mut(node).filter(|_| uses[node] == 1)?;
    match std::mem::replace(step, Step::Absorbed) {
        Step::Layer {
            layer:
                Layer::Conv {
                    conv,
                    maps: Maps::Parts(1),
                    residual: false,
                },
            arguments,
        } if wanted(&conv.conv) => Some((conv, arguments)),
        other => {
            *step = other;
            None
        }
    }
}

/// Lets a convolution whose result is only normalised with statistics that are weights do that itself:
/// its weights are then multiplied once.
pub(super) fn absorb_norm(
    graph: &Graph,
    uses: &[usize],
    steps: &mut [Step],
    index: usize,
    epsilon: f64,
    arguments: &[Arg],
) {
    let [Arg::Node(inner), statistics @ ..] = arguments else {
        return;
    };
    let weights = |arguments: &[Arg]| {
        let is_weight = |&argument: &Arg| match argument {
            Arg::Node(node) => matches!(graph.nodes[node], Node::Parameter(_)),
            Arg::Literal(_) => false,
        };
        arguments.iter().all(is_weight)
    };
    let Node::Call(Op::Conv(_), of_conv) = &graph.nodes[*inner] else {
        return;
    };
    if uses[*inner] == 1
        && weights(statistics)
        && weights(&of_conv[1..])
        && let Step::Layer { layer, arguments } = &mut steps[*inner]
        && let Some(conv) = layer.bare_conv()
    {
        conv.norm = Some(epsilon);
        arguments.extend(statistics);
        steps.swap(index, *inner);
        steps[*inner] = Step::Absorbed;
    }
}

/// Lets a convolution whose result is only added to something do the sum itself, unless it has groups:
/// a pass of its own costs depthwise kernels less than a look for a residual with every vector. (Where that
/// something has another shape, running it falls back to a sum that broadcasts.)
pub(super) fn absorb_sum(uses: &[usize], steps: &mut [Step], index: usize, terms: [Arg; 2]) {
    let [a, b] = terms;
    for (term, other) in [(a, b), (b, a)] {
        let (Arg::Node(conv), Arg::Node(_)) = (term, other) else {
            continue;
        };
        let plain = matches!(
            &steps[conv],
            Step::Layer {
                layer: Layer::Conv {
                    residual: false,
                    conv: FusedConv {
                        activation: None,
                        conv: Conv { groups: 1, .. },
                        ..
                    },
                    ..
                },
                ..
            }
        );
        if uses[conv] != 1 || !plain {
            continue;
        }
        steps.swap(index, conv);
        steps[conv] = Step::Absorbed;
        if let Step::Layer {
            layer: Layer::Conv { residual, .. },
            arguments,
        } = &mut steps[index]
        {
            *residual = true;
            arguments.push(other);
        }
        return;
    }
}

/// The concatenation along channels that a convolution alone reads, and its maps.
pub(super) fn concatenated<'a>(
    graph: &'a Graph,
    uses: &[usize],
    map: Arg,
) -> Option<(usize, &'a [Arg])> {
    let Arg::Node(cat) = map else {
        return None;
    };
    match &graph.nodes[cat] {
        Node::Call(Op::Cat(Cat(1)), maps)
            if uses[cat] == 1 && maps.iter().all(|map| matches!(map, Arg::Node(_))) =>
        {
            Some((cat, maps))
        }
        _ => None,
    }
}

/// The product of a map and what looks like gates, which a convolution alone reads, and its factors.
pub(super) fn gated<'a>(graph: &'a Graph, uses: &[usize], map: Arg) -> Option<(usize, &'a [Arg])> {
    let Arg::Node(product) = map else {
        return None;
    };
    let Node::Call(Op::Binary(Binary(BinaryKind::Mul)), factors) = &graph.nodes[product] else {
        return None;
    };
    let is_gate = |factor: &Arg| match factor {
        Arg::Node(node) => match &graph.nodes[*node] {
            Node::Call(op, _) => matches!(
                fusible_activation(op),
                Some(Activation::Sigmoid | Activation::HardSigmoid)
            ),
            _ => false,
        },
        Arg::Literal(_) => false,
    };
    let nodes = factors.iter().all(|factor| matches!(factor, Arg::Node(_)));
    (uses[product] == 1 && nodes && factors.iter().any(is_gate)).then_some((product, factors))
}

/// The map whose averages over all pixels an operator gives.
pub(super) fn averaged(op: &Op, arguments: &[Arg]) -> Option<usize> {
    let one = Arg::Literal(Literal::Int(1));
    match (op, arguments) {
        (Op::AdaptiveAvgPool(_), &[Arg::Node(map), height, width])
            if [height, width] == [one; 2] =>
        {
            Some(map)
        }
        (Op::Reduce(reduce), &[Arg::Node(map)]) if reduce.is_global_average() => Some(map),
        _ => None,
    }
}
