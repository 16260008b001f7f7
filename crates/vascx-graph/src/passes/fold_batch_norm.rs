//! Folding stored normalisation into the convolution before it.

use crate::{
    Arg, BatchNorm, Binary, BinaryKind, Conv, Graph, Literal, Node, Op, Reshape, Unary, UnaryKind,
};

/// Rewrites `norm(conv(x, w, b))` as `conv(x, w·s, (b − mean)·s + shift)` with
/// s = scale / √(variance + ε), where nothing else uses the convolution. The new weights are
/// expressions of the old; [`super::split_constants`] turns them into weights.
pub fn fold_batch_norms(graph: &Graph) -> Graph {
    let mut uses = vec![0_usize; graph.nodes.len()];
    uses[graph.output.node] += 1;
    for node in &graph.nodes {
        if let Node::Call(_, arguments) = node {
            for argument in arguments {
                if let Arg::Node(used) = argument {
                    uses[*used] += 1;
                }
            }
        }
    }
    let mut rewritten = Rewritten {
        nodes: Vec::with_capacity(graph.nodes.len()),
        moved: Vec::with_capacity(graph.nodes.len()),
    };
    for node in &graph.nodes {
        let folded = match node {
            Node::Call(Op::BatchNorm(norm), arguments) => {
                foldable(graph, &uses, arguments).map(|conv| (norm, arguments, conv))
            }
            _ => None,
        };
        let index = match folded {
            Some((norm, arguments, (conv, inputs))) => {
                rewritten.fold(norm, arguments, conv, inputs)
            }
            None => rewritten.copy(node),
        };
        rewritten.moved.push(index);
    }
    let mut result = Graph {
        nodes: rewritten.nodes,
        ..graph.clone()
    };
    result.output.node = rewritten.moved[graph.output.node];
    for guard in &mut result.guards {
        guard.node = rewritten.moved[guard.node];
    }
    result
}

/// The convolution that alone feeds a normalisation whose statistics are weights.
fn foldable<'a>(
    graph: &'a Graph,
    uses: &[usize],
    arguments: &[Arg],
) -> Option<(&'a Conv, &'a [Arg])> {
    let Some(&Arg::Node(input)) = arguments.first() else {
        return None;
    };
    let constant = |argument: &Arg| match argument {
        Arg::Node(node) => {
            matches!(&graph.nodes[*node], Node::Parameter(_))
                || matches!(&graph.nodes[*node], Node::Call(Op::Full(_), sizes)
                if sizes.iter().all(|size| matches!(size, Arg::Literal(_))))
        }
        Arg::Literal(_) => false,
    };
    match &graph.nodes[input] {
        Node::Call(Op::Conv(conv), inputs)
            if uses[input] == 1
                && arguments[1..].iter().all(constant)
                && inputs[1..].iter().all(constant) =>
        {
            Some((conv, inputs))
        }
        _ => None,
    }
}

struct Rewritten {
    nodes: Vec<Node>,
    /// Former index → new index.
    moved: Vec<usize>,
}

impl Rewritten {
    fn moved(&self, argument: Arg) -> Arg {
        match argument {
            Arg::Node(node) => Arg::Node(self.moved[node]),
            literal @ Arg::Literal(_) => literal,
        }
    }

    fn copy(&mut self, node: &Node) -> usize {
        let node = match node {
            Node::Call(op, arguments) => Node::Call(
                op.clone(),
                arguments.iter().map(|&arg| self.moved(arg)).collect(),
            ),
            other => other.clone(),
        };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn call(&mut self, op: impl Into<Op>, arguments: Vec<Arg>) -> Arg {
        self.nodes.push(Node::Call(op.into(), arguments));
        Arg::Node(self.nodes.len() - 1)
    }

    fn fold(&mut self, norm: &BatchNorm, arguments: &[Arg], conv: &Conv, inputs: &[Arg]) -> usize {
        let [mean, variance, scale, shift] = [1, 2, 3, 4].map(|index| self.moved(arguments[index]));
        let epsilon = Arg::Literal(Literal::Float(norm.epsilon));
        let binary = |kind| Op::from(Binary(kind));
        let variance = self.call(binary(BinaryKind::Add), vec![variance, epsilon]);
        let spread = self.call(Unary(UnaryKind::Sqrt), vec![variance]);
        let factor = self.call(binary(BinaryKind::Div), vec![scale, spread]);
        let one = |size| Arg::Literal(Literal::Int(size));
        let column = self.call(Reshape, vec![factor, one(-1), one(1), one(1), one(1)]);
        let weight = self.moved(inputs[1]);
        let weight = self.call(binary(BinaryKind::Mul), vec![weight, column]);
        let bias = match inputs.get(2) {
            Some(&bias) => {
                let bias = self.moved(bias);
                self.call(binary(BinaryKind::Sub), vec![bias, mean])
            }
            None => self.call(Unary(UnaryKind::Neg), vec![mean]),
        };
        let bias = self.call(binary(BinaryKind::Mul), vec![bias, factor]);
        let bias = self.call(binary(BinaryKind::Add), vec![bias, shift]);
        let x = self.moved(inputs[0]);
        match self.call(conv.clone(), vec![x, weight, bias]) {
            Arg::Node(node) => node,
            Arg::Literal(_) => unreachable!("a call is a node"),
        }
    }
}
