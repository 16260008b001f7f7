//! No output may take the place of an input.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What a file is by, under whatever names: device and number on the device. Where systems do not
/// tell these, its path without links.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

/// Files that must not be written over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protected(HashMap<Identity, PathBuf>);

impl Protected {
    /// Files at paths, with what links among them lead to. What does not exist is in no danger.
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut files = HashMap::new();
        for path in paths {
            for identity in identities(path).into_iter().flatten() {
                files.entry(identity).or_insert_with(|| path.to_owned());
            }
        }
        Self(files)
    }

    /// Checks a path that will be written to.
    ///
    /// # Errors
    /// When it is, or leads to, one of these files, whatever it is called there.
    pub(crate) fn check(&self, output: &Path) -> Result<()> {
        let mut found = identities(output).into_iter().flatten();
        match found.find_map(|identity| self.0.get(&identity)) {
            Some(input) => Err(Error::OutputIsInput {
                output: output.to_owned(),
                input: input.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Checks that no output would be written over an input: same file by links, by another spelling on a
/// file system that does not tell them apart, or plainly.
///
/// # Errors
/// The first that would.
pub fn check_outputs<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let protected = Protected::new(inputs);
    outputs
        .into_iter()
        .try_for_each(|output| protected.check(output))
}

/// Of what is at a path: a link's own and that of the file it leads to.
fn identities(path: &Path) -> [Option<Identity>; 2] {
    let link = path.symlink_metadata().ok();
    let leads_elsewhere = link.as_ref().is_some_and(Metadata::is_symlink);
    let target = leads_elsewhere.then(|| path.metadata().ok()).flatten();
    [link, target].map(|metadata| identity(path, &metadata?))
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
fn identity(_path: &Path, metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some(Identity((metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path, _metadata: &Metadata) -> Option<Identity> {
    path.canonicalize().ok().map(Identity)
}
