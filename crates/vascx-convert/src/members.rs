//! Taking an ensemble's graph apart into members, and finding out which images they take. What is
//! done for every file that carries its program.

use std::sync::Arc;

use burn::backend::Flex;
use vascx_format::HostTensor;
use vascx_graph::passes::{ConstantPart, fold_batch_norms, remove_dead_code, split_constants};
use vascx_graph::{
    Arg, Cat, DType, Graph, GraphBuilder, Meta, Node, Op, Reshape, Squeeze, Unsqueeze,
};
use vascx_models::Architecture;

use crate::checkpoint::Imported;
use crate::config::{ReleaseConfig, TransformClass};
use crate::error::Result;
use crate::lowering;
use crate::resolve::{Answered, answered, halo_sides};

/// Sides that networks are commonly traced with, tried when the configuration's does not fit.
const COMMON_SIDES: [usize; 10] = [512, 224, 256, 384, 1024, 299, 128, 96, 64, 32];

type Outcome<T> = std::result::Result<T, String>;

/// One member: what runs, and where its weights come from.
pub(crate) struct Member {
    graph: Graph,
    part: ConstantPart,
    /// The weights of the whole graph, by index, that go into `part`.
    sources: Vec<usize>,
}

/// Takes the graph that answers with `output` apart. Weights without a name are those that have no
/// place in a module.
pub(crate) fn members(
    builder: &mut GraphBuilder,
    output: usize,
    config: &ReleaseConfig,
) -> Outcome<Vec<Member>> {
    let nodes = outputs(builder, output, answered(config))?;
    for &node in &nodes {
        check_answer(builder, node, output)?;
    }
    let nodes = nodes.into_iter();
    nodes.map(|node| member(builder, node)).collect()
}

/// The architecture of members and their weights, constants computed, without a configuration; `read`
/// gives the values of a weight of the whole graph.
pub(crate) fn assemble(
    members: Vec<Member>,
    mut read: impl FnMut(usize) -> Result<Vec<f32>>,
) -> Result<Imported> {
    let mut notes = Vec::new();
    let graph = &members[0].graph;
    if let Some([height, width]) = graph.input.sides {
        notes.push(format!(
            "the program takes images of {height} × {width} only"
        ));
    }
    if let Some(batch) = graph.input.batch {
        notes.push(format!("the program takes batches of {batch} only"));
    }
    let shared = members.iter().all(|member| member.graph == *graph);
    let graphs = if shared { &members[..1] } else { &members[..] };
    let graphs = graphs.iter().map(|member| Arc::new(member.graph.clone()));
    let architecture = Architecture::Graph(graphs.collect());
    let mut tensors = Vec::with_capacity(members.len());
    for Member {
        graph,
        part,
        sources,
    } in members
    {
        let values = part.evaluate::<Flex, _>(&Default::default(), |index| read(sources[index]))?;
        let weights = graph.parameters.into_iter().zip(values);
        let named = weights.map(|(weight, values)| {
            let shape = weight.shape;
            (weight.name, HostTensor { shape, values })
        });
        tensors.push(named.collect());
    }
    Ok(Imported {
        architecture,
        members: tensors,
        config: ReleaseConfig::default(),
        notes,
    })
}

/// Shapes of images the program may take, most likely first.
pub(crate) fn examples(config: &ReleaseConfig) -> Vec<[usize; 4]> {
    let transform = &config.datamodule.test_transform;
    let mut sides: Vec<[usize; 2]> = Vec::new();
    if answered(config) == Answered::CentresOfWindows {
        let [context, _] = halo_sides(config);
        sides.push([context; 2]);
    }
    sides.extend(config.inference.tracing_input_size);
    sides.extend(transform.resize);
    let squares = transform.square_size.into_iter().chain(transform.size);
    sides.extend(squares.chain(COMMON_SIDES).map(|side| [side, side]));
    let basic = transform.class == TransformClass::Basic;
    let channels = if transform.contrast_enhance.unwrap_or(!basic) {
        [6, 3, 1, 4]
    } else {
        [3, 6, 1, 4]
    };
    let mut examples = Vec::new();
    for c in channels {
        for &[h, w] in &sides {
            for n in [2, 1] {
                let example = [n, c, h.clamp(1, 16_384), w.clamp(1, 16_384)];
                if !examples.contains(&example) {
                    examples.push(example);
                }
            }
        }
    }
    examples
}

/// The nodes with the members' answers: those stacked at the end, or slices of the whole.
fn outputs(builder: &mut GraphBuilder, output: usize, answered: Answered) -> Outcome<Vec<usize>> {
    let shape = shape(builder, output)?;
    let images = self::shape(builder, 0)?[0];
    let stacked = match (answered, shape.len()) {
        (_, 3 | 5) => true,
        // Members' points [K, 2], which are no maps.
        (Answered::Keypoints, 4) => shape[3] == 2,
        // One value of each member, without an axis of its own.
        (Answered::Values, 2) if shape[..] == [images, images] => {
            return Err("members and images cannot be told apart".into());
        }
        (Answered::Values, 2) => shape[1] == images && shape[0] != images,
        _ => false,
    };
    if !stacked {
        return Ok(vec![output]);
    }
    let members = if let Some(members) = unstacked(builder, output, shape[0]) {
        members
    } else {
        let entry = |index| entry(builder, output, index);
        (0..shape[0]).map(entry).collect::<Outcome<_>>()?
    };
    let vectors = match (answered, shape.len()) {
        (Answered::Keypoints, 4) => 2 * shape[2],
        (Answered::Values, 2) => 1,
        _ => return Ok(members),
    };
    // [N, K, 2] or [N] as [N, D].
    let vector = |member| -> Outcome<usize> {
        let count = builder.size(member, 0)?;
        let all = vec![Arg::Node(member), count, Arg::int(vectors as i64)];
        lowering::node(builder, Reshape, all)
    };
    members.into_iter().map(vector).collect()
}

