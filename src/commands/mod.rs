//! One module per command.

pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod forward;
pub(crate) mod inspect;
pub(crate) mod predict;

use std::path::Path;

/// How far a command got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Everything.
    All,
    /// Some inputs failed, as the manifest says.
    Some,
}

/// Why a command could not run; printed as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Convert(#[from] vascx::convert::Error),
    #[error(transparent)]
    Inference(#[from] vascx::inference::Error),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A problem with a file.
    fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Other(format!("{}: {reason}", path.display()))
    }
}

pub(crate) type Result = std::result::Result<Done, Failure>;
