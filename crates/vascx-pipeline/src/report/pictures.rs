//! Pictures of a folder of results, by photograph.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Folders of pictures, in the order of [`Pictures`]' fields.
const FOLDERS: [&str; 4] = ["preprocessed_rgb", "artery_vein", "vessels", "disc"];

/// Where a photograph's pictures lie, all in the crop's space.
#[derive(Clone, Debug, Default)]
pub(super) struct Pictures {
    pub(super) crop: Option<PathBuf>,
    pub(super) artery_vein: Option<PathBuf>,
    pub(super) vessels: Option<PathBuf>,
    pub(super) disc: Option<PathBuf>,
}

impl Pictures {
    /// All in the order of their folders.
    pub(super) fn all(&self) -> [Option<&Path>; 4] {
        [&self.crop, &self.artery_vein, &self.vessels, &self.disc].map(Option::as_deref)
    }

    fn set(&mut self, folder: usize, path: PathBuf) {
        *[
            &mut self.crop,
            &mut self.artery_vein,
            &mut self.vessels,
            &mut self.disc,
        ][folder] = Some(path);
    }
}

/// Lists the pictures of every photograph, and counts files that are none. Names are taken from the
/// folders, never made from ids in tables, so that no id leads out of the folder.
pub(super) fn list(folder: &Path) -> Result<(BTreeMap<String, Pictures>, usize)> {
    let mut found = BTreeMap::<String, Pictures>::new();
    let mut ignored = 0;
    for (index, name) in FOLDERS.into_iter().enumerate() {
        let pictures = folder.join(name);
        if !pictures.is_dir() {
            continue;
        }
        for path in files(&pictures)? {
            let ending = path.extension();
            let is_picture = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
            match path.file_stem().and_then(|stem| stem.to_str()) {
                Some(id) if is_picture && !id.starts_with('.') => {
                    let pictures = found.entry(id.to_owned()).or_default();
                    pictures.set(index, path.clone());
                }
                _ => ignored += 1,
            }
        }
    }
    Ok((found, ignored))
}

/// Files of a folder and of its subfolders, over which outputs may be fanned out.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let unusable = |error| Error::input(&folder, error);
        for entry in fs::read_dir(&folder).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            // Links to folders are not followed: they could lead around in circles.
            if entry.file_type().map_err(unusable)?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}
