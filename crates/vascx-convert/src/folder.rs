//! Checkpoints of several files: folders as the Hugging Face hub has them, and indexes of parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vascx_format::Model;

use crate::error::{Error, Result};

/// Largest index.
const MAX_INDEX: u64 = 16 << 20;
/// What the hub's libraries call their weights, best first.
const WEIGHTS: [&str; 3] = [
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
];
/// How names of checkpoints end.
const ENDINGS: [&str; 8] = [
    "pt",
    "pth",
    "ckpt",
    "bin",
    "safetensors",
    "onnx",
    "tar",
    "pt2",
];
/// Names listed in messages.
const MAX_LISTED: usize = 12;

/// Whether this is a folder of weights or an index of parts, rather than one file.
pub(crate) fn is_several(path: &Path) -> bool {
    path.is_dir() || is_index(path)
}

fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".index.json")
}

/// The files of a checkpoint: itself, the parts that an index lists, or those of a folder.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_dir() {
        return of_folder(path);
    }
    if is_index(path) {
        return parts(path).map_err(|error| error.in_file(path));
    }
    Ok(vec![path.to_owned()])
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    if Model::is_directory(folder) {
        return Err(Error::Foreign {
            expected: "checkpoint",
            reason: "it is a model directory, converted already, and can be used as it is".into(),
        });
    }
    let indexes: Vec<&String> = names
        .iter()
        .filter(|name| is_index(Path::new(name)))
        .collect();
    let weights = WEIGHTS
        .iter()
        .find(|&&wanted| names.iter().any(|name| name == wanted));
    if let Some(weights) = weights {
        return Ok(vec![folder.join(weights)]);
    }
    if let [index] = indexes[..] {
        let index = folder.join(index);
        return parts(&index).map_err(|error| error.in_file(&index));
    }
    let ending = |name: &&String| {
        let extension = Path::new(name).extension().unwrap_or_default();
        ENDINGS
            .iter()
            .any(|ending| extension.eq_ignore_ascii_case(ending))
    };
    let checkpoints: Vec<&str> = names.iter().filter(ending).map(String::as_str).collect();
    let reason = match checkpoints[..] {
        [] => "a folder without model.json, weights of the Hugging Face hub or a checkpoint".into(),
        [only] => format!(
            "a folder; pass the checkpoint in it: {}",
            folder.join(only).display()
        ),
        _ => {
            let listed = checkpoints[..checkpoints.len().min(MAX_LISTED)].join(", ");
            format!(
                "a folder that holds {} checkpoints; pass one of them: {listed}",
                checkpoints.len()
            )
        }
    };
    Err(Error::Foreign {
        expected: "model directory",
        reason,
    })
}

/// The part of an index that says where tensors lie.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn parts(index: &Path) -> Result<Vec<PathBuf>> {
    let invalid = |reason: String| Error::Foreign {
        expected: "index of weights",
        reason,
    };
    if std::fs::metadata(index)?.len() > MAX_INDEX {
        return Err(invalid(format!("it has more than {MAX_INDEX} bytes")));
    }
    let text = std::fs::read_to_string(index)?;
    let Index { weight_map } =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let files: BTreeSet<String> = weight_map.into_values().collect();
    if files.is_empty() {
        return Err(invalid("it lists no file".into()));
    }
    let folder = index.parent().unwrap_or(Path::new(""));
    let files = files.into_iter().map(|name| {
        // Only files beside the index are opened, whatever it says.
        let mut components = Path::new(&name).components();
        let plain = matches!(
            (components.next(), components.next()),
            (Some(std::path::Component::Normal(_)), None)
        );
        if !plain || name.contains('\\') {
            return Err(invalid(format!("`{name}` is not beside it")));
        }
        let path = folder.join(&name);
        if !path.is_file() {
            return Err(invalid(format!("`{name}`, which it lists, is missing")));
        }
        Ok(path)
    });
    files.collect()
}
