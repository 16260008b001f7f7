//! From an ONNX file to an architecture with weights.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use vascx_graph::GraphBuilder;

use super::importer::Importer;
use super::message::{Model, Port, Tensor};
use super::stored::Stored;
use crate::checkpoint::Imported;
use crate::config::ReleaseConfig;
use crate::error::{Error, Result};
use crate::members::{Member, assemble, examples, members};

/// Keys of `metadata_props` that the release's configuration may stand under, as JSON.
const CONFIG_KEYS: [&str; 3] = ["config", "config.yaml", "extra/config.yaml"];
/// Largest file; the format itself ends at two gigabytes.
const MAX_FILE: u64 = 1 << 31;
/// Versions of the standard operators whose meaning is known.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=23;

/// Whether a file may be an ONNX model: it begins with the version of the format, field 1 of its
/// message. A safetensors file whose header is that long has a brace where ONNX has none.
pub(crate) fn is_onnx(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(9).read_to_end(&mut start)?;
    Ok(start.len() == 9 && start[0] == 8 && start[8] != b'{')
}

/// Imports the graph of an ONNX file.
pub(crate) fn import(path: &Path) -> Result<Imported> {
    let length = std::fs::metadata(path)?.len();
    if length > MAX_FILE {
        return Err(foreign(format!(
            "{length} bytes, more than the format can have"
        )));
    }
    import_bytes(&std::fs::read(path)?, path.parent())
}

fn foreign(reason: String) -> Error {
    Error::Foreign {
        expected: "ONNX file",
        reason,
    }
}

/// Imports from bytes; values in other files are read from `folder` only.
pub(crate) fn import_bytes(bytes: &[u8], folder: Option<&Path>) -> Result<Imported> {
    let model = Model::parse(bytes).map_err(foreign)?;
    if !OPSETS.contains(&model.opset) {
        return Err(Error::Program(format!(
            "operators of version {}; known are {} to {}: export with one of them",
            model.opset,
            OPSETS.start(),
            OPSETS.end()
        )));
    }
    let mut notes = Vec::new();
    let config = model
        .metadata
        .iter()
        .find(|(key, _)| CONFIG_KEYS.contains(key));
    let config = if let Some((_, text)) = config {
        let (config, of_config) = ReleaseConfig::parse(text)?;
        notes.extend(of_config);
        config
    } else {
        notes.push("no configuration (`config` in metadata_props); defaults apply".into());
        ReleaseConfig::default()
    };
    if !model.functions.is_empty() {
        let list = model.functions.join("\n  ");
        return Err(Error::Program(format!("operators of its own:\n  {list}")));
    }
    let graphs = model.graph.all();
    let weights = graphs.iter().flat_map(|graph| &graph.weights);
    let weights = stored(weights.map(|weight| (weight.name, weight)))?;
    let nodes = graphs.iter().flat_map(|graph| &graph.nodes);
    let constants = nodes.filter_map(|node| {
        let tensor = node
            .attributes
            .iter()
            .find_map(|attribute| attribute.tensor.as_ref());
        node.outputs.first().copied().zip(tensor)
    });
    let constants = stored(constants)?;
    let (members, sources) = evaluate(&model, &config, &weights, &constants, folder)?;
    let mut inputs = model.graph.inputs.iter();
    let image = inputs.find(|input| !weights.contains_key(input.name));
    if image.is_some_and(Port::has_channels_last) {
        notes.push("its images have their channels last; they are turned around for it".into());
    }
    let mut imported = assemble(members, |index| Ok(sources[index].values(folder)?.values))?;
    imported.notes.splice(0..0, notes);
    imported.config = config;
    Ok(imported)
}

fn stored<'m>(
    tensors: impl Iterator<Item = (&'m str, &'m Tensor<'m>)>,
) -> Result<HashMap<&'m str, Stored<'m>>> {
    let mut all = HashMap::new();
    for (name, tensor) in tensors {
        let stored = Stored::new(tensor).map_err(|reason| Error::tensor(name, reason))?;
        if all.insert(name, stored).is_some() {
            return Err(Error::tensor(name, "is there twice"));
        }
    }
    Ok(all)
}

/// Runs through the graph for the sizes it may take, until one fits.
fn evaluate<'m>(
    model: &'m Model<'m>,
    config: &ReleaseConfig,
    weights: &'m HashMap<&'m str, Stored<'m>>,
    constants: &'m HashMap<&'m str, Stored<'m>>,
    folder: Option<&'m Path>,
) -> Result<(Vec<Member>, Vec<&'m Stored<'m>>)> {
    let graph = &model.graph;
    // Early versions of the format list weights among the inputs.
    let mut inputs = graph
        .inputs
        .iter()
        .filter(|input| !weights.contains_key(input.name));
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        return Err(Error::Program("takes other than one image".into()));
    };
    let named = graph
        .outputs
        .iter()
        .find(|output| output.name == "prediction");
    let output = named.or(graph.outputs.first());
    let output = output.ok_or_else(|| Error::Program("answers with nothing".into()))?;
    if input.shape.len() != 4 {
        let rank = input.shape.len();
        return Err(Error::Program(format!(
            "takes an image of {rank} axes, not 4"
        )));
    }
    let mut tried: Vec<[usize; 4]> = Vec::new();
    let mut first = None;
    for mut example in examples(config) {
        let mut shape = input.shape.clone();
        if input.has_channels_last() {
            shape[1..].rotate_right(1);
        }
        for (size, fixed) in example.iter_mut().zip(&shape) {
            let fixed = fixed.and_then(|fixed| usize::try_from(fixed).ok());
            *size = fixed.filter(|fixed| *fixed > 0).unwrap_or(*size);
        }
        if tried.contains(&example) {
            continue;
        }
        tried.push(example);
        let builder = GraphBuilder::new(example).map_err(Error::Program)?;
        let mut importer = Importer::new(builder, model.opset, weights, constants, folder);
        let node = importer.run(graph, input, output);
        if !importer.unsupported.is_empty() {
            let list = importer.unsupported.join("\n  ");
            return Err(Error::Program(format!(
                "unsupported operators:\n  {list}\nwhat may help: export it anew with another \
                 opset_version, convert the network's TorchScript form \
                 (torch.jit.trace) instead, or replace these layers"
            )));
        }
        match node.and_then(|node| members(&mut importer.builder, node, config)) {
            Ok(members) => return Ok((members, importer.sources)),
            Err(reason) => {
                first.get_or_insert(format!("{reason} (for an image {example:?})"));
            }
        }
    }
    Err(Error::Program(first.unwrap_or_default()))
}
