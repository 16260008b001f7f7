//! Taking an ensemble's graph apart into members, and finding out which images they take.

use vascx_models::graph::passes::{
    ConstantPart, fold_batch_norms, remove_dead_code, split_constants,
};
use vascx_models::graph::{
    Arg, Cat, Graph, GraphBuilder, Meta, Node, Op, Slice, Squeeze, Unsqueeze,
};

use super::evaluate::{Outcome, Source};
use super::tensors::int;

/// One member: what runs, and where its weights come from.
pub(super) struct Member {
    pub(super) graph: Graph,
    pub(super) part: ConstantPart,
    /// The weights that go into `part`.
    pub(super) sources: Vec<Source>,
}

/// The nodes with the members' answers: those stacked at the end, or slices of the whole.
pub(super) fn outputs(builder: &mut GraphBuilder, output: usize) -> Outcome<Vec<usize>> {
    let Meta::Tensor { shape, .. } = builder.meta(output) else {
        return Err("the program answers with a number".into());
    };
    if !matches!(shape.len(), 3 | 5) {
        return Ok(vec![output]);
    }
    let count = shape[0];
    if let Node::Call(Op::Cat(Cat(0)), parts) = builder.node(output).clone() {
        let inner: Vec<usize> = parts
            .iter()
            .filter_map(|part| match part {
                Arg::Node(part) => match builder.node(*part) {
                    Node::Call(Op::Unsqueeze(Unsqueeze(0)), inner) => match inner[..] {
                        [Arg::Node(inner)] => Some(inner),
                        _ => None,
                    },
                    _ => None,
                },
                Arg::Literal(_) => None,
            })
            .collect();
        if inner.len() == count {
            return Ok(inner);
        }
    }
    (0..count as i64)
        .map(|index| {
            let slice = Slice { axis: 0, step: 1 };
            let all = vec![Arg::Node(output), int(index), int(index + 1)];
            let part = builder.call(slice, all)?;
            match builder.call(Squeeze(vec![0]), vec![part])? {
                Arg::Node(node) => Ok(node),
                Arg::Literal(_) => Err("a member answers with a number".into()),
            }
        })
        .collect()
}

/// The member that answers with a node.
pub(super) fn member(builder: &GraphBuilder, sources: &[Source], output: usize) -> Outcome<Member> {
    let (mut graph, kept) = remove_dead_code(&builder.finish(output)?);
    let sources: Vec<Source> = kept.iter().map(|&index| sources[index].clone()).collect();
    let prefix = common_prefix(&sources);
    for (weight, source) in graph.parameters.iter_mut().zip(&sources) {
        if !source.from_constants {
            source.path[prefix..].clone_into(&mut weight.name);
        }
    }
    // Folding leaves the convolutions without norm behind.
    let (folded, kept) = remove_dead_code(&fold_batch_norms(&graph));
    let sources: Vec<Source> = kept.iter().map(|&index| sources[index].clone()).collect();
    let (mut graph, part) = split_constants(&folded).map_err(|error| error.to_string())?;
    describe_input(&mut graph);
    graph.validate().map_err(|error| error.to_string())?;
    Ok(Member {
        graph,
        part,
        sources,
    })
}

/// Length of the module path that all weights share, with its last point.
fn common_prefix(sources: &[Source]) -> usize {
    let mut paths = sources
        .iter()
        .filter(|source| !source.from_constants)
        .map(|source| source.path.as_str());
    let Some(first) = paths.next() else { return 0 };
    let mut length = first.rfind('.').map_or(0, |at| at + 1);
    for path in paths {
        while !path.starts_with(&first[..length]) {
            length = first[..length - 1].rfind('.').map_or(0, |at| at + 1);
        }
    }
    length
}

/// Finds batch sizes and sides the graph takes by inferring shapes for others than the example.
fn describe_input(graph: &mut Graph) {
    let [n, c, h, w] = graph.input.example;
    let takes = |shape: [usize; 4]| match graph.infer(shape) {
        Ok(metas) => match &metas[graph.output.node] {
            Meta::Tensor { shape: answer, .. } => {
                answer[..2] == [shape[0], graph.output.channels]
                    && (!graph.output.spatial || answer[2..] == shape[2..])
            }
            Meta::Number(_) => false,
        },
        Err(_) => false,
    };
    let batch = (!(takes([n + 1, c, h, w]) && takes([1, c, h, w]))).then_some(n);
    let above = |side: usize, divisor: usize, steps: usize| (side / divisor + steps) * divisor;
    let divisor = [1, 2, 4, 8, 16, 32, 64, 128].into_iter().find(|&divisor| {
        h % divisor == 0
            && w % divisor == 0
            && takes([n, c, above(h, divisor, 1), above(w, divisor, 3)])
            && takes([n, c, above(h, divisor, 5), above(w, divisor, 1)])
    });
    graph.input.batch = batch;
    graph.input.divisor = divisor.unwrap_or(1);
    graph.input.sides = divisor.is_none().then_some([h, w]);
}
