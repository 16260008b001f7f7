//! Removing what does not reach the answer.

use crate::{Arg, Graph, Node, Op};

/// The nodes that lead to the given ones, with these.
fn ancestors(graph: &Graph, of: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut found = vec![false; graph.nodes.len()];
    for node in of {
        found[node] = true;
    }
    for index in (0..graph.nodes.len()).rev() {
        if let (true, Node::Call(_, arguments)) = (found[index], &graph.nodes[index]) {
            for argument in arguments {
                if let Arg::Node(used) = argument {
                    found[*used] = true;
                }
            }
        }
    }
    found
}

/// Whether all tensors whose sizes go into a number are among the given ones.
fn sizes_are_of(graph: &Graph, number: usize, tensors: &[bool]) -> bool {
    let mut open = vec![number];
    let mut seen = vec![false; graph.nodes.len()];
    while let Some(node) = open.pop() {
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        match &graph.nodes[node] {
            Node::Call(Op::Size(_), arguments) => {
                if !arguments
                    .iter()
                    .all(|arg| matches!(arg, Arg::Node(n) if tensors[*n]))
                {
                    return false;
                }
            }
            Node::Call(_, arguments) => {
                open.extend(arguments.iter().filter_map(|argument| match argument {
                    Arg::Node(used) => Some(*used),
                    Arg::Literal(_) => None,
                }));
            }
            Node::Input | Node::Parameter(_) => {}
        }
    }
    true
}

/// The graph without nodes and weights on which neither its answer nor a guard depends. Weights
/// keep their order; `kept[i]` is the former index of weight `i`.
pub fn remove_dead_code(graph: &Graph) -> (Graph, Vec<usize>) {
    let mut alive = ancestors(graph, std::iter::once(graph.output.node));
    // A guard on the sizes of tensors that are gone belonged to another part of the program.
    let guards: Vec<_> = graph
        .guards
        .iter()
        .filter(|guard| sizes_are_of(graph, guard.node, &alive))
        .copied()
        .collect();
    let guarded = ancestors(graph, guards.iter().map(|guard| guard.node));
    for (alive, guarded) in alive.iter_mut().zip(guarded) {
        *alive |= guarded;
    }
    let mut kept: Vec<usize> = graph
        .nodes
        .iter()
        .zip(&alive)
        .filter_map(|(node, &alive)| match node {
            Node::Parameter(weight) if alive => Some(*weight),
            _ => None,
        })
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let mut moved = vec![0; graph.nodes.len()];
    let mut nodes = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if !alive[index] {
            continue;
        }
        moved[index] = nodes.len();
        nodes.push(match node {
            Node::Input => Node::Input,
            Node::Parameter(weight) => {
                Node::Parameter(kept.binary_search(weight).expect("collected above"))
            }
            Node::Call(op, arguments) => {
                let moved = |argument: &Arg| match *argument {
                    Arg::Node(used) => Arg::Node(moved[used]),
                    literal @ Arg::Literal(_) => literal,
                };
                Node::Call(op.clone(), arguments.iter().map(moved).collect())
            }
        });
    }
    let mut result = Graph {
        nodes,
        parameters: kept
            .iter()
            .map(|&weight| graph.parameters[weight].clone())
            .collect(),
        guards,
        ..graph.clone()
    };
    result.output.node = moved[graph.output.node];
    for guard in &mut result.guards {
        guard.node = moved[guard.node];
    }
    (result, kept)
}
