//! The cache's layout: `refs/<revision>` names a commit, `snapshots/<commit>/<path>` is a link to
//! `blobs/<checksum>`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::name::HubName;

/// A repository's folder in the cache.
#[derive(Debug)]
pub(crate) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(crate) fn new(cache: &Path, name: &HubName) -> Self {
        let folder = format!("models--{}", name.repository().replace('/', "--"));
        Self {
            locks: cache.join(".locks").join(&folder),
            folder: cache.join(folder),
        }
    }

    /// The file, if the cache holds it for the commit that the name's revision last was.
    pub(crate) fn find(&self, name: &HubName) -> Option<PathBuf> {
        let revision = name.revision();
        let reference = self.folder.join("refs").join(revision);
        let commit = fs::read_to_string(reference).unwrap_or_else(|_| revision.to_owned());
        let commit = commit.trim();
        if !is_commit(commit) {
            return None;
        }
        let path = self.snapshot(commit, name);
        path.is_file().then_some(path)
    }

    pub(crate) fn snapshot(&self, commit: &str, name: &HubName) -> PathBuf {
        let mut path = self.folder.join("snapshots").join(commit);
        path.extend(name.path().split('/'));
        path
    }

    pub(crate) fn blob(&self, checksum: &str) -> PathBuf {
        self.folder.join("blobs").join(checksum)
    }

    /// Waits until no other process writes this blob; holds until dropped.
    pub(crate) fn lock(&self, checksum: &str) -> Result<File> {
        fs::create_dir_all(&self.locks).map_err(Error::io(&self.locks))?;
        let path = self.locks.join(format!("{checksum}.lock"));
        let file = File::create(&path).map_err(Error::io(&path))?;
        // On file systems without locks two downloads may cost twice the time; each still checks
        // what it has.
        let _ = file.lock();
        Ok(file)
    }

    /// Makes a blob the file of a commit, and the commit that of the name's revision.
    pub(crate) fn publish(&self, commit: &str, checksum: &str, name: &HubName) -> Result<PathBuf> {
        let path = self.snapshot(commit, name);
        if !path.is_file() {
            let folder = path.parent().expect("a file within a snapshot");
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            let ups = "../".repeat(name.path().split('/').count() + 1);
            let target = format!("{ups}blobs/{checksum}");
            link(&target, &self.blob(checksum), &path).map_err(Error::io(&path))?;
        }
        if name.revision() != commit {
            let reference = self.folder.join("refs").join(name.revision());
            let folder = reference.parent().expect("a file within refs");
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            fs::write(&reference, commit).map_err(Error::io(&reference))?;
        }
        Ok(path)
    }
}

pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A link to a blob, or the blob itself where links cannot be made. What has the name already, such as
/// a link whose blob was deleted, is replaced.
fn link(target: &str, blob: &Path, path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let temporary = path.with_extension(format!("{}.link", std::process::id()));
        let linked = std::os::unix::fs::symlink(target, &temporary);
        if linked.is_ok() {
            return fs::rename(&temporary, path);
        }
    }
    #[cfg(not(unix))]
    let _ = target;
    fs::rename(blob, path)
}
