//! Describing a checkpoint or model directory without loading it onto a device.

use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::manifest::{ConvertOptions, ModelManifest};
use crate::model::Model;
use crate::onnx;
use crate::release::Release;

/// What `vascx inspect` tells.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// `checkpoint` or `model directory`.
    pub kind: &'static str,
    /// The tensors, as they are stored.
    pub tensors: Vec<TensorInfo>,
    /// Top levels of the checkpoint's module tree; absent for a model directory.
    pub module_tree: Option<String>,
    /// What it converts to, or why it does not.
    pub model: std::result::Result<ModelManifest, String>,
    /// Assumptions made and things left out.
    pub notes: Vec<String>,
}

/// One stored tensor.
#[derive(Debug, Serialize)]
pub struct TensorInfo {
    /// Path in the file.
    pub name: String,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Stored element type, e.g. `f32`.
    pub dtype: &'static str,
}

impl Inspection {
    /// Looks into a checkpoint or model directory.
    ///
    /// # Errors
    /// When the file cannot be read at all. A checkpoint of an unsupported architecture is
    /// described; [`Inspection::model`] then holds the reason.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            let model = Model::open_directory(path)?;
            return Ok(Self {
                kind: "model directory",
                tensors: model.stored_tensors(),
                module_tree: None,
                model: Ok(model.manifest().clone()),
                notes: Vec::new(),
            });
        }
        if onnx::is_onnx(path).map_err(|error| error.in_file(path))? {
            let model = Model::convert(path, &ConvertOptions::default())?;
            return Ok(Self {
                kind: "ONNX file",
                tensors: model.stored_tensors(),
                module_tree: None,
                model: Ok(model.manifest().clone()),
                notes: model.notes().to_vec(),
            });
        }
        let release = Release::open(path).map_err(|error| error.in_file(path))?;
        let mut tensors = Vec::new();
        release.root.for_each_tensor(&mut |name, tensor| {
            tensors.push(TensorInfo {
                name: name.to_owned(),
                shape: tensor.shape.clone(),
                dtype: tensor.storage.dtype.name(),
            });
        });
        let (model, notes) = match Model::convert(path, &ConvertOptions::default()) {
            Ok(model) => (Ok(model.manifest().clone()), model.notes().to_vec()),
            Err(error) => (Err(error.to_string()), release.notes),
        };
        Ok(Self {
            kind: "checkpoint",
            tensors,
            module_tree: Some(release.root.outline(3, 60)),
            model,
            notes,
        })
    }
}
