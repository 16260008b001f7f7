//! State dicts: named tensors without a program, as `torch.save`, Lightning and safetensors write
//! them.

mod legacy;
mod names;
mod nested;
mod storages;
mod tree;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use vascx_format::{HostTensor, TensorInfo};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::families::{self, ArchitectureChoice, ShapeMap};
use crate::folder;
use crate::foreign;
use crate::pickle::{self, Pickle, Unknown};
use crate::tensor::TensorRef;
pub(crate) use names::members as members_by_name;
use storages::Storages;
use tree::Tree;

/// Largest pickle. Training state (optimisers, loops) is larger than a module tree.
const MAX_PICKLE: u64 = 64 << 20;

/// Tensors of one network that is looked for; a thousand layers have some seven thousand.
const MAX_NETWORK: usize = 10_000;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, TensorRef>;

/// Shapes by name.
pub(crate) fn shapes(tensors: &Tensors) -> ShapeMap {
    let tensors = tensors.iter();
    tensors
        .map(|(name, tensor)| (name.clone(), tensor.shape.clone()))
        .collect()
}

/// What the user says of a state dict.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice<'a> {
    /// Where the weights lie: keys of dictionaries and beginnings of names, separated by points.
    pub(crate) key: Option<&'a str>,
    /// The network they belong to.
    pub(crate) architecture: Option<&'a ArchitectureChoice>,
}

impl Choice<'_> {
    /// Whether exactly one network, or the one chosen, takes all these tensors.
    fn fits(self, tensors: &Tensors) -> bool {
        self.fits_shapes(&shapes(tensors))
    }

    fn fits_shapes(self, shapes: &ShapeMap) -> bool {
        shapes.len() <= MAX_NETWORK && families::fits(shapes, self.architecture)
    }
}

/// A state dict whose values stay in the file until they are asked for.
pub(crate) struct StateDict<R> {
    storages: Storages<R>,
    /// One state dict per ensemble member, prefixes stripped.
    pub(crate) members: Vec<Tensors>,
    /// What was stripped and left out.
    pub(crate) notes: Vec<String>,
    /// f32 values that may still be gathered: tensors that share a storage could otherwise
    /// multiply it without bound.
    budget: u64,
}

impl StateDict<BufReader<File>> {
    /// Opens a file, or a folder or index of several files that hold a state dict together.
    pub(crate) fn open(path: &Path, choice: Choice) -> Result<Self> {
        let paths = folder::files(path)?;
        let mut files = Vec::with_capacity(paths.len());
        for path in &paths {
            let file = File::open(path).map_err(|error| Error::from(error).in_file(path))?;
            files.push(BufReader::new(file));
        }
        match files.len() {
            1 => Self::read(files.remove(0), choice),
            _ => Self::read_parts(files, &paths, choice),
        }
    }

    /// Parts that hold different tensors each.
    fn read_parts(
        files: Vec<BufReader<File>>,
        paths: &[std::path::PathBuf],
        choice: Choice,
    ) -> Result<Self> {
        let mut notes = vec![format!("weights of {} files put together", paths.len())];
        let mut together = Tensors::new();
        let mut parts = Vec::with_capacity(files.len());
        let mut budget = 1 << 20;
        for (mut file, path) in files.into_iter().zip(paths) {
            let bytes = length(&mut file).map_err(|error| error.in_file(path))?;
            budget += 2 * bytes;
            // Names are made sense of when all are there.
            let (storages, tensors) = contents(file).map_err(|error| error.in_file(path))?;
            let tensors = match tensors {
                Contents::Flat(tensors) => tensors,
                Contents::Pickled(pickle) => {
                    let tensors = Tree::new(&pickle).flattened(pickle.root(), "");
                    tensors.map_err(|error| error.in_file(path))?
                }
            };
            for (name, mut tensor) in tensors {
                tensor.storage.key = storages::in_part(parts.len(), &tensor.storage.key);
                if together.insert(name.clone(), tensor).is_some() {
                    return Err(Error::tensor(&name, "is in two of the files").in_file(path));
                }
            }
            parts.push(storages);
        }
        Ok(Self {
            storages: Storages::parts(parts),
            members: flat_members(together, choice, &mut notes)?,
            notes,
            budget,
        })
    }
}

