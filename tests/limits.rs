//! What a run may take: memory and processors.
#![cfg(target_os = "linux")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::prediction::{QUALITY, SEGMENTATION, model, peak, predict, rows};
use harness::{DEVICE, Workspace, fixture};

/// A plain photograph, which takes next to nothing as a file.
fn large(path: &Path, width: u32, height: u32) {
    image::RgbImage::from_pixel(width, height, image::Rgb([90, 40, 20]))
        .save(path)
        .unwrap();
}

/// A small JPEG file that declares a picture of this size.
fn as_jpeg(path: &Path, width: u16, height: u16) {
    let mut jpeg = fs::read(fixture("jpeg/baseline_420_odd.jpg")).unwrap();
    let frame = jpeg.windows(3).position(|w| w == [0xff, 0xc0, 0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    fs::write(path, jpeg).unwrap();
}

#[test]
fn a_photograph_that_takes_more_memory_than_may_be_taken_fails_alone() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    large(&workspace.path("photos/a.png"), 300, 200);
    large(&workspace.path("photos/large.png"), 4000, 3000);
    large(&workspace.path("photos/z.png"), 300, 200);
    as_jpeg(&workspace.path("photos/other.jpg"), 4000, 3000);
    for model in [model(SEGMENTATION), model(QUALITY)] {
        let run = workspace.vascx(1, &predict(&model, &["--memory", "40MB", "--overwrite"]));
        run.error_names(&[
            "photos/large.png: 4000 × 3000 pixels take about ",
            "photos/other.jpg: 4000 × 3000 pixels take about ",
            "photographs may take 40 MB",
        ]);
        let manifest = rows(&workspace, "manifest.csv");
        let failed = manifest.iter().filter(|row| row.contains(",failed,"));
        assert_eq!((failed.count(), manifest.len()), (2, 4), "{manifest:?}");
    }
    let squares = [
        "preprocess",
        "--mode",
        "simple",
        "--size",
        "64",
        "--out",
        "squares",
    ];
    let run = workspace.vascx(1, &[&squares[..], &["--memory", "40MB", "photos"]].concat());
    run.error_names(&["photographs may take 40 MB"]);
    assert_eq!(workspace.list("squares/rgb"), ["a.png", "z.png"]);
    for wrong in ["", "much", "0", "-1GB"] {
        let memory = format!("--memory={wrong}");
        let model = model(QUALITY);
        workspace
            .vascx(2, &predict(&model, &[&memory]))
            .error_names(&["500MB or 2GB"]);
    }
}

/// Address space that is taken is nobody's end, whether the bound for photographs knows of it or not.
#[test]
fn where_there_is_no_memory_the_photograph_that_takes_it_fails_alone() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    large(&workspace.path("photos/a.png"), 300, 200);
    // 360 MB as it is stored, thrice as much in colours.
    image::GrayImage::from_pixel(20_000, 18_000, image::Luma([50]))
        .save(workspace.path("photos/large.png"))
        .unwrap();
    as_jpeg(&workspace.path("photos/other.jpg"), 30_000, 30_000);
    large(&workspace.path("photos/z.png"), 300, 200);
    for (name, more) in [
        (SEGMENTATION, &["--overlay", "--overwrite"][..]),
        (QUALITY, &["--overwrite"]),
        (SEGMENTATION, &["--memory", "100GB", "--overwrite"]),
        (QUALITY, &["--memory", "100GB", "--overwrite"]),
    ] {
        let model = model(name);
        let run = workspace.vascx_in_one_gibibyte(1, &predict(&model, more));
        run.error_names(&["photos/large.png", "photos/other.jpg"]);
        let manifest = rows(&workspace, "manifest.csv");
        for (id, status) in [
            ("a", "ok"),
            ("large", "failed"),
            ("other", "failed"),
            ("z", "ok"),
        ] {
            let row = |row: &&String| row.starts_with(&format!("{id},")) && row.contains(status);
            assert_eq!(manifest.iter().filter(row).count(), 1, "{id}: {manifest:?}");
        }
    }
}

/// Many large photographs, of which each alone fits.
#[test]
fn photographs_under_way_take_no_more_memory_than_they_may() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    large(&workspace.path("photos/p0.png"), 60, 40);
    let model = model(SEGMENTATION);
    let run = |memory: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        let more = ["--memory", memory, "--overlay", "--save-probabilities"];
        command.args(predict(
            &model,
            &[&more[..], &["--overwrite", "--quiet"]].concat(),
        ));
        command
            .current_dir(workspace.path("."))
            .stdout(Stdio::null());
        let (bytes, code) = peak(command);
        assert_eq!(code, Some(0));
        bytes
    };
    let alone = run("100GB");
    for index in 1..9 {
        large(&workspace.path(&format!("photos/p{index}.png")), 3000, 2000);
    }
    let budget = 260_000_000;
    let bounded = run("260MB");
    println!("{alone} alone, {bounded} of nine within {budget}");
    assert!(bounded < alone + budget, "{bounded}, {alone} alone");
}

#[test]
fn there_are_never_more_threads_than_processors() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..30 {
        large(&workspace.path(&format!("photos/p{index}.png")), 80, 60);
    }
    let model = model(QUALITY);
    let most = |asked: Option<usize>, variable: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.args(predict(&model, &["--overwrite", "--batch-size", "1"]));
        command.args(asked.map(|threads| format!("--threads={threads}")));
        command.env_remove("RAYON_NUM_THREADS");
        if let Some(number) = variable {
            command.env("RAYON_NUM_THREADS", number);
        }
        command.current_dir(workspace.path("."));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            let tasks = fs::read_dir(format!("/proc/{}/task", child.id()));
            most = most.max(tasks.map_or(0, Iterator::count));
        }
        assert_eq!(child.wait().unwrap().code(), Some(0));
        most
    };
    let default = most(None, None);
    // Those that only wait for a while may come and go.
    for (asked, variable) in [
        (Some(128), None),
        (None, Some("128")),
        (Some(500), Some("3")),
    ] {
        let found = most(asked, variable);
        assert!(
            found <= default + 4,
            "{asked:?}, {variable:?}: {found} threads, {default} by default"
        );
    }
    assert!(most(Some(1), Some("64")) <= default);
    workspace
        .vascx(
            2,
            &predict(&model, &["--threads", "0", "--device", *DEVICE]),
        )
        .error_names(&["--threads"]);
}
