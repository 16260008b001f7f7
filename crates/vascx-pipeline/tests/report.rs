//! The report's files: what is written, what is made again, and what is never touched.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, RgbImage};
use tempfile::TempDir;
use vascx_pipeline::Report;

/// A folder of results with pictures of these ids.
fn results(ids: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for id in ids {
        add(folder.path(), id);
    }
    folder
}

fn add(folder: &Path, id: &str) {
    for name in ["preprocessed_rgb", "artery_vein", "disc"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let file = |name: &str| folder.join(name).join(format!("{id}.png"));
    let crop = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, 99]));
    crop.save(file("preprocessed_rgb")).unwrap();
    GrayImage::from_fn(64, 64, |x, _| [(x / 16) as u8].into())
        .save(file("artery_vein"))
        .unwrap();
    GrayImage::from_fn(64, 64, |x, _| [u8::from(x < 9)].into())
        .save(file("disc"))
        .unwrap();
}

fn write(folder: &Path) -> vascx_pipeline::Result<vascx_pipeline::Summary> {
    Report::new(folder).write(|_, _| ())
}

/// Paths below a folder, relative to it, sorted.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// What the page names its scripts' folder, below `report_files`.
fn generation(folder: &Path) -> String {
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let (_, after) = page.split_once("data-data=\"report_files/").unwrap();
    after[..16].to_owned()
}

fn cohort(folder: &Path) -> String {
    fs::read_to_string(folder.join("report_files/vascx-report.json")).unwrap()
}

fn small(folder: &Path) -> Vec<PathBuf> {
    tree(&folder.join("report_files/pictures"))
}

#[test]
fn made_anew_only_our_files_change() {
    let folder = results(&["a", "b"]);
    let path = folder.path();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    fs::create_dir(path.join("overlays")).unwrap();
    fs::write(path.join("overlays/a.png"), "mine").unwrap();
    let before = tree(path);
    let summary = write(path).unwrap();
    assert_eq!(
        (summary.photographs, summary.flagged, summary.unreadable),
        (2, 0, 0)
    );
    assert_eq!(small(path).len(), 4);
    let (first, marks_key) = (generation(path), cohort(path));

    // Files that the user puts among ours stay.
    let stray = path.join("report_files/pictures/mine.jpg");
    fs::write(&stray, "mine").unwrap();
    add(path, "c");
    let times = |names: &[PathBuf]| -> Vec<_> {
        let time = |name: &PathBuf| {
            fs::metadata(path.join("report_files/pictures").join(name))
                .unwrap()
                .modified()
                .unwrap()
        };
        names.iter().map(time).collect()
    };
    let kept: Vec<_> = small(path)
        .into_iter()
        .filter(|name| name.components().count() > 1)
        .collect();
    let before_times = times(&kept);
    write(path).unwrap();
    let second = generation(path);
    assert_ne!(first, second);
    assert!(
        !path.join("report_files").join(&first).exists(),
        "the earlier scripts are gone"
    );
    assert!(
        path.join("report_files")
            .join(&second)
            .join("chunk-0000.js")
            .is_file()
    );
    assert_eq!(
        cohort(path),
        marks_key,
        "marks in browsers stay with their report"
    );
    assert_eq!(
        times(&kept),
        before_times,
        "small pictures are not made again"
    );
    assert_eq!(small(path).len(), 7);

    // A photograph that changed, and one that is gone.
    for name in ["preprocessed_rgb/a.png", "artery_vein/a.png", "disc/a.png"] {
        fs::remove_file(path.join(name)).unwrap();
    }
    fs::write(path.join("preprocessed_rgb/b.png"), "no picture").unwrap();
    assert_eq!(write(path).unwrap().unreadable, 1);
    let left = small(path);
    assert!(
        kept.iter().all(|name| !left.contains(name)),
        "what nobody shows is removed"
    );
    assert!(stray.is_file());
    assert_eq!(fs::read_to_string(path.join("notes.txt")).unwrap(), "mine");
    for name in before
        .iter()
        .filter(|name| !name.to_string_lossy().ends_with("/a.png"))
    {
        assert!(path.join(name).exists(), "{name:?}");
    }
    assert!(
        tree(path)
            .iter()
            .all(|name| !name.to_string_lossy().contains(".partial"))
    );
}

