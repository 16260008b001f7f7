//! Writing a folder that is whole or not there, and exchanging it for an older one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// How the names of unfinished folders begin.
const PREFIX: &str = ".vascx-convert-";
/// In an unfinished folder: what is being written,
const NEW: &str = "new";
/// what it replaces, under its own name,
const OLD: &str = "old";
/// and a file that is locked while somebody works on it.
const LOCK: &str = "lock";

/// Those of this process.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes whatever model directories this process has written that is not finished. To be called before
/// the process ends in the middle of one, because of a signal, say.
pub fn discard_unfinished() {
    // Held while folders change places, so that none is removed in between.
    for folder in &*unfinished() {
        let _ = fs::remove_dir_all(folder);
    }
}

/// A folder that is being written beside where it is to be.
pub(crate) struct Replacement {
    folder: TempDir,
    _lock: File,
}

impl Replacement {
    /// Begins a folder that is to be at `target`, whose parent is created if need be; removes what
    /// killed processes have left there.
    pub(crate) fn begin(target: &Path) -> io::Result<Self> {
        let parent = parent(target);
        fs::create_dir_all(parent)?;
        clear(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        unfinished().insert(folder.path().to_owned());
        let lock = File::create_new(folder.path().join(LOCK))?;
        // On a file system without locks nobody else can tell, and removes nothing either.
        let _ = lock.try_lock();
        fs::create_dir(folder.path().join(NEW))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(NEW)
    }

    /// Has all that was written on the disk and puts it at `target`, in the place of what is there, if
    /// that may be replaced.
    pub(crate) fn finish(self, target: &Path, replace: bool) -> io::Result<()> {
        let new = self.path();
        for entry in fs::read_dir(&new)? {
            File::options()
                .write(true)
                .open(entry?.path())?
                .sync_all()?;
        }
        sync_folder(&new)?;
        {
            let _changing_places = unfinished();
            if !replace {
                // Fails when a folder with something in it has come to be there meanwhile.
                fs::rename(&new, target)?;
            } else if let Err(error) = exchange(&new, target) {
                if !is_unsupported(&error) {
                    return Err(error);
                }
                self.move_aside(target)?;
            }
        }
        sync_folder(parent(target))
    }

    /// For file systems that cannot exchange: if the process is killed in between, the next conversion
    /// puts the old folder back.
    fn move_aside(&self, target: &Path) -> io::Result<()> {
        let old = self.folder.path().join(OLD);
        fs::create_dir(&old)?;
        let old = old.join(target.file_name().unwrap_or_default());
        fs::rename(target, &old)?;
        fs::rename(self.path(), target).inspect_err(|_| {
            // The error that counts is that of the new one.
            let _ = fs::rename(&old, target);
        })
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        unfinished().remove(self.folder.path());
    }
}

/// Removes what nobody works on any more; old folders whose place is empty go back there.
fn clear(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let lock = is_ours.then(|| File::open(entry.path().join(LOCK)));
        // Without a lock file it may just be beginning.
        let Some(Ok(lock)) = lock else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let old = fs::read_dir(entry.path().join(OLD)).into_iter().flatten();
        for old in old.filter_map(Result::ok) {
            let place = parent.join(old.file_name());
            if place.symlink_metadata().is_err() {
                let _ = fs::rename(old.path(), place);
            }
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// At every moment one of the two is at `b`.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_a: &Path, _b: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::InvalidInput
    )
}

/// Waits until the names in a folder are on the disk, where a system can be asked for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some network file systems cannot.
        Err(error) if is_unsupported(&error) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that a killed process has left: not locked, with the folder it was to replace.
    fn left_behind(parent: &Path, name: &str, old: &str) {
        let folder = parent.join(format!("{PREFIX}{name}"));
        fs::create_dir_all(folder.join(OLD).join(old)).unwrap();
        fs::create_dir(folder.join(NEW)).unwrap();
        fs::write(folder.join(LOCK), "").unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_was_left_behind_is_cleared_and_what_was_moved_aside_comes_back() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("model");
        left_behind(parent.path(), "a", "model");
        let replacement = Replacement::begin(&target).unwrap();
        assert!(target.is_dir());
        // One that is being worked on stays, even if an older one is cleared beside it.
        left_behind(parent.path(), "b", "model");
        clear(parent.path());
        assert_eq!(names(parent.path()).len(), 2);
        fs::write(replacement.path().join("x"), "").unwrap();
        replacement.finish(&target, true).unwrap();
        assert_eq!(names(parent.path()), ["model"]);
        assert_eq!(names(&target), ["x"]);
    }

    #[test]
    fn without_exchange_the_old_one_is_moved_aside() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("model");
        fs::create_dir(&target).unwrap();
        let replacement = Replacement::begin(&target).unwrap();
        fs::write(replacement.path().join("x"), "").unwrap();
        replacement.move_aside(&target).unwrap();
        assert_eq!(names(&target), ["x"]);
        drop(replacement);
        assert_eq!(names(parent.path()), ["model"]);
    }
}
