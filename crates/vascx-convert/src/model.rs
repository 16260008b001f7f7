//! A model ready to load onto a device, from a checkpoint or from a model directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use burn::tensor::backend::Backend;
use sha2::{Digest, Sha256};
use vascx_models::{Ensemble, Network, Precision, load_parameters};

use crate::checkpoint::{Imported, import};
use crate::error::{Error, Result};
use crate::folder;
use crate::inspect::TensorInfo;
use crate::manifest::{ConvertOptions, ModelManifest, Source};
use crate::replace::Replacement;
use crate::tensor::HostTensor;
use crate::weights::Weights;

const MANIFEST_FILE: &str = "model.json";
const WEIGHTS_FILE: &str = "weights.safetensors";

/// A converted model: its description and its weights.
pub struct Model {
    manifest: ModelManifest,
    weights: Weights,
    notes: Vec<String>,
}

impl Model {
    /// Opens a model directory, or converts a checkpoint in memory with default options.
    ///
    /// # Errors
    /// When the path is neither, or is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if Self::is_directory(path) {
            Self::open_directory(path)
        } else {
            Self::convert(path, &ConvertOptions::default())
        }
    }

    /// Whether a path is a folder that [`Model::save`] wrote, rather than a checkpoint.
    pub(crate) fn is_directory(path: &Path) -> bool {
        path.join(MANIFEST_FILE).is_file()
    }

    /// Opens a model directory. Its weights are copied to a temporary file of this process (in
    /// `TMPDIR`), which takes as much room there, so that nothing that happens to the directory later
    /// changes what an ensemble answers.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another format version.
    pub fn open_directory(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let manifest_path = path.join(MANIFEST_FILE);
        let read = || -> Result<ModelManifest> {
            let text = fs::read_to_string(&manifest_path)?;
            ModelManifest::from_json(&text).map_err(Error::ModelDirectory)
        };
        let manifest = read().map_err(|error| error.in_file(&manifest_path))?;
        let weights_path = path.join(WEIGHTS_FILE);
        let read = || Weights::read(File::open(&weights_path)?);
        let weights = read().map_err(|error| error.in_file(&weights_path))?;
        Ok(Self {
            manifest,
            weights,
            notes: Vec::new(),
        })
    }

    /// Reads the files of a model directory, `model.json` and `weights.safetensors`, from memory: embedded
    /// in a program, say, or downloaded. The weights are copied as [`Model::open_directory`] does.
    ///
    /// # Errors
    /// When one is damaged or of another format version.
    pub fn from_bytes(manifest: &str, weights: &[u8]) -> Result<Self> {
        Ok(Self {
            manifest: ModelManifest::from_json(manifest).map_err(Error::ModelDirectory)?,
            weights: Weights::read(weights)?,
            notes: Vec::new(),
        })
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
                    return Err(Error::Mismatch(format!(
                        "another configuration than {first}"
                    )));
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
        let manifest = ModelManifest::resolve(
            &config,
            options,
            architecture,
            members.len(),
            source,
            &mut notes,
        )?;
        let mut tensors = BTreeMap::new();
        for (index, member) in members.into_iter().enumerate() {
            for (name, tensor) in member {
                tensors.insert(format!("members.{index}.{name}"), tensor);
            }
        }
        let model = Self {
            manifest,
            weights: Weights::Memory(tensors),
            notes,
        };
        model.check_names_and_shapes()?;
        Ok(model)
    }

    /// The description in `model.json`.
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    /// What the user should know of the conversion: assumptions made, things left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Name, shape and stored element type of every tensor, sorted by name.
    pub(crate) fn stored_tensors(&self) -> Vec<TensorInfo> {
        self.weights.stored()
    }

    /// Names of the weights, sorted.
    pub(crate) fn weight_names(&self) -> Vec<String> {
        self.weights.names()
    }

    /// A weight that is there.
    pub(crate) fn weight(&self, name: &str) -> Result<HostTensor> {
        let tensor = self.weights.tensor(name)?;
        tensor.ok_or_else(|| missing(name))
    }

    /// The same model with every weight changed.
    pub(crate) fn map_weights(&self, change: impl Fn(f32) -> f32) -> Result<Self> {
        let names = self.weight_names().into_iter();
        let tensors = names.map(|name| {
            let mut tensor = self.weight(&name)?;
            for value in &mut tensor.values {
                *value = change(*value);
            }
            Ok((name, tensor))
        });
        Ok(Self {
            manifest: self.manifest.clone(),
            weights: Weights::Memory(tensors.collect::<Result<_>>()?),
            notes: Vec::new(),
        })
    }

    /// Element types the weights are stored in, such as `F32`.
    pub fn stored_dtype(&self) -> String {
        let dtypes: BTreeSet<String> = self
            .stored_tensors()
            .into_iter()
            .map(|info| info.dtype.to_string())
            .collect();
        Vec::from_iter(dtypes).join(",")
    }

    /// SHA-256 of the file that the weights were read from: the `weights.safetensors` of a model
    /// directory, or the checkpoint (several one after the other).
    pub fn weights_sha256(&self) -> String {
        let file = self.weights.sha256();
        file.unwrap_or_else(|| self.manifest.source.sha256.clone())
    }

    /// Builds the ensemble on a device.
    ///
    /// # Errors
    /// When a tensor is missing, left over or of another shape than the architecture has.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<Ensemble<B>> {
        self.check_names_and_shapes()?;
        let ensemble = Ensemble::new(&self.manifest.architecture, self.manifest.members, device)?;
        load_parameters(ensemble, |spec| {
            let data = self.weights.data(&spec.name)?;
            data.ok_or_else(|| missing(&spec.name))
        })
    }

    /// Builds one member as a burn module that can be trained further.
    ///
    /// # Errors
    /// As for [`Self::load`], or when there is no such member.
    pub fn load_network<B: Backend>(
        &self,
        member: usize,
        device: &B::Device,
    ) -> Result<Network<B>> {
        self.check_names_and_shapes()?;
        let network = self.manifest.architecture.init(member, device)?;
        load_parameters(network, |spec| {
            let name = format!("members.{member}.{}", spec.name);
            self.weights.data(&name)?.ok_or_else(|| missing(&name))
        })
    }

    /// Every parameter of the network must have its tensor, and the other way round.
    fn check_names_and_shapes(&self) -> Result<()> {
        let mut available: BTreeMap<String, Vec<usize>> = self
            .stored_tensors()
            .into_iter()
            .map(|info| (info.name, info.shape))
            .collect();
        for member in 0..self.manifest.members {
            for spec in &self.manifest.architecture.graph(member)?.parameters {
                let name = format!("members.{member}.{}", spec.name);
                match available.remove(&name) {
                    Some(shape) if shape == spec.shape => {}
                    Some(shape) => {
                        return Err(Error::Mismatch(format!(
                            "`{name}` has shape {shape:?}, the network needs {:?}",
                            spec.shape
                        )));
                    }
                    None => return Err(Error::Mismatch(format!("`{name}` is missing"))),
                }
            }
        }
        match available.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::Mismatch(format!(
                "`{name}` has no place in the network"
            ))),
        }
    }

    /// Writes the model directory: complete or not at all.
    ///
    /// # Errors
    /// [`Error::Exists`] when `directory` exists and `replace` is false; otherwise what the
    /// operating system says.
    pub fn save(&self, directory: impl AsRef<Path>, dtype: Precision, replace: bool) -> Result<()> {
        let directory = directory.as_ref();
        self.save_directory(directory, dtype, replace)
            .map_err(|error| error.in_file(directory))
    }

    fn save_directory(&self, directory: &Path, dtype: Precision, replace: bool) -> Result<()> {
        let exists = directory.symlink_metadata().is_ok();
        if exists && !replace {
            return Err(Error::Exists);
        }
        if exists {
            check_replaceable(directory)?;
        }
        let new = Replacement::begin(directory)?;
        self.weights.save(&new.path().join(WEIGHTS_FILE), dtype)?;
        let mut manifest = serde_json::to_string_pretty(&self.manifest)
            .map_err(|error| Error::ModelDirectory(error.to_string()))?;
        manifest.push('\n');
        fs::write(new.path().join(MANIFEST_FILE), manifest)?;
        // safetensors keeps its files to their owner; a model is for whoever may read the folder.
        let permissions = fs::metadata(new.path().join(MANIFEST_FILE))?.permissions();
        fs::set_permissions(new.path().join(WEIGHTS_FILE), permissions)?;
        Ok(new.finish(directory, exists)?)
    }
}

/// Replacing is for model directories only: a slip must not delete a folder of photographs, nor a
/// checkpoint that lies beside the model.
fn check_replaceable(directory: &Path) -> Result<()> {
    let refused = |reason: String| Err(Error::ModelDirectory(reason));
    if !directory.join(MANIFEST_FILE).is_file() {
        return refused("exists and is not a model directory; not replacing it".into());
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name != MANIFEST_FILE && name != WEIGHTS_FILE {
            return refused(format!(
                "holds {}, which is no part of a model; not replacing it",
                name.display()
            ));
        }
    }
    Ok(())
}

fn missing(name: &str) -> Error {
    Error::tensor(name, "is missing")
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
    Ok(hexadecimal(&hasher.finalize()))
}

/// A hash as it is written.
pub(crate) fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
