//! A model from a checkpoint or a model directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;

use sha2::{Digest, Sha256};
use vascx_format::Source;

use crate::checkpoint::{Imported, import};
use crate::error::{Error, Result};
use crate::folder;
use crate::resolve::{ConvertOptions, resolve};

/// A model, and what is to be known of its conversion. It can do what a
/// [`vascx_format::Model`] can, and goes wherever one is wanted.
pub struct Model {
    model: vascx_format::Model,
    notes: Vec<String>,
}

impl Deref for Model {
    type Target = vascx_format::Model;

    fn deref(&self) -> &Self::Target {
        &self.model
    }
}

impl From<Model> for vascx_format::Model {
    fn from(model: Model) -> Self {
        model.model
    }
}

impl Model {
    /// Opens a model directory, or converts a checkpoint in memory with default options.
    ///
    /// # Errors
    /// When the path is neither, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if vascx_format::Model::is_directory(path) {
            Ok(Self {
                model: vascx_format::Model::open(path)?,
                notes: Vec::new(),
            })
        } else {
            Self::convert(path, &ConvertOptions::default())
        }
    }

    /// Reads a checkpoint: a TorchScript release or an ONNX file, whose program becomes a graph, or
    /// a state dict, whose names and shapes tell the network. Nothing in it is executed.
    ///
    /// # Errors
    /// When the file is damaged, hostile or foreign, its program uses an operator that is not
    /// supported, or no known network has its tensors.
    pub fn convert(checkpoint: impl AsRef<Path>, options: &ConvertOptions) -> Result<Self> {
        Self::convert_ensemble(&[checkpoint], options)
    }

    /// Reads checkpoints of the same network as the members of one ensemble, in order.
    ///
    /// # Errors
    /// Those of [`Model::convert`], for any of the files; when there is none, or when one is
    /// another network than the first.
    pub fn convert_ensemble(
        checkpoints: &[impl AsRef<Path>],
        options: &ConvertOptions,
    ) -> Result<Self> {
        let [first, rest @ ..] = checkpoints else {
            return Err(Error::Mismatch("there is no checkpoint".into()));
        };
        let first = first.as_ref();
        let mut imported = import(first, options).map_err(|error| error.in_file(first))?;
        for path in rest {
            let path = path.as_ref();
            let mut join = || -> Result<()> {
                let further = import(path, options)?;
                if further.architecture != imported.architecture {
                    let first = first.display();
                    return Err(Error::Mismatch(format!("another network than {first}")));
                }
                if further.config != imported.config {
                    let first = first.display();
                    let reason = format!("another configuration than {first}");
                    return Err(Error::Mismatch(reason));
                }
                imported.members.extend(further.members);
                Ok(())
            };
            join().map_err(|error| error.in_file(path))?;
        }
        Self::assemble(imported, checkpoints, options).map_err(|error| error.in_file(first))
    }

    fn assemble(
        imported: Imported,
        checkpoints: &[impl AsRef<Path>],
        options: &ConvertOptions,
    ) -> Result<Self> {
        let Imported {
            architecture,
            members,
            config,
            mut notes,
        } = imported;
        let names = checkpoints.iter().map(|path| {
            let name = path.as_ref().file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        });
        let source = Source {
            file: names.collect::<Vec<_>>().join(", "),
            sha256: sha256(checkpoints)?,
        };
        let count = members.len();
        let manifest = resolve(&config, options, architecture, count, source, &mut notes)?;
        let mut tensors = BTreeMap::new();
        for (index, member) in members.into_iter().enumerate() {
            for (name, tensor) in member {
                tensors.insert(format!("members.{index}.{name}"), tensor);
            }
        }
        let model = vascx_format::Model::from_tensors(manifest, tensors)?;
        Ok(Self { model, notes })
    }

    /// What the user should know of the conversion: assumptions made, things left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Of the files one after the other.
fn sha256(paths: &[impl AsRef<Path>]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut files = Vec::new();
    for path in paths {
        files.extend(folder::files(path.as_ref())?);
    }
    for path in files {
        let mut reader = BufReader::new(File::open(path)?);
        loop {
            let chunk = reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            hasher.update(chunk);
            let length = chunk.len();
            reader.consume(length);
        }
    }
    Ok(vascx_format::hexadecimal(&hasher.finalize()))
}
