//! Removing what does not reach the answer.

use crate::graph::{Arg, Graph, Node};

/// The graph without nodes and weights on which neither its answer nor a guard depends. Weights
/// keep their order; `kept[i]` is the former index of weight `i`.
pub fn remove_dead_code(graph: &Graph) -> (Graph, Vec<usize>) {
    let mut alive = vec![false; graph.nodes.len()];
    alive[graph.output.node] = true;
    for guard in &graph.guards {
        alive[guard.node] = true;
    }
    for index in (0..graph.nodes.len()).rev() {
        if let (true, Node::Call(_, arguments)) = (alive[index], &graph.nodes[index]) {
            for argument in arguments {
                if let Arg::Node(used) = argument {
                    alive[*used] = true;
                }
            }
        }
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
        ..graph.clone()
    };
    result.output.node = moved[graph.output.node];
    for guard in &mut result.guards {
        guard.node = moved[guard.node];
    }
    (result, kept)
}
