//! One writer per folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const FILE: &str = ".vascx.lock";

/// A lock on a folder, held until it is dropped or the process ends, however it ends. It is an
/// advisory lock of the operating system on a file in the folder, which says who holds it.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// None where the file system has no locks.
    file: Option<File>,
}

impl FolderLock {
    /// Locks a folder. On a file system without locks nothing is locked, and `warn` is told.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process, or another job of this one, has it; or what the
    /// operating system says.
    pub fn take(folder: &Path, warn: &mut dyn FnMut(&str)) -> Result<Self> {
        let path = folder.join(FILE);
        loop {
            let file = open(&path).map_err(|error| Error::output(&path, error))?;
            match file.try_lock() {
                // Whoever had it may have removed the file in the meantime.
                Ok(()) if is_at(&file, &path) => {
                    // That it cannot be written down is no reason not to work.
                    let _ = describe(&file);
                    let file = Some(file);
                    return Ok(Self { path, file });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::InUse {
                        folder: folder.to_owned(),
                        holder: holder(file),
                    });
                }
                Err(TryLockError::Error(error)) => {
                    warn(&format!(
                        "{} cannot be locked ({error}); see to it that no other run writes there",
                        folder.display()
                    ));
                    let _ = fs::remove_file(&path);
                    return Ok(Self { path, file: None });
                }
            }
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody else's is removed.
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A link planted at the lock's place is not followed, for the file behind it would be written to.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NOFOLLOW.bits() as i32,
    );
    options.open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let id = |metadata: io::Result<fs::Metadata>| {
            Some((metadata.as_ref().ok()?.dev(), metadata.ok()?.ino()))
        };
        id(file.metadata()).is_some_and(|held| id(path.symlink_metadata()) == Some(held))
    }
    // Elsewhere a file that is open cannot be removed.
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

fn describe(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    write!(file, "process {}", std::process::id())?;
    if let Ok(host) = fs::read_to_string("/proc/sys/kernel/hostname") {
        write!(file, " on {}", host.trim())?;
    }
    Ok(())
}

/// Who holds a lock, as its file says.
fn holder(mut file: File) -> String {
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.take(300).read_to_string(&mut text);
    if text.is_empty() {
        text.push_str("another process");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut warn = |warning: &str| panic!("{warning}");
        let lock = FolderLock::take(folder.path(), &mut warn).unwrap();
        let second = FolderLock::take(folder.path(), &mut warn).err().unwrap();
        let own = format!("process {}", std::process::id());
        assert!(second.to_string().contains(&own), "{second}");
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        FolderLock::take(folder.path(), &mut warn).unwrap();
    }
}
