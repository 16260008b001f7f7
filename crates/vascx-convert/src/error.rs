//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Why a checkpoint could not be read or converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Any other error, with the file it is about.
    #[error("{path}: {source}")]
    InFile {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is something else than what it is used as.
    #[error("not a {expected}: {reason}")]
    Foreign {
        /// What the file should have been.
        expected: &'static str,
        /// How that was noticed.
        reason: String,
    },
    /// An archive entry that must exist does not.
    #[error("the archive has no entry `{entry}`; is it a TorchScript release (torch.jit.save)?")]
    MissingEntry {
        /// Name below the archive's top folder.
        entry: String,
    },
    /// An archive entry is damaged, hostile or contradicts another.
    #[error("entry `{entry}`: {reason}")]
    Entry {
        /// Name of the entry.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// The pickle names a class or function that is not on the short list of known ones. Nothing
    /// in a checkpoint is ever executed.
    #[error(
        "entry `{entry}` refers to `{global}`, which no known release contains; refusing to read on"
    )]
    UnknownGlobal {
        /// Name of the entry.
        entry: String,
        /// Module and name of the global.
        global: String,
    },
    /// A tensor's description contradicts its storage or is not supported.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// Path of the tensor in the module tree.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// The configuration in `extra/config.yaml`, or the one given instead, is not JSON or has impossible values.
    #[error("configuration (`extra/config.yaml`, or --config): {0}")]
    Config(String),
    /// The program in a release's `code/` or an ONNX file cannot be run as a graph; every reason found, one per line.
    #[error("the program cannot be imported:\n{0}")]
    Program(String),
    /// No known network fits a state dict, or more than one does; the candidates.
    #[error("{0}")]
    UnknownNetwork(String),
    /// The architecture was recognised, but a tensor is left over, missing or of another shape.
    #[error("weights do not match the recognised architecture: {0}")]
    Mismatch(String),
    /// The task cannot be told or contradicts the network.
    #[error("{0}")]
    Task(String),
    /// A model directory cannot be read or written, or a model cannot be loaded.
    #[error(transparent)]
    Format(#[from] vascx_format::Error),
    /// A model directory is not what it was written from.
    #[error("verification failed: {0}")]
    Verification(String),
}

impl Error {
    /// Attaches the file, unless one is attached already.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::InFile { .. } | Self::Format(vascx_format::Error::InFile { .. }) => self,
            other => Self::InFile {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }

    pub(crate) fn entry(entry: &str, reason: impl Into<String>) -> Self {
        Self::Entry {
            entry: entry.to_owned(),
            reason: reason.into(),
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
