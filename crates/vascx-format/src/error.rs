//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Why a model directory could not be read or written, or its model not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Any other error, with the file it is about.
    #[error("{path}: {source}")]
    InFile {
        /// The model directory, or a file in it.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A tensor is missing or of a type that no model directory has.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor is left over, missing or of another shape than the network has.
    #[error("weights do not match the recognised architecture: {0}")]
    Mismatch(String),
    /// A network configuration contradicts itself.
    #[error(transparent)]
    Architecture(#[from] vascx_models::ConfigError),
    /// A model directory's `model.json` or `weights.safetensors` is unusable.
    #[error("model directory: {0}")]
    ModelDirectory(String),
    /// The output exists and overwriting was not asked for.
    #[error("exists already; choose another output or pass --force to replace it")]
    Exists,
}

impl Error {
    /// Attaches the file, unless one is attached already.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::InFile { .. } => self,
            other => Self::InFile {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }

    pub(crate) fn tensor(tensor: &str, reason: impl Into<String>) -> Self {
        Self::Tensor {
            tensor: tensor.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
