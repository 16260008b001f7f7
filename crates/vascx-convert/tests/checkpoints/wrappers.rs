//! Weights come out the same however a training script wrapped them. The plain file is checked
//! against PyTorch's answers in `state_dicts.rs`.

use std::path::{Path, PathBuf};

use crate::comparison::fixture;
use vascx_convert::{ConvertOptions, Model};
use vascx_models::Precision;

fn convert(path: &Path, key: Option<&str>) -> vascx_convert::Result<Model> {
    let options = ConvertOptions {
        key: key.map(Into::into),
        ..ConvertOptions::default()
    };
    Model::convert(path, &options)
}

fn wrapped(file: &str) -> PathBuf {
    fixture("wrappers").join(file)
}

fn plain(index: usize) -> Model {
    let path = fixture(&format!("state_dicts/ensemble_{index}.pt"));
    convert(&path, None).unwrap()
}

/// The weights as they would be written.
fn weights(model: &Model) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("model");
    model.save(&directory, Precision::F32, false).unwrap();
    std::fs::read(directory.join("weights.safetensors")).unwrap()
}

/// The file holds the weights of the plain one; gives the notes.
fn same(file: &str, key: Option<&str>) -> String {
    let model = convert(&wrapped(file), key).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(model.manifest().members, 1, "{file}");
    assert!(weights(&model) == weights(&plain(0)), "{file}");
    model.notes().join("\n")
}