/// Refuses what is no answer of a member: a map or a vector of floats for each image. `output` is what
/// the whole program answers with.
fn check_answer(builder: &GraphBuilder, node: usize, output: usize) -> Outcome<()> {
    let Meta::Tensor { dtype, .. } = builder.meta(output) else {
        return Err("the program answers with a number".into());
    };
    let (images, answer) = (shape(builder, 0)?, shape(builder, output)?);
    let kind = match dtype {
        DType::Float => None,
        DType::Int => Some("whole numbers"),
        DType::Bool => Some("truth values"),
    };
    if let Some(kind) = kind {
        return Err(format!(
            "the network answers with {kind} {answer:?}, not with floats; save it without the argmax \
             or the threshold at its end"
        ));
    }
    let member = shape(builder, node)?;
    if !matches!(member.len(), 2 | 4) || member[0] != images[0] {
        return Err(format!(
            "the network answers with {answer:?}; expected are maps [N, C, H, W] or vectors [N, D] of \
             each of the N images, or these of several members, [M, N, …]; a map of one class needs an \
             axis for it (unsqueeze(1))"
        ));
    }
    Ok(())
}

fn shape(builder: &GraphBuilder, node: usize) -> Outcome<Vec<usize>> {
    match builder.meta(node) {
        Meta::Tensor { shape, .. } => Ok(shape.clone()),
        Meta::Number(_) => Err("the program answers with a number".into()),
    }
}

/// What was stacked along the first axis at the end, if all of `count` parts were.
fn unstacked(builder: &GraphBuilder, output: usize, count: usize) -> Option<Vec<usize>> {
    let Node::Call(Op::Cat(Cat(0)), parts) = builder.node(output) else {
        return None;
    };
    let inner = |part: &Arg| {
        if let Arg::Node(part) = part
            && let Node::Call(Op::Unsqueeze(Unsqueeze(0)), inner) = builder.node(*part)
            && let [Arg::Node(inner)] = inner[..]
        {
            return Some(inner);
        }
        None
    };
    let inner: Vec<usize> = parts.iter().filter_map(inner).collect();
    (inner.len() == count).then_some(inner)
}

/// One entry along the first axis.
fn entry(builder: &mut GraphBuilder, output: usize, index: usize) -> Outcome<usize> {
    let part = lowering::place(builder, output, 0, index)?;
    lowering::node(builder, Squeeze(vec![0]), vec![part])
}

/// The member that answers with a node.
fn member(builder: &GraphBuilder, output: usize) -> Outcome<Member> {
    let (mut graph, sources) = remove_dead_code(&builder.finish(output)?);
    let prefix = common_prefix(&graph);
    for (index, weight) in graph.parameters.iter_mut().enumerate() {
        if weight.name.is_empty() {
            weight.name = format!("constants.{index}");
        } else {
            weight.name.drain(..prefix);
        }
    }
    // Folding leaves the convolutions without norm behind.
    let (folded, kept) = remove_dead_code(&fold_batch_norms(&graph));
    let sources = kept.into_iter().map(|index| sources[index]).collect();
    let (mut graph, part) = split_constants(&folded).map_err(|error| error.to_string())?;
    describe_input(&mut graph);
    graph.validate().map_err(|error| error.to_string())?;
    Ok(Member {
        graph,
        part,
        sources,
    })
}

/// Length of the module path that all named weights share, with its last point.
fn common_prefix(graph: &Graph) -> usize {
    let names = graph.parameters.iter().map(|weight| weight.name.as_str());
    let mut names = names.filter(|name| !name.is_empty());
    let Some(first) = names.next() else { return 0 };
    let mut length = first.rfind('.').map_or(0, |at| at + 1);
    for name in names {
        while !name.starts_with(&first[..length]) {
            length = first[..length - 1].rfind('.').map_or(0, |at| at + 1);
        }
    }
    length
}

/// Finds batch sizes and sides the graph takes by inferring shapes for others than the example.
fn describe_input(graph: &mut Graph) {
    let [n, c, h, w] = graph.input.example;
    // Maps are as large as their images, or lack the same margin everywhere.
    let example = graph.answered_sides(graph.input.example);
    let Ok([answered_h, answered_w]) = example else {
        return;
    };
    let takes = |shape: [usize; 4]| match graph.infer(shape) {
        Ok(metas) => match &metas[graph.output.node] {
            Meta::Tensor { shape: answer, .. } => {
                answer[..2] == [shape[0], graph.output.channels]
                    && (!graph.output.spatial
                        || (answer[2] + h == shape[2] + answered_h
                            && answer[3] + w == shape[3] + answered_w))
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
