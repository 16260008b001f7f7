//! A model ready to load onto a device, from a checkpoint or from a model directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use burn::backend::Flex;
use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use sha2::{Digest, Sha256};
use vascx_models::{Ensemble, ParameterSpec, Precision, load_parameters, parameter_specs};

use crate::error::{Error, Result};
use crate::inspect::TensorInfo;
use crate::manifest::{ConvertOptions, ModelManifest, Source};
use crate::onnx;
use crate::release::Release;
use crate::torchscript::import;
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
        if path.is_dir() {
            Self::open_directory(path)
        } else {
            Self::convert(path, &ConvertOptions::default())
        }
    }

    /// Opens a model directory; weights are memory-mapped.
    ///
    /// # Errors
    /// When a file is missing, damaged or of another format version.
    pub fn open_directory(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let manifest_path = path.join(MANIFEST_FILE);
        let read = || -> Result<ModelManifest> {
            let text = fs::read_to_string(&manifest_path)?;
            let manifest: ModelManifest = serde_json::from_str(&text)
                .map_err(|error| Error::ModelDirectory(error.to_string()))?;
            manifest.validate().map_err(Error::ModelDirectory)?;
            Ok(manifest)
        };
        let manifest = read().map_err(|error| error.in_file(&manifest_path))?;
        let weights = Weights::open(&path.join(WEIGHTS_FILE))?;
        Ok(Self {
            manifest,
            weights,
            notes: Vec::new(),
        })
    }

    /// Reads a TorchScript release or an ONNX file and imports its program as a graph. Nothing in it
    /// is executed.
    ///
    /// # Errors
    /// When the file is damaged, hostile, foreign, or its program uses an operator that is not supported.
    pub fn convert(checkpoint: impl AsRef<Path>, options: &ConvertOptions) -> Result<Self> {
        let path = checkpoint.as_ref();
        Self::convert_release(path, options).map_err(|error| error.in_file(path))
    }

    fn convert_release(path: &Path, options: &ConvertOptions) -> Result<Self> {
        let (imported, config, mut notes) = if onnx::is_onnx(path)? {
            let (imported, config) = onnx::import(path)?;
            (imported, config, Vec::new())
        } else {
            let mut release = Release::open(path)?;
            let imported = import(&mut release)?;
            (imported, release.config, release.notes)
        };
        notes.extend(imported.notes);
        let source = Source {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            sha256: sha256(path)?,
        };
        let manifest = ModelManifest::resolve(
            &config,
            options,
            imported.architecture,
            imported.members.len(),
            source,
            &mut notes,
        )?;
        let mut tensors = BTreeMap::new();
        for (index, member) in imported.members.into_iter().enumerate() {
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

    /// Element types the weights are stored in, such as `F32`.
    pub fn stored_dtype(&self) -> String {
        let dtypes: BTreeSet<String> = self
            .stored_tensors()
            .into_iter()
            .map(|info| info.dtype.to_string())
            .collect();
        Vec::from_iter(dtypes).join(",")
    }

    /// Builds the ensemble on a device.
    ///
    /// # Errors
    /// When a tensor is missing, left over or of another shape than the architecture has.
    pub fn load<B: Backend>(&self, device: &B::Device) -> Result<Ensemble<B>> {
        self.check_names_and_shapes()?;
        let ensemble = Ensemble::new(&self.manifest.architecture, self.manifest.members, device)?;
        load_parameters(ensemble, |spec| {
            let tensor = self.weights.tensor(&spec.name)?;
            let tensor = tensor.ok_or_else(|| Error::tensor(&spec.name, "is missing"))?;
            Ok(TensorData::new(tensor.values, tensor.shape))
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
            for spec in &member_specs(&self.manifest, member)? {
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
        // Replacing is for model directories only: a slip must not delete a folder of photographs.
        if exists && !directory.join(MANIFEST_FILE).is_file() {
            return Err(Error::ModelDirectory(
                "exists and is not a model directory; not replacing it".into(),
            ));
        }
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        let temporary = tempfile::Builder::new()
            .prefix(".vascx-convert-")
            .tempdir_in(parent)?;
        let complete = temporary.path().join("new");
        fs::create_dir(&complete)?;
        self.weights.save(&complete.join(WEIGHTS_FILE), dtype)?;
        let mut manifest = serde_json::to_string_pretty(&self.manifest)
            .map_err(|error| Error::ModelDirectory(error.to_string()))?;
        manifest.push('\n');
        fs::write(complete.join(MANIFEST_FILE), manifest)?;
        if exists {
            fs::rename(directory, temporary.path().join("old"))?;
        }
        fs::rename(&complete, directory)?;
        Ok(())
    }
}

/// The parameters of one member. Flex serves only to write the network's type down: parameters are
/// lazy, so none is allocated.
fn member_specs(manifest: &ModelManifest, member: usize) -> Result<Vec<ParameterSpec>> {
    let network = manifest
        .architecture
        .init::<Flex>(member, &Default::default())?;
    Ok(parameter_specs(&network))
}

fn sha256(path: &Path) -> Result<String> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut hasher = Sha256::new();
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(hasher
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect());
        }
        hasher.update(chunk);
        let length = chunk.len();
        reader.consume(length);
    }
}