impl<R: Read + Seek> StateDict<R> {
    /// Reads the names and shapes of a file in any of the formats.
    pub(crate) fn read(mut reader: R, choice: Choice) -> Result<Self> {
        let length = length(&mut reader)?;
        let mut notes = Vec::new();
        let (storages, tensors) = contents(reader)?;
        let members = match tensors {
            Contents::Pickled(pickle) => nested::members(&pickle, choice, &mut notes)?,
            Contents::Flat(tensors) => flat_members(tensors, choice, &mut notes)?,
        };
        Ok(Self {
            storages,
            members,
            notes,
            // At most one value per byte, twice over for tensors that share a storage.
            budget: length.saturating_mul(2).saturating_add(1 << 20),
        })
    }

    /// Name, shape and stored element type of every tensor.
    pub(crate) fn stored(&self) -> Vec<TensorInfo> {
        let several = self.members.len() > 1;
        let members = self.members.iter().enumerate();
        members
            .flat_map(|(member, tensors)| {
                tensors.iter().map(move |(name, tensor)| TensorInfo {
                    name: if several {
                        format!("members.{member}.{name}")
                    } else {
                        name.clone()
                    },
                    shape: tensor.shape.clone(),
                    dtype: tensor.storage.dtype.name(),
                })
            })
            .collect()
    }

    /// The values of a tensor of a member.
    pub(crate) fn tensor(&mut self, member: usize, name: &str) -> Result<HostTensor> {
        let tensor = self.members[member]
            .get(name)
            .ok_or_else(|| Error::tensor(name, "is missing"))?;
        let elements = tensor
            .validate()
            .map_err(|reason| Error::tensor(name, reason))?;
        self.budget = self
            .budget
            .checked_sub(elements as u64)
            .ok_or_else(|| Error::tensor(name, "more values than this file can hold"))?;
        self.storages.tensor(name, tensor)
    }
}

/// What a file holds.
enum Contents {
    /// Names as they are in the file.
    Flat(Tensors),
    /// An object that weights are to be found in.
    Pickled(Pickle),
}

fn length(reader: &mut impl Seek) -> Result<u64> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    Ok(length)
}

/// Where the values lie, and their names.
fn contents<R: Read + Seek>(mut reader: R) -> Result<(Storages<R>, Contents)> {
    let length = length(&mut reader)?;
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(foreign::START)
        .read_to_end(&mut start)?;
    reader.rewind()?;
    if start.starts_with(b"PK") {
        let mut archive = Archive::open(reader)?;
        archive.check_byte_order()?;
        let bytes = archive.read("data.pkl", MAX_PICKLE)?;
        let pickle = pickle::parse("data.pkl", &bytes, Unknown::Opaque)?;
        Ok((Storages::archive(archive), Contents::Pickled(pickle)))
    } else if let Some(begin) = legacy::begins(&start) {
        let (pickle, storages) = legacy::read(reader, begin, length)?;
        Ok((storages, Contents::Pickled(pickle)))
    } else if start.get(8) == Some(&b'{') {
        let (storages, tensors) = Storages::safetensors(reader)?;
        Ok((storages, Contents::Flat(tensors)))
    } else {
        Err(Error::Foreign {
            expected: "PyTorch ZIP archive, legacy torch.save file, safetensors or ONNX file",
            reason: foreign::file(&start).into(),
        })
    }
}

/// The members in a file of plain names.
fn flat_members(tensors: Tensors, choice: Choice, notes: &mut Vec<String>) -> Result<Vec<Tensors>> {
    let Some(key) = choice.key else {
        return names::members(tensors, "", choice, notes);
    };
    let first = tensors.keys().next().cloned().unwrap_or_default();
    let tensors = names::below(tensors, &format!("{key}."));
    if tensors.is_empty() {
        return Err(Error::UnknownNetwork(format!(
            "no tensor's name begins with `{key}.` (--key); the first is `{first}`"
        )));
    }
    names::members(tensors, key, choice, notes)
}
