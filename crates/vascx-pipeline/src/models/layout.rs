//! Where models lie in a folder in the published layout.

use std::fs;
use std::path::{Path, PathBuf};

use vascx_inference::Role;

use crate::error::{Error, Result};

/// Names of released models without their ending, newest first.
fn known(role: Role) -> &'static [&'static str] {
    match role {
        Role::Quality => &["quality"],
        Role::ArteryVein => &["av_wsoft_patches_02_finetune", "av_july24"],
        Role::Vessels => &["vessels_may26", "vessels_july24"],
        Role::Disc => &["disc_may26", "disc_july24"],
        Role::Fovea => &["fovea_may26", "fovea_july24"],
    }
}

/// The released model of a step, on the hub.
pub(super) fn released(role: Role) -> &'static str {
    match role {
        Role::Quality => "Eyened/vascx:quality/quality.pt",
        Role::ArteryVein => "Eyened/vascx:artery_vein/av_wsoft_patches_02_finetune.pt",
        Role::Vessels => "Eyened/vascx:vessels/vessels_may26.pt",
        Role::Disc => "Eyened/vascx:disc/disc_may26.pt",
        Role::Fovea => "Eyened/vascx:fovea/fovea_may26.pt",
    }
}

/// The model of a step: one of the released names as `.pt`, `.onnx` or model directory, newest first;
/// else the only model in the step's folder; else a file or model directory called as the step. Or why
/// there is none.
///
/// # Errors
/// When the step's folder holds several models of other names.
pub(super) fn find(folder: &Path, role: Role) -> Result<Result<PathBuf, String>> {
    let own = folder.join(role.name());
    if is_directory(&own) {
        return Ok(Ok(own));
    }
    for name in known(role) {
        if let Some(found) = named(&own, name) {
            return Ok(Ok(found));
        }
    }
    let others = models(&own);
    match others.as_slice() {
        [only] => return Ok(Ok(only.clone())),
        [] => {}
        [first, second, ..] => {
            let reason = format!(
                "it holds several models, {} and {}; keep one, or name the one to use",
                first.display(),
                second.display()
            );
            return Err(Error::input(&own, reason));
        }
    }
    Ok(named(folder, role.name()).ok_or_else(|| {
        let expected = released(role).split_once(':').map_or("", |(_, path)| path);
        format!("{} has no {expected}", folder.display())
    }))
}

/// A model of a name in a folder.
fn named(folder: &Path, name: &str) -> Option<PathBuf> {
    let files = ["pt", "onnx"].map(|ending| folder.join(format!("{name}.{ending}")));
    let file = files.into_iter().find(|path| path.is_file());
    let directory = folder.join(name);
    file.or_else(|| is_directory(&directory).then_some(directory))
}

fn is_directory(path: &Path) -> bool {
    path.join("model.json").is_file()
}

/// All models in a folder, sorted.
fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut models: Vec<PathBuf> = entries
        .map(|entry: fs::DirEntry| entry.path())
        .filter(|path| {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let is_file = path.is_file()
                && path.extension().is_some_and(|ending| {
                    ["pt", "onnx"]
                        .iter()
                        .any(|known| ending.eq_ignore_ascii_case(known))
                });
            !hidden && (is_file || is_directory(path))
        })
        .collect();
    models.sort_unstable();
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, file: &str) -> PathBuf {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn the_newest_release_is_taken_then_the_only_model_then_the_step_s_name() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let find = |role| find(root, role).unwrap().unwrap();
        let flat = touch(root, "vessels.pt");
        assert_eq!(find(Role::Vessels), flat);
        let own = touch(root, "vessels/mine.onnx");
        touch(root, "vessels/._mine.onnx");
        touch(root, "vessels/notes.txt");
        assert_eq!(find(Role::Vessels), own);
        let old = touch(root, "vessels/vessels_july24.pt");
        assert_eq!(find(Role::Vessels), old);
        let onnx = touch(root, "vessels/vessels_may26.onnx");
        assert_eq!(find(Role::Vessels), onnx);
        let new = touch(root, "vessels/vessels_may26.pt");
        assert_eq!(find(Role::Vessels), new);
        let converted = touch(root, "disc/disc_may26/model.json");
        assert_eq!(find(Role::Disc), converted.parent().unwrap());
    }

    #[test]
    fn none_is_said_and_several_are_an_error() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let reason = find(root, Role::Fovea).unwrap().unwrap_err();
        assert!(reason.contains("fovea/fovea_may26.pt"), "{reason}");
        touch(root, "fovea/a.pt");
        touch(root, "fovea/b.pt");
        let error = find(root, Role::Fovea).unwrap_err().to_string();
        assert!(error.contains("a.pt") && error.contains("b.pt"), "{error}");
    }
}
