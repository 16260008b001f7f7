//! The photographs of a folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Input, InputOptions, Inputs, LeftOut, has_extension};
use crate::decode::{HEAD, Kind};
use crate::error::{Error, Result};

/// Files of these names are taken for photographs unseen, so that a damaged one is reported as failed.
const EXTENSIONS: [&str; 11] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "mpo", "tif", "tiff", "bmp", "webp", "dcm",
];

/// Files and folders that operating systems leave behind.
const SYSTEM: [&str; 6] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "$recycle.bin",
];

/// Adds a folder's photographs, sorted by path.
pub(super) fn read(root: &Path, options: InputOptions, inputs: &mut Inputs) -> Result<()> {
    let mut left_out = LeftOut::default();
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| Error::input(&folder, error);
        let entries = match fs::read_dir(&folder) {
            // Such as `lost+found` on a disk of somebody else.
            Err(_) if folder != root => {
                left_out.closed_folders += 1;
                continue;
            }
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let is_link = entry.file_type().map_err(failed)?.is_symlink();
            let Ok(kind) = fs::metadata(&path) else {
                left_out.broken_links += 1;
                continue;
            };
            if is_hidden(&entry.file_name()) {
                left_out.hidden += 1;
            } else if kind.is_dir() {
                // A linked folder may hold the folder that it lies in.
                if !options.recursive || is_link {
                    left_out.folders += 1;
                } else if path.join("journal.jsonl").exists() {
                    left_out.results += 1;
                } else {
                    folders.push(path);
                }
            } else if !kind.is_file() {
                left_out.special += 1;
            } else if is_photograph(&path) {
                files.push(path);
            } else {
                left_out.add_other(&path);
            }
        }
    }
    if files.is_empty() {
        let folder = root.to_owned();
        return Err(Error::EmptyFolder { folder, left_out });
    }
    files.sort_unstable();
    let found = files.into_iter().map(|path: PathBuf| {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let given = path.clone();
        Input::of_file(path, &relative, &given, options)
    });
    inputs.photographs.extend(found);
    inputs.left_out.add(left_out);
    Ok(())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
        || SYSTEM
            .iter()
            .any(|system| name.eq_ignore_ascii_case(system))
}

fn is_photograph(path: &Path) -> bool {
    // The table of contents of a DICOM medium, itself of that format.
    if path
        .file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case("dicomdir"))
    {
        return false;
    }
    if has_extension(path, &EXTENSIONS) {
        return true;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    read.is_ok() && Kind::of(&head).is_ok()
}
