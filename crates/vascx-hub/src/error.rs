//! What can go wrong between a name and a file.

use std::io;
use std::path::PathBuf;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no file for a name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is not of the form `owner/repository:path`.
    #[error("{name:?} is no hub name ({reason}); expected owner/repository:path/to/file")]
    Name {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting of the environment that cannot be used.
    #[error("{variable}: {reason}")]
    Setting {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Downloads are forbidden and the cache does not hold the file.
    #[error(
        "{name} is not in {}, and HF_HUB_OFFLINE forbids to download it; fetch it on a machine \
         with network and copy that folder, or pass the file itself",
        cache.display()
    )]
    Offline {
        /// What was wanted.
        name: String,
        /// The hub's cache.
        cache: PathBuf,
    },
    /// The hub has no such repository, revision or file.
    #[error("the hub has no {name}: {reason}")]
    NotFound {
        /// What was wanted.
        name: String,
        /// Which part of the name is unknown.
        reason: &'static str,
    },
    /// The hub wants a token, or another one.
    #[error(
        "the hub does not let you read {name} (status {status}); if the repository is private or \
         has terms to accept, do so on its page and set HF_TOKEN"
    )]
    Denied {
        /// What was wanted.
        name: String,
        /// 401 or 403.
        status: u16,
    },
    /// No connection, or it broke more often than it was tried again.
    #[error("cannot reach {url}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the connection said.
        source: Box<ureq::Error>,
    },
    /// The hub answered with something else than a file.
    #[error("{url} answered {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// What arrived is not what the hub says it has.
    #[error(
        "the download of {name} is damaged: SHA-256 {found}, expected {expected}; it was deleted, \
         try again"
    )]
    Damaged {
        /// What was wanted.
        name: String,
        /// The hub's checksum.
        expected: String,
        /// That of what arrived.
        found: String,
    },
    /// A file or folder of the cache.
    #[error("{}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
