//! Taking an ensemble's graph apart into members, and finding out which images they take. What is
//! done for every file that carries its program.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::backend::Flex;
use vascx_models::Architecture;
use vascx_models::graph::passes::{
    ConstantPart, fold_batch_norms, remove_dead_code, split_constants,
};
use vascx_models::graph::{
    Arg, Cat, Graph, GraphBuilder, Literal, Meta, Node, Op, Slice, Squeeze, Unsqueeze,
};

use crate::config::{ReleaseConfig, Side};
use crate::error::Result;
use crate::tensor::HostTensor;

/// Sides that networks are commonly traced with, tried when the configuration's does not fit.
const COMMON_SIDES: [usize; 10] = [512, 224, 256, 384, 1024, 299, 128, 96, 64, 32];

type Outcome<T> = std::result::Result<T, String>;

/// An imported program.
pub(crate) struct Imported {
    pub(crate) architecture: Architecture,
    /// Tensors of each member by name.
    pub(crate) members: Vec<BTreeMap<String, HostTensor>>,
    pub(crate) notes: Vec<String>,
}

/// One member: what runs, and where its weights come from.
pub(crate) struct Member {
    graph: Graph,
    part: ConstantPart,
    /// The weights of the whole graph, by index, that go into `part`.
    sources: Vec<usize>,
}

/// Takes the graph that answers with `output` apart. Weights without a name are those that have no
/// place in a module.
pub(crate) fn members(builder: &mut GraphBuilder, output: usize) -> Outcome<Vec<Member>> {
    let nodes = outputs(builder, output)?;
    nodes
        .into_iter()
        .map(|node| member(builder, node))
        .collect()
}

/// The architecture of members and their weights, constants computed; `read` gives the values of a
/// weight of the whole graph.
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
        notes,
    })
}

/// Shapes of images the program may take, most likely first.
pub(crate) fn examples(config: &ReleaseConfig) -> Vec<[usize; 4]> {
    let transform = &config.datamodule.test_transform;
    let mut sides: Vec<[usize; 2]> = Vec::new();
    sides.extend(config.inference.tracing_input_size.map(Side::height_width));
    sides.extend(transform.resize.map(Side::height_width));
    sides.extend(transform.square_size.map(|side| [side, side]));
    sides.extend(COMMON_SIDES.map(|side| [side, side]));
    let mut channels = if transform.contrast_enhance.unwrap_or(true) {
        vec![6, 3]
    } else {
        vec![3, 6]
    };
    channels.extend([1, 4]);
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
fn outputs(builder: &mut GraphBuilder, output: usize) -> Outcome<Vec<usize>> {
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
            let all = vec![
                Arg::Node(output),
                Arg::Literal(Literal::Int(index)),
                Arg::Literal(Literal::Int(index + 1)),
            ];
            let part = builder.call(slice, all)?;
            match builder.call(Squeeze(vec![0]), vec![part])? {
                Arg::Node(node) => Ok(node),
                Arg::Literal(_) => Err("a member answers with a number".into()),
            }
        })
        .collect()
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
