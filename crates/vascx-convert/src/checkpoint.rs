//! From a checkpoint of whatever kind to an architecture with weights.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use vascx_format::HostTensor;
use vascx_models::Architecture;

use crate::answers;
use crate::archive::Archive;
use crate::config::ReleaseConfig;
use crate::error::{Error, Result};
use crate::families::{ArchitectureChoice, Recognised, recognise};
use crate::folder;
use crate::onnx;
use crate::release::Release;
use crate::resolve::ConvertOptions;
use crate::state_dict::{Choice, StateDict, Tensors, members_by_name, shapes};
use crate::torchscript;

/// What every kind of checkpoint becomes.
pub(crate) struct Imported {
    pub(crate) architecture: Architecture,
    /// Tensors of each member by the network's own names.
    pub(crate) members: Vec<BTreeMap<String, HostTensor>>,
    pub(crate) config: ReleaseConfig,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// The kinds of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A TorchScript archive: weights and the program that uses them.
    Program,
    /// An ONNX file: the same in another format.
    Onnx,
    /// Weights only.
    StateDict,
}

impl Kind {
    /// Tells the kind from the file's content.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        if folder::is_several(path) {
            return Ok(Self::StateDict);
        }
        let mut reader = BufReader::new(File::open(path)?);
        let mut start = Vec::new();
        reader.by_ref().take(2).read_to_end(&mut start)?;
        if start != b"PK" {
            return Ok(if onnx::is_onnx(path)? {
                Self::Onnx
            } else {
                Self::StateDict
            });
        }
        let archive = Archive::open(reader)?;
        let program = archive.names().any(|name| name.starts_with("code/"));
        Ok(if program || archive.contains("constants.pkl") {
            Self::Program
        } else {
            Self::StateDict
        })
    }
}

/// Reads a checkpoint. Nothing in it is executed.
pub(crate) fn import(path: &Path, options: &ConvertOptions) -> Result<Imported> {
    let kind = Kind::of(path)?;
    if options.key.is_some() && kind != Kind::StateDict {
        return Err(Error::Mismatch(
            "it carries its program, which says where its weights lie; leave --key out".into(),
        ));
    }
    let mut imported = match kind {
        Kind::Program => import_release(path, options)?,
        Kind::Onnx => import_onnx(path, options)?,
        Kind::StateDict => import_state_dict(path, options)?,
    };
    if let Some(text) = &options.config {
        let (config, notes) = ReleaseConfig::parse(text)?;
        imported.notes.extend(notes);
        imported.config = config;
    }
    Ok(imported)
}

fn import_release(path: &Path, options: &ConvertOptions) -> Result<Imported> {
    let mut release = Release::open(path)?;
    if let Some(text) = &options.config {
        // How answers are taken apart depends on it.
        (release.config, _) = ReleaseConfig::parse(text)?;
    }
    let mut imported = torchscript::import(&mut release)?;
    imported.config = std::mem::take(&mut release.config);
    let notes = std::mem::take(&mut release.notes);
    imported.notes.splice(0..0, notes);
    match &options.architecture {
        None => Ok(imported),
        Some(choice) => typed(&mut release, imported, choice),
    }
}

/// The weights of a release in the typed network that the user names, which must answer as the
/// release's program does.
fn typed<R: Read + Seek>(
    release: &mut Release<R>,
    program: Imported,
    choice: &ArchitectureChoice,
) -> Result<Imported> {
    let mut tensors = Tensors::new();
    let root = release.root.clone();
    root.for_each_tensor(&mut |name, tensor| {
        tensors.insert(name.to_owned(), tensor.clone());
    });
    let mut notes = Vec::new();
    let by_choice = Choice {
        key: None,
        architecture: Some(choice),
    };
    let members = members_by_name(tensors, "", by_choice, &mut notes)?;
    let mut typed = place(&members, Some(choice), notes, |member, name| {
        release.tensor(name, &members[member][name])
    })?;
    let difference = answers::difference(
        (&program.architecture, &program.members),
        (&typed.architecture, &typed.members),
    )?;
    if difference > answers::AGREEMENT {
        return Err(Error::Mismatch(format!(
            "on a random image the network asked for differs from the release's program by \
             {difference:.1e} of the largest value, more than {:.0e}",
            answers::AGREEMENT
        )));
    }
    typed.config = program.config;
    typed.notes.extend(program.notes);
    typed.notes.push(format!(
        "checked against the release's program on a random image: largest difference \
         {difference:.1e} of the largest value"
    ));
    Ok(typed)
}

fn import_onnx(path: &Path, options: &ConvertOptions) -> Result<Imported> {
    if options.architecture.is_some() {
        return Err(Error::Mismatch(
            "an ONNX file is run by its own program; leave --arch out".into(),
        ));
    }
    onnx::import(path)
}

fn import_state_dict(path: &Path, options: &ConvertOptions) -> Result<Imported> {
    let choice = Choice {
        key: options.key.as_deref(),
        architecture: options.architecture.as_ref(),
    };
    let mut dict = StateDict::open(path, choice)?;
    place_state_dict(&mut dict, choice.architecture)
}

/// A state dict's weights in the network that they belong to.
pub(crate) fn place_state_dict<R: Read + Seek>(
    dict: &mut StateDict<R>,
    choice: Option<&ArchitectureChoice>,
) -> Result<Imported> {
    let notes = std::mem::take(&mut dict.notes);
    let members = dict.members.clone();
    place(&members, choice, notes, |member, name| {
        dict.tensor(member, name)
    })
}

/// Every member's tensors under the names of the network they all belong to.
fn place(
    members: &[Tensors],
    choice: Option<&ArchitectureChoice>,
    mut notes: Vec<String>,
    mut values: impl FnMut(usize, &str) -> Result<HostTensor>,
) -> Result<Imported> {
    let mut placed = Vec::with_capacity(members.len());
    let mut leader: Option<Architecture> = None;
    for (index, tensors) in members.iter().enumerate() {
        let Recognised {
            name,
            architecture,
            fit,
            notes: assumed,
        } = recognise(&shapes(tensors), choice)?;
        match &leader {
            None => {
                let (used, dropped) = (fit.pairs.len(), fit.dropped.len());
                let dropped = if dropped == 0 {
                    String::new()
                } else {
                    format!(", {dropped} that inference does not need left out")
                };
                notes.push(format!("{name}: all {used} tensors in place{dropped}"));
                notes.extend(assumed);
                notes.push(
                    "a state dict does not tell what follows the last layer: nothing (no softmax \
                     or sigmoid) assumed"
                        .into(),
                );
                leader = Some(architecture);
            }
            Some(leader) if *leader != architecture => {
                return Err(Error::Mismatch(format!(
                    "member {index} is another network than member 0"
                )));
            }
            Some(_) => {}
        }
        let weights = fit.pairs.into_iter().map(|(spec, source)| {
            let mut tensor = values(index, &source)?;
            if let [inputs, outputs] = spec.shape[..] {
                tensor = tensor.transposed(outputs, inputs);
            }
            // Axes of one may be there or not.
            tensor.shape.clone_from(&spec.shape);
            Ok((spec.name, tensor))
        });
        placed.push(weights.collect::<Result<_>>()?);
    }
    Ok(Imported {
        architecture: leader.ok_or_else(|| Error::Mismatch("there are no members".into()))?,
        members: placed,
        config: ReleaseConfig::default(),
        notes,
    })
}
