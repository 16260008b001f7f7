//! Describing a checkpoint or model directory without loading it onto a device.

use std::path::Path;

use serde::Serialize;
use vascx_format::{ModelManifest, TensorInfo};

use crate::checkpoint::Kind;
use crate::error::Result;
use crate::families::{Candidate, candidates};
use crate::model::Model;
use crate::release::Release;
use crate::resolve::ConvertOptions;
use crate::state_dict::{Choice, StateDict, shapes};

/// What `vascx inspect` tells.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// `TorchScript release`, `ONNX file`, `state dict` or `model directory`.
    pub kind: &'static str,
    /// The tensors, as they are stored.
    pub tensors: Vec<TensorInfo>,
    /// Top levels of a release's module tree.
    pub module_tree: Option<String>,
    /// Known networks that the tensors of a state dict may belong to, best first.
    pub candidates: Vec<Candidate>,
    /// What it converts to, or why it does not.
    pub model: std::result::Result<ModelManifest, String>,
    /// Assumptions made and things left out.
    pub notes: Vec<String>,
}

impl Inspection {
    /// Looks into a checkpoint or model directory.
    ///
    /// # Errors
    /// When the file cannot be read at all. A checkpoint of an unsupported architecture is
    /// described; [`Inspection::model`] then holds the reason.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        Self::with(path, &ConvertOptions::default())
    }

    /// The same, with what the user says of a checkpoint.
    ///
    /// # Errors
    /// Those of [`Inspection::of`].
    pub fn with(path: impl AsRef<Path>, options: &ConvertOptions) -> Result<Self> {
        let path = path.as_ref();
        if vascx_format::Model::is_directory(path) {
            let model = vascx_format::Model::open(path)?;
            return Ok(Self {
                kind: "model directory",
                tensors: model.stored_tensors(),
                module_tree: None,
                candidates: Vec::new(),
                model: Ok(model.manifest().clone()),
                notes: Vec::new(),
            });
        }
        let converted = Model::convert(path, options);
        let look = || match Kind::of(path)? {
            Kind::Program => Self::of_release(path, converted),
            Kind::Onnx => Ok(Self::of_onnx(&converted?)),
            Kind::StateDict => Self::of_state_dict(path, options, converted),
        };
        look().map_err(|error| error.in_file(path))
    }

    fn of_onnx(model: &Model) -> Self {
        Self {
            kind: "ONNX file",
            tensors: model.stored_tensors(),
            module_tree: None,
            candidates: Vec::new(),
            model: Ok(model.manifest().clone()),
            notes: model.notes().to_vec(),
        }
    }

    fn of_release(path: &Path, converted: Result<Model>) -> Result<Self> {
        let release = Release::open(path)?;
        let mut tensors = Vec::new();
        release.root.for_each_tensor(&mut |name, tensor| {
            tensors.push(TensorInfo {
                name: name.to_owned(),
                shape: tensor.shape.clone(),
                dtype: tensor.storage.dtype.name(),
            });
        });
        let (model, notes) = outcome(converted, release.notes);
        Ok(Self {
            kind: "TorchScript release",
            tensors,
            module_tree: Some(release.root.outline(3, 60)),
            candidates: Vec::new(),
            model,
            notes,
        })
    }

    fn of_state_dict(
        path: &Path,
        options: &ConvertOptions,
        converted: Result<Model>,
    ) -> Result<Self> {
        let choice = Choice {
            key: options.key.as_deref(),
            architecture: options.architecture.as_ref(),
        };
        let dict = StateDict::open(path, choice)?;
        let (model, notes) = outcome(converted, dict.notes.clone());
        let candidates = dict
            .members
            .first()
            .map(|tensors| candidates(&shapes(tensors)));
        Ok(Self {
            kind: "state dict",
            tensors: dict.stored(),
            module_tree: None,
            candidates: candidates.unwrap_or_default(),
            model,
            notes,
        })
    }
}

/// What conversion came to and its notes; where it failed, those of reading the file.
fn outcome(
    converted: Result<Model>,
    reading: Vec<String>,
) -> (std::result::Result<ModelManifest, String>, Vec<String>) {
    match converted {
        Ok(model) => (Ok(model.manifest().clone()), model.notes().to_vec()),
        Err(error) => (Err(error.to_string()), reading),
    }
}
