//! From a release to an architecture with weights.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::sync::Arc;

use burn::backend::Flex;
use vascx_models::Architecture;
use vascx_models::graph::{Arg, GraphBuilder};

use super::evaluate::{Evaluator, Source};
use super::members::{Member, member, outputs};
use super::value::Value;
use crate::config::Side;
use crate::error::{Error, Result};
use crate::module_tree::ScriptModule;
use crate::release::Release;
use crate::tensor::HostTensor;

/// Stack of the thread that evaluates: calls and expressions nest as deep as their limits allow.
const STACK: usize = 256 << 20;
/// Sides that networks are commonly traced with, tried when the configuration's does not fit.
const COMMON_SIDES: [usize; 10] = [512, 224, 256, 384, 1024, 299, 128, 96, 64, 32];

/// An imported program.
pub(crate) struct Imported {
    pub(crate) architecture: Architecture,
    /// Tensors of each member by name.
    pub(crate) members: Vec<BTreeMap<String, HostTensor>>,
    pub(crate) notes: Vec<String>,
}

/// Imports the program of a release.
pub(crate) fn import<R: Read + Seek + Send>(release: &mut Release<R>) -> Result<Imported> {
    let program = std::mem::take(&mut release.program);
    let root = release.root.clone();
    let members = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let handle = thread.spawn_scoped(scope, || evaluate(release, &program, &root))?;
        handle
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
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
    let members = members
        .into_iter()
        .map(|member| weights(release, member))
        .collect::<Result<_>>()?;
    Ok(Imported {
        architecture,
        members,
        notes,
    })
}

/// The weights of a member, constants computed.
fn weights<R: Read + Seek>(
    release: &mut Release<R>,
    member: Member,
) -> Result<BTreeMap<String, HostTensor>> {
    let sources = &member.sources;
    let values = member
        .part
        .evaluate::<Flex, Error>(&Default::default(), |index| {
            Ok(read(release, &sources[index])?.values)
        })?;
    let weights = member.graph.parameters.into_iter().zip(values);
    Ok(weights
        .map(|(weight, values)| {
            let shape = weight.shape;
            (weight.name, HostTensor { shape, values })
        })
        .collect())
}

fn read<R: Read + Seek>(release: &mut Release<R>, source: &Source) -> Result<HostTensor> {
    if source.from_constants {
        release.constant(&source.path, &source.tensor)
    } else {
        release.tensor(&source.path, &source.tensor)
    }
}

/// Evaluates the program for the sizes it may have been traced with, until one fits.
fn evaluate<R: Read + Seek>(
    release: &mut Release<R>,
    program: &super::Program,
    root: &ScriptModule,
) -> Result<Vec<Member>> {
    let mut best: Option<(usize, String)> = None;
    for example in examples(release) {
        let builder = GraphBuilder::new(example).map_err(Error::Program)?;
        let mut integers = |source: &Source| {
            let tensor = read(release, source).map_err(|error| error.to_string())?;
            Ok(tensor.values.iter().map(|&value| value as i64).collect())
        };
        let mut evaluator = Evaluator::new(program, builder, &mut integers);
        let image = evaluator.fresh(Arg::Node(0));
        let answer = evaluator
            .method(root, &"".into(), "forward", vec![image], Vec::new())
            .map_err(|reason| format!("{}: {reason}", evaluator.place()));
        if !evaluator.unsupported.is_empty() {
            let list = evaluator.unsupported.join("\n  ");
            return Err(Error::Program(format!("unsupported operators:\n  {list}")));
        }
        let reached = evaluator.storages.len();
        match answer.and_then(|answer| members(&mut evaluator, answer)) {
            Ok(members) => return Ok(members),
            Err(reason) => {
                if best
                    .as_ref()
                    .is_none_or(|(furthest, _)| reached > *furthest)
                {
                    best = Some((reached, format!("{reason} (for an image {example:?})")));
                }
            }
        }
    }
    let reason = best.map_or_else(String::new, |(_, reason)| reason);
    Err(Error::Program(reason))
}

fn members<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    answer: Value<'a>,
) -> std::result::Result<Vec<Member>, String> {
    let answer = main_answer(answer)?;
    let Arg::Node(output) = evaluator.argument(&answer)? else {
        return Err("the program answers with a number".into());
    };
    let nodes = outputs(&mut evaluator.builder, output)?;
    nodes
        .into_iter()
        .map(|node| member(&evaluator.builder, &evaluator.sources, node))
        .collect()
}

/// The tensor among several answers: the first of a tuple or list, `out` of a dictionary.
fn main_answer(answer: Value) -> std::result::Result<Value, String> {
    let first = match answer {
        Value::Tensor(_) => return Ok(answer),
        Value::List(items) => items.borrow().first().cloned(),
        Value::Tuple(items) => items.first().cloned(),
        Value::Dict(items) => {
            let items = items.borrow();
            let out = |key: &Value| matches!(key, Value::Text(text) if &**text == "out");
            let item = items.iter().find(|(key, _)| out(key)).or(items.first());
            item.map(|(_, value)| value.clone())
        }
        other => return Err(format!("the program answers with {}", other.kind())),
    };
    match first {
        Some(Value::Tensor(tensor)) => Ok(Value::Tensor(tensor)),
        _ => Err("the program answers with something else than a tensor".into()),
    }
}

/// Shapes of images the program may take, most likely first.
fn examples<R>(release: &Release<R>) -> Vec<[usize; 4]> {
    let config = &release.config;
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

/// Evaluates the source of a class `Net` without attributes on a small image.
#[cfg(fuzzing)]
pub(crate) fn import_source(source: &str) {
    let mut program = super::Program::default();
    if program.add_file("net", source).is_err() {
        return;
    }
    let root = ScriptModule {
        class: "net.Net".into(),
        attributes: Vec::new(),
    };
    let builder = GraphBuilder::new([2, 3, 32, 32]).expect("a small image");
    let mut no_integers = |_: &Source| Err("there are no tensors".to_owned());
    let mut evaluator = Evaluator::new(&program, builder, &mut no_integers);
    let image = evaluator.fresh(Arg::Node(0));
    if let Ok(answer) = evaluator.method(&root, &"".into(), "forward", vec![image], Vec::new()) {
        let _ = members(&mut evaluator, answer);
    }
}
