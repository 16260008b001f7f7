//! A model ready to load onto a device.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use burn::tensor::backend::Backend;
use vascx_models::{Ensemble, Network, Precision, load_parameters};

use crate::error::{Error, Result};
use crate::manifest::ModelManifest;
use crate::replace::Replacement;
use crate::tensor::{HostTensor, TensorInfo};
use crate::weights::{Weights, rounded};

const MANIFEST_FILE: &str = "model.json";
const WEIGHTS_FILE: &str = "weights.safetensors";

/// A model: its description and its weights.
pub struct Model {
    manifest: ModelManifest,
    weights: Weights,
}

impl Model {
    /// Whether a path is a folder that [`Model::save`] wrote, rather than a checkpoint.
    pub fn is_directory(path: &Path) -> bool {
        path.join(MANIFEST_FILE).is_file()
    }

    /// Opens a model directory. Its weights are copied to a temporary file of this process (in
    /// `TMPDIR`), which takes as much room there, so that nothing that happens to the directory later
    /// changes what an ensemble answers.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another format version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
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
        Ok(Self { manifest, weights })
    }

    /// Reads the files of a model directory, `model.json` and `weights.safetensors`, from memory: embedded
    /// in a program, say, or downloaded. The weights are copied as [`Model::open`] does.
    ///
    /// # Errors
    /// When one is damaged or of another format version.
    pub fn from_bytes(manifest: &str, weights: &[u8]) -> Result<Self> {
        Ok(Self {
            manifest: ModelManifest::from_json(manifest).map_err(Error::ModelDirectory)?,
            weights: Weights::read(weights)?,
        })
    }

    /// A model of weights in memory, each under `members.<i>.` and the network's own name for it.
    ///
    /// # Errors
    /// When one is missing, left over or of another shape than the architecture has.
    pub fn from_tensors(
        manifest: ModelManifest,
        tensors: BTreeMap<String, HostTensor>,
    ) -> Result<Self> {
        let model = Self {
            manifest,
            weights: Weights::Memory(tensors),
        };
        model.check_names_and_shapes()?;
        Ok(model)
    }

    /// The description in `model.json`.
    pub fn manifest(&self) -> &ModelManifest {
        &self.manifest
    }

    /// Name, shape and stored element type of every tensor, sorted by name.
    pub fn stored_tensors(&self) -> Vec<TensorInfo> {
        self.weights.stored()
    }

    /// The values of a weight.
    ///
    /// # Errors
    /// When there is none of this name, or it cannot be read.
    pub fn weight(&self, name: &str) -> Result<HostTensor> {
        let tensor = self.weights.tensor(name)?;
        tensor.ok_or_else(|| missing(name))
    }

    /// The same model in memory, with every weight as it would come back from a file of an element type.
    ///
    /// # Errors
    /// When a tensor cannot be read.
    pub fn rounded(&self, dtype: Precision) -> Result<Self> {
        let names = self.weights.names().into_iter();
        let tensors = names.map(|name| {
            let mut tensor = self.weight(&name)?;
            for value in &mut tensor.values {
                *value = rounded(*value, dtype);
            }
            Ok((name, tensor))
        });
        Ok(Self {
            manifest: self.manifest.clone(),
            weights: Weights::Memory(tensors.collect::<Result<_>>()?),
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
