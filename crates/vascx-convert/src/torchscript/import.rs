//! From a release to an architecture with weights.

use std::io::{Read, Seek};

use vascx_format::HostTensor;
use vascx_graph::{Arg, GraphBuilder};

use super::evaluate::{Evaluator, Source};
use super::value::Value;
use crate::checkpoint::Imported;
use crate::config::ReleaseConfig;
use crate::error::{Error, Result};
use crate::members::{Member, assemble, examples, members};
use crate::module_tree::ScriptModule;
use crate::release::Release;

/// Stack of the thread that evaluates: calls and expressions nest as deep as their limits allow.
const STACK: usize = 256 << 20;

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
    let (members, sources, was_training) = members;
    let mut imported = assemble(members, |index| Ok(read(release, &sources[index])?.values))?;
    if was_training {
        imported.notes.push(
            "the network was saved while it was trained; read as evaluated, as after model.eval()"
                .into(),
        );
    }
    Ok(imported)
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
) -> Result<(Vec<Member>, Vec<Source>, bool)> {
    let mut best: Option<(usize, String)> = None;
    let config = release.config.clone();
    for example in examples(&config) {
        let builder = GraphBuilder::new(example).map_err(Error::Program)?;
        let mut numbers = |source: &Source| {
            let tensor = read(release, source).map_err(|error| error.to_string())?;
            Ok(tensor.values)
        };
        let mut evaluator = Evaluator::new(program, builder, &mut numbers);
        let image = evaluator.fresh(Arg::Node(0));
        let answer = evaluator
            .method(root, &"".into(), "forward", vec![image], Vec::new())
            .map_err(|reason| format!("{}: {reason}", evaluator.place()));
        if !evaluator.unsupported.is_empty() {
            let list = evaluator.unsupported.join("\n  ");
            return Err(Error::Program(format!(
                "unsupported operators:\n  {list}\nwhat may help: export the same network to ONNX \
                 (torch.onnx.export), which takes many of them apart into simpler ones, or replace \
                 these layers and trace it again (torch.jit.trace)"
            )));
        }
        let reached = evaluator.storages.len();
        match answer.and_then(|answer| take_apart(&mut evaluator, answer, &config)) {
            Ok(members) => return Ok((members, evaluator.sources, evaluator.was_training)),
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

fn take_apart<'a>(
    evaluator: &mut Evaluator<'a, '_>,
    answer: Value<'a>,
    config: &ReleaseConfig,
) -> std::result::Result<Vec<Member>, String> {
    let answer = main_answer(answer)?;
    let Arg::Node(output) = evaluator.argument(&answer)? else {
        return Err("the program answers with a number".into());
    };
    members(&mut evaluator.builder, output, config)
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

/// Evaluates the source of a class `Net` without attributes on a small image.
#[cfg(feature = "fuzzing")]
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
    let mut no_numbers = |_: &Source| Err("there are no tensors".to_owned());
    let mut evaluator = Evaluator::new(&program, builder, &mut no_numbers);
    let image = evaluator.fresh(Arg::Node(0));
    if let Ok(answer) = evaluator.method(&root, &"".into(), "forward", vec![image], Vec::new()) {
        let _ = take_apart(&mut evaluator, answer, &ReleaseConfig::default());
    }
}
