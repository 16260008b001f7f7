//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Why a folder of results could not be read or a report not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder or table is unusable.
    #[error("{path}: {reason}")]
    Input {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {reason}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the operating system or encoder says.
        reason: String,
    },
}

impl Error {
    pub(crate) fn input(path: &Path, reason: impl ToString) -> Self {
        Self::Input {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn output(path: &Path, reason: impl ToString) -> Self {
        Self::Output {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