fn refused(file: &str, key: Option<&str>, parts: &[&str]) {
    let message = convert(&wrapped(file), key).err().expect(file).to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn every_pickle_protocol_is_read() {
    for format in ["protocol", "legacy"] {
        for protocol in [0, 1, 3, 4, 5] {
            same(&format!("{format}_{protocol}.pth"), None);
        }
    }
}

#[test]
fn objects_beside_the_weights_are_opaque_and_named() {
    for file in ["beside.pth.tar", "beside_2.pth"] {
        let notes = same(file, None);
        for part in [
            "weights taken from `state_dict`",
            "best_acc1",
            "objects not looked into",
        ] {
            assert!(notes.contains(part), "{file}: {notes}");
        }
    }
}

#[test]
fn prefixes_under_which_one_network_fits_are_stripped() {
    let notes = same("prefix.pth", None);
    assert!(
        notes.contains("`segmentor.backbone_of_ours.` stripped"),
        "{notes}"
    );
    same("compiled.pth", None);
    same("generator.pth", None);
    same("generator_flat.pth", None);
}

#[test]
fn weights_beside_others_are_chosen_by_key() {
    let notes = same("ema_beside.pth", Some("state_dict_ema"));
    assert!(!notes.contains("weights taken"), "{notes}");
    let default = convert(&wrapped("ema_beside.pth"), None).unwrap();
    assert!(weights(&default) == weights(&plain(1)));
    let notes = default.notes().join("\n");
    assert!(notes.contains("--key state_dict_ema"), "{notes}");

    let notes = same("ema_flat.pth", None);
    assert!(notes.contains("--key model_ema"), "{notes}");
    same("ema_flat.pth", Some("model"));
    same("student_teacher.pth", Some("teacher"));
    refused("student_teacher.pth", None, &["--key student"]);
    refused("student_teacher.pth", Some("nobody"), &["nobody", "--key"]);
    // The layer beside the network may be its last.
    refused(
        "head_beside.pth",
        None,
        &["classifier.weight", "--key unet"],
    );
    same("head_beside.pth", Some("unet"));
    same("folds.pth", Some("fold_0"));
    same("list.pth", Some("0"));
    refused("fovea_july24.pt", Some("model"), &["leave --key out"]);
}

#[test]
fn lists_and_dictionaries_of_folds_are_members() {
    let files = [0, 1].map(|index| fixture(&format!("state_dicts/ensemble_{index}.pt")));
    let together = Model::convert_ensemble(&files, &ConvertOptions::default()).unwrap();
    for file in ["folds.pth", "list.pth"] {
        let model = convert(&wrapped(file), None).unwrap();
        assert_eq!(model.manifest().members, 2, "{file}");
        assert!(weights(&model) == weights(&together), "{file}");
    }
}

#[test]
fn whole_modules_and_objects_are_walked_never_built() {
    same("module.pth", None);
    same("module_parallel.pth", None);
    same("dictionary_of_its_own.pth", None);
    let notes = same("object.pth", None);
    assert!(notes.contains("`shadow`"), "{notes}");
}

#[test]
fn folders_of_the_hub_are_put_together() {
    let notes = same("hub_folder", None);
    assert!(notes.contains("2 files"), "{notes}");
    same("hub_folder/model.safetensors.index.json", None);
    refused("hub_folder/config.json", None, &["begins like none"]);
}

#[test]
fn indexes_open_nothing_but_files_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    for (text, part) in [
        (
            r#"{"weight_map": {"a": "../secret.safetensors"}}"#,
            "not beside",
        ),
        (r#"{"weight_map": {"a": "/etc/passwd"}}"#, "not beside"),
        (r#"{"weight_map": {"a": "gone.safetensors"}}"#, "missing"),
        (r#"{"weight_map": {}}"#, "no file"),
        ("[1]", "index"),
    ] {
        std::fs::write(&index, text).unwrap();
        for path in [&index, &folder.path().to_owned()] {
            let message = convert(path, None).err().unwrap().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn folders_say_what_to_pass() {
    let folder = tempfile::tempdir().unwrap();
    let message = |folder: &Path| Model::open(folder).err().unwrap().to_string();
    assert!(message(folder.path()).contains("model.json"));
    for name in ["a.pt", "b.pth"] {
        std::fs::write(folder.path().join(name), b"").unwrap();
    }
    let message = message(folder.path());
    for part in ["2 checkpoints", "a.pt, b.pth"] {
        assert!(message.contains(part), "{message}");
    }
    let converted = fixture("model_directories/version_1");
    let message = convert(&converted, None).err().unwrap().to_string();
    assert!(message.contains("converted already"), "{message}");
}

/// The files that training scripts left, where they are at hand.
#[test]
fn checkpoints_of_training_scripts_convert() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/checkpoints");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let mut count = 0;
    let mut plain = None;
    for entry in entries {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            continue;
        }
        let options = ConvertOptions {
            config: Some(config.clone()),
            ..ConvertOptions::default()
        };
        let model = Model::convert(&path, &options);
        let model = model.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let folds = path.ends_with("dict_of_folds.pth");
        let members = if folds { 2 } else { 1 };
        assert_eq!(model.manifest().members, members, "{}", path.display());
        // All but the folds and the programs hold the same network.
        if !folds && model.manifest().architecture.family() == "basicunet" {
            let weights = weights(&model);
            assert!(
                *plain.get_or_insert_with(|| weights.clone()) == weights,
                "{}",
                path.display()
            );
        }
        count += 1;
    }
    assert!(count >= 15, "{count} checkpoints");
}

#[test]
fn files_that_are_no_checkpoints_are_called_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let zip = |entry: &str| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(entry, options).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let release = std::fs::read(wrapped("fovea_july24.pt")).unwrap();
    for (bytes, part) in [
        (b"".to_vec(), "it is empty"),
        (b"\n<!DOCTYPE html><html>".to_vec(), "web page"),
        // In Latin-1, and cut inside a letter.
        (b"<html><title>Mod\xe8le</title>".to_vec(), "web page"),
        (
            ["<HTML>", &"\u{e8}".repeat(600)].concat().into(),
            "web page",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid".to_vec(),
            "git lfs pull",
        ),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), "HDF5"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec(), "photograph"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "photograph"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "unpack"),
        (
            b"\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94.".to_vec(),
            "torch.save",
        ),
        (release[..release.len() - 400].to_vec(), "cut short"),
        (zip("model/archive_format"), "torch.jit.trace"),
        (zip("serialized_exported_program.json"), ".pt2"),
        (zip("a/model_final.pth"), "unpack"),
        (zip("arr_0.npy"), "NumPy"),
        (zip("word/document.xml"), "data.pkl"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let message = convert(&path, None).err().unwrap().to_string();
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
