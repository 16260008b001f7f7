//! Converted models, kept so that they are converted once.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use vascx_format::{Model, hexadecimal};
use vascx_inference::{Durability, write_whole};
use vascx_models::Precision;

use crate::error::Result;

/// A folder of converted models, found by the content of the files that they were made of. It can be
/// deleted at any time. Where it cannot be written, models are converted every time.
#[derive(Clone, Debug, Default)]
pub struct ModelCache {
    folder: Option<PathBuf>,
    /// Which program converted; another build may convert better.
    build: String,
}

/// Where programs of this user keep what they can make again; none without a home.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = variable("XDG_CACHE_HOME")
        .or_else(|| variable("LOCALAPPDATA"))
        .or_else(|| Some(std::env::home_dir()?.join(".cache")));
    cache.map(|cache| cache.join("vascx"))
}

impl ModelCache {
    /// The user's own, for a build of the program: `vascx/models` in `XDG_CACHE_HOME` or `~/.cache`.
    pub fn of_user(build: &str) -> Self {
        Self {
            folder: cache_folder().map(|cache| cache.join("models")),
            build: build.to_owned(),
        }
    }

    /// In a folder.
    pub fn at(folder: impl Into<PathBuf>, build: &str) -> Self {
        Self {
            folder: Some(folder.into()),
            build: build.to_owned(),
        }
    }

    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Opens a model, from its converted copy where there is one, and says what was assumed when it
    /// was converted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, path: &Path) -> Result<(Model, Vec<String>)> {
        if let Some(found) = self.open_kept(path) {
            return Ok(found);
        }
        let model = vascx_convert::Model::open(path)?;
        let notes = model.notes().to_vec();
        let kept = self.keep(path, &model);
        // From the copy now as later, so that all runs have the same file of weights.
        match kept.and_then(|kept| Model::open(kept).ok()) {
            Some(copy) => Ok((copy, notes)),
            None => Ok((model.into(), notes)),
        }
    }

    fn open_kept(&self, path: &Path) -> Option<(Model, Vec<String>)> {
        let kept = self.place(path)?;
        let model = Model::open(&kept).ok()?;
        let notes = fs::read_to_string(notes_of(&kept)).ok()?;
        Some((model, notes.lines().map(str::to_owned).collect()))
    }

    /// Writes the converted copy, unless somebody else has meanwhile.
    fn keep(&self, path: &Path, model: &vascx_convert::Model) -> Option<PathBuf> {
        let kept = self.place(path)?;
        fs::create_dir_all(kept.parent()?).ok()?;
        let notes = model
            .notes()
            .iter()
            .map(|note| format!("{}\n", one_line(note)));
        write(&notes_of(&kept), &notes.collect::<String>()).ok()?;
        // One that is there could not be read, or another process has just made it.
        let saved = model.save(&kept, Precision::F32, kept.exists());
        (saved.is_ok() || kept.exists()).then_some(kept)
    }

    /// Where the copy of a file belongs; none of a folder, or without a cache.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        let content = self.content_of(path)?;
        let version = env!("CARGO_PKG_VERSION");
        let name = format!("{content} {version} {}", self.build);
        Some(folder.join(hexadecimal(&Sha256::digest(name.as_bytes()))))
    }

    /// SHA-256 of a file. Since that takes as long as loading a large model, it is looked up by path,
    /// length and time of change first.
    fn content_of(&self, path: &Path) -> Option<String> {
        let metadata = path.metadata().ok().filter(fs::Metadata::is_file)?;
        let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let real = path.canonicalize().ok()?;
        let file = format!(
            "{}\n{}\n{}",
            real.display(),
            metadata.len(),
            changed.as_nanos()
        );
        let index = self.folder.as_deref()?.join("known");
        let entry = index.join(hexadecimal(&Sha256::digest(file.as_bytes())));
        let is_digest =
            |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(known) = fs::read_to_string(&entry).ok().filter(is_digest) {
            return Some(known);
        }
        let content = hash_file(path).ok()?;
        // That it cannot be kept costs time only.
        if fs::create_dir_all(&index).is_ok() {
            let _ = write(&entry, &content);
        }
        Some(content)
    }
}

/// Beside a converted model: what was assumed when it was converted, a line each.
fn notes_of(kept: &Path) -> PathBuf {
    kept.with_extension("notes")
}

/// Writes a small file of the cache, whole or not at all; what a loss of power takes is made again.
fn write(path: &Path, text: &str) -> vascx_inference::Result<()> {
    write_whole(path, Durability::Fast, |file| {
        file.write_all(text.as_bytes())
    })
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}