#[test]
fn what_is_not_ours_is_never_replaced() {
    for (name, text) in [
        ("report.html", "<!DOCTYPE html>\n<html>mine"),
        ("report.html", ""),
        ("report_files/notes.txt", "mine"),
        ("report_files/vascx-report.json", "{\"format\": 99}"),
        ("report_files", "mine"),
    ] {
        let folder = results(&["a"]);
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let before = tree(folder.path());
        let error = write(folder.path()).unwrap_err().to_string();
        assert!(error.contains("move it elsewhere"), "{name}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(tree(folder.path()), before, "{name}");
    }
}

#[test]
fn two_at_once_are_one_too_many() {
    let folder = results(&["a"]);
    write(folder.path()).unwrap();
    let marker = folder.path().join("report_files/vascx-report.json");
    let other = fs::File::options()
        .read(true)
        .write(true)
        .open(marker)
        .unwrap();
    other.lock().unwrap();
    let error = write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
    drop(other);
    write(folder.path()).unwrap();
}

#[test]
fn ids_in_tables_lead_nowhere() {
    let folder = results(&["a"]);
    let inside = folder.path().join("out");
    fs::create_dir(&inside).unwrap();
    fs::write(
        inside.join("quality.csv"),
        ",q1\n../../preprocessed_rgb/a,1\n/etc/passwd,2\n",
    )
    .unwrap();
    fs::create_dir(inside.join("preprocessed_rgb")).unwrap();
    let summary = write(&inside).unwrap();
    assert_eq!(summary.photographs, 2);
    assert!(!inside.join("report_files/pictures").exists());
}

#[test]
fn a_folder_without_results_or_with_two_tables_of_biomarkers_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no results"), "{error}");
    assert!(tree(folder.path()).is_empty());
    let error = write(&folder.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("no such folder"), "{error}");
    for name in ["one", "two"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(
            folder.path().join(name).join("biomarkers.csv"),
            "id,x\na,1\n",
        )
        .unwrap();
    }
    let error = write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("say which"), "{error}");
    let mut one = Report::new(folder.path());
    one.biomarkers = Some(folder.path().join("one"));
    assert_eq!(one.write(|_, _| ()).unwrap().photographs, 1);
    let mut none = Report::new(folder.path());
    none.biomarkers = Some(folder.path().to_owned());
    assert!(
        none.write(|_, _| ())
            .unwrap_err()
            .to_string()
            .contains("no biomarkers.csv")
    );
}

#[test]
fn what_kept_eyes_from_being_measured_is_said() {
    let folder = results(&["a", "b", "c"]);
    let measured = folder.path().join("measured");
    fs::create_dir(&measured).unwrap();
    fs::write(measured.join("biomarkers.csv"), "id,x\na,1\nb,\n").unwrap();
    let manifest = "id,status,reason,warnings\na,ok,,odd vessels\nb,failed,no disc,\nc,left out,no row in fovea.csv,\n";
    fs::write(measured.join("manifest.csv"), manifest).unwrap();
    assert_eq!(write(folder.path()).unwrap().flagged, 3);
    let chunk = format!("report_files/{}/chunk-0000.js", generation(folder.path()));
    let chunk = fs::read_to_string(folder.path().join(chunk)).unwrap();
    for text in ["odd vessels", "no disc", "no row in fovea.csv"] {
        assert!(chunk.contains(text), "{text}");
    }
    assert!(
        !chunk.contains("not one biomarker"),
        "the reason is said once"
    );
}

#[test]
fn outputs_fanned_out_over_folders_are_found() {
    let folder = results(&["a"]);
    for name in ["preprocessed_rgb", "artery_vein", "disc"] {
        let kind = folder.path().join(name);
        fs::create_dir(kind.join("7f")).unwrap();
        fs::rename(kind.join("a.png"), kind.join("7f/a.png")).unwrap();
    }
    fs::write(folder.path().join("disc/Thumbs.db"), "").unwrap();
    let summary = write(folder.path()).unwrap();
    assert_eq!(
        (summary.photographs, summary.unreadable, summary.ignored),
        (1, 0, 1)
    );
    assert_eq!(small(folder.path()).len(), 2);
    let chunk = format!("report_files/{}/chunk-0000.js", generation(folder.path()));
    let chunk = fs::read_to_string(folder.path().join(chunk)).unwrap();
    assert!(chunk.contains("\"folders\":[\"7f/\"]"), "{chunk}");
}
