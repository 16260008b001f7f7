//! Files of the report: where they lie, and which of them are ours to replace.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vascx_inference::{Durability, remove_unfinished, write_whole};

use super::thumbnails::Key;
use crate::error::{Error, Result};

const PAGE: &str = "report.html";
const FILES: &str = "report_files";
/// Says that a folder is ours; also what a report is locked by.
const MARKER: &str = "vascx-report.json";
const FORMAT: u32 = 1;
/// How a page of ours begins.
const SIGNATURE: &str = "<!DOCTYPE html>\n<!-- Written by vascx report.";

const HTML: &str = include_str!("assets/report.html");
/// Stylesheet and scripts, in the order in which the page loads them.
const ASSETS: [(&str, &str); 11] = [
    ("report.css", include_str!("assets/report.css")),
    ("cohort.js", include_str!("assets/cohort.js")),
    ("marks.js", include_str!("assets/marks.js")),
    ("query.js", include_str!("assets/query.js")),
    ("layers.js", include_str!("assets/layers.js")),
    ("sheet.js", include_str!("assets/sheet.js")),
    ("eye.js", include_str!("assets/eye.js")),
    ("panel.js", include_str!("assets/panel.js")),
    ("plot.js", include_str!("assets/plot.js")),
    ("distributions.js", include_str!("assets/distributions.js")),
    ("page.js", include_str!("assets/page.js")),
];

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
    /// By which browsers remember marks; stays when the report is made anew.
    cohort: String,
}

/// A report being written. Scripts and data go into a folder of their own, named by chance, which the
/// page names: a reader never sees parts of two reports.
pub(super) struct Site {
    page: PathBuf,
    files: PathBuf,
    generation: String,
    pub(super) cohort: String,
    /// Held until the report is written; dies with the process.
    _lock: File,
}

impl Site {
    /// Prepares the folders in `folder`.
    ///
    /// # Errors
    /// When something that is not ours stands there, another process is writing the same report, or a
    /// folder cannot be made.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (page, files) = (folder.join(PAGE), folder.join(FILES));
        check_page(&page)?;
        let path = files.join(MARKER);
        if files.exists() && !path.is_file() && !is_empty(&files) {
            return Err(not_ours(&files));
        }
        fs::create_dir_all(&files).map_err(|error| Error::output(&files, error))?;
        if !path.is_file() {
            let marker = Marker {
                format: FORMAT,
                cohort: chance(),
            };
            let text = serde_json::to_vec(&marker).map_err(|error| Error::output(&path, error))?;
            Self::write(&path, &text)?;
        }
        let lock = File::options().read(true).write(true).open(&path);
        let lock = lock.map_err(|error| Error::output(&path, error))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is writing this report; wait until it is done";
                return Err(Error::output(&page, reason));
            }
            // Not every file system can lock; then only patience helps.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let text = fs::read(&path).map_err(|error| Error::input(&path, error))?;
        let marker = serde_json::from_slice(&text).ok();
        let marker = marker.filter(|marker: &Marker| marker.format == FORMAT);
        let marker = marker.ok_or_else(|| not_ours(&files))?;
        let generation = chance();
        let site = Self {
            page,
            files,
            generation,
            cohort: marker.cohort,
            _lock: lock,
        };
        let folder = site.files.join(&site.generation);
        fs::create_dir_all(&folder).map_err(|error| Error::output(&folder, error))?;
        for (name, text) in ASSETS {
            site.script(name, text.as_bytes())?;
        }
        Ok(site)
    }

    /// Where a small picture lies.
    pub(super) fn picture(&self, key: Key, extension: &str) -> PathBuf {
        let name = format!("{:016x}", key.0);
        let folder = self.files.join("pictures").join(&name[..2]);
        folder.join(format!("{name}.{extension}"))
    }

    /// Writes a file that the page loads.
    pub(super) fn script(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Self::write(&self.files.join(&self.generation).join(name), bytes)
    }

    /// Writes a file, whole or not at all; makes its folder. A report can be made anew: it need not
    /// survive a loss of power.
    pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::output(folder, error))?;
        }
        write_whole(path, Durability::Fast, |file| file.write_all(bytes))?;
        Ok(())
    }

    /// Puts the page in its place, then removes what only the earlier page needed.
    pub(super) fn publish(&self, keys: impl Iterator<Item = Key>) -> Result<()> {
        check_page(&self.page)?;
        let page = HTML.replace("GENERATION", &format!("{FILES}/{}", self.generation));
        Self::write(&self.page, page.as_bytes())?;
        self.remove_old(&keys.collect());
        Ok(())
    }

    /// Old files take room and do no harm: that one cannot be removed fails nothing.
    fn remove_old(&self, keys: &HashSet<Key>) {
        for path in entries(&self.files) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !path.is_symlink() && is_hash(&name) && name != self.generation {
                let _ = fs::remove_dir_all(&path);
            }
        }
        let pictures = self.files.join("pictures");
        let folders: Vec<_> = entries(&pictures).collect();
        for folder in folders.iter().chain([&self.files, &pictures]) {
            let _ = remove_unfinished(folder);
        }
        for path in folders.iter().flat_map(|folder| entries(folder)) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let key = u64::from_str_radix(&stem, 16).map(Key);
            let is_picture = path.extension().is_some_and(|e| e == "jpg" || e == "png");
            if is_picture && is_hash(&stem) && key.is_ok_and(|key| !keys.contains(&key)) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Paths in a folder; none where there is no such folder.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn is_empty(folder: &Path) -> bool {
    folder.is_dir() && entries(folder).next().is_none()
}

fn is_hash(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn chance() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Fails where the page's place is taken by a file that is not ours.
fn check_page(page: &Path) -> Result<()> {
    let mut begin = [0; SIGNATURE.len()];
    match File::open(page).and_then(|mut file| file.read_exact(&mut begin)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(()) if begin == *SIGNATURE.as_bytes() => Ok(()),
        _ => Err(not_ours(page)),
    }
}

fn not_ours(path: &Path) -> Error {
    let reason = "it was not written by `vascx report`; move it elsewhere first";
    Error::output(path, reason)
}
