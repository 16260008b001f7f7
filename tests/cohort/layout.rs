//! What `run-models` writes, and what of it single steps write.

use std::fs;
use std::process::Command;

use image::imageops::FilterType;

use super::harness::DEVICE;
use super::harness::small_job::{has_strace, traced_calls};
use super::{Cohort, MODELS, assert_same, results};

/// Distinct values of an 8-bit map of 1024² pixels.
fn classes(path: &std::path::Path) -> Vec<u8> {
    let map = image::open(path).unwrap();
    assert_eq!((map.width(), map.height()), (1024, 1024));
    let mut classes = map.as_luma8().expect("8-bit classes").as_raw().clone();
    classes.sort_unstable();
    classes.dedup();
    classes
}

fn header(cohort: &Cohort, file: &str) -> String {
    cohort.read(file).lines().next().unwrap().to_owned()
}

#[test]
fn the_layout_is_the_reference_s() {
    let cohort = Cohort::new(4);
    let run = cohort.run(0, "run-models", "out", &["--native"]);
    assert!(run.stdout.contains("4 done, 0 failed"), "{}", run.stdout);
    assert!(
        run.stdout.contains("photographs a second; reading"),
        "{}",
        run.stdout
    );
    for (folder, most) in [("artery_vein", 3), ("vessels", 1), ("disc", 1)] {
        for id in ["p00", "p03"] {
            let path = cohort.path(&format!("out/{folder}/{id}.png"));
            assert!(classes(&path).into_iter().all(|class| class <= most));
        }
        // In the photographs' own pixels.
        let native = image::image_dimensions(cohort.path(&format!("out/native/{folder}/p00.png")));
        assert_eq!(native.unwrap(), (180, 140));
    }
    for folder in ["preprocessed_rgb", "overlays"] {
        let picture = image::open(cohort.path(&format!("out/{folder}/p01.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), (1024, 1024));
        assert!(picture.as_rgb8().is_some());
    }
    assert_eq!(header(&cohort, "out/fovea.csv"), ",x_fovea,y_fovea");
    assert_eq!(header(&cohort, "out/quality.csv"), ",q1,q2,q3,p1,p2,p3");
    assert_eq!(header(&cohort, "out/bounds.csv"), "id,success,bounds");
    let summary = header(&cohort, "out/summary.csv");
    assert!(summary.starts_with("id,plausible,quality_entropy,quality_spread,artery_probability"));
    let bounds = cohort.table("out/bounds.csv");
    assert_eq!(bounds["p00"][0], "True");
    assert!(
        bounds["p00"][1].starts_with("{'hw': (140, 180), 'center': ("),
        "{bounds:?}"
    );
    for (_, cells) in cohort.table("out/quality.csv") {
        let numbers: Vec<f64> = cells.iter().map(|cell| cell.parse().unwrap()).collect();
        let sum: f64 = numbers[3..].iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{numbers:?}");
    }
    let run: serde_json::Value = serde_json::from_str(&cohort.read("out/run.json")).unwrap();
    let record = &run["record"];
    assert_eq!(record["done"], 4, "{record}");
    assert!(
        record["seconds"]["artery_vein"].as_f64().unwrap() > 0.0,
        "{record}"
    );
    assert!(
        record["command_line"].to_string().contains("run-models"),
        "{record}"
    );
}

/// By the bytes that the system has handed out, whatever the program says of itself: once whole, and
/// the blocks by which a resumed run knows it again.
#[test]
#[cfg(target_os = "linux")]
fn photographs_are_read_once_for_all_models() {
    if !has_strace() {
        return;
    }
    let cohort = Cohort::new(4);
    for index in 0..4 {
        let path = cohort.path(&format!("photos/p{index:02}.png"));
        let eye = super::eye(index);
        let (width, height) = (4 * eye.width(), 4 * eye.height());
        let eye = image::imageops::resize(&eye, width, height, FilterType::Triangle);
        eye.save(path).unwrap();
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "0", "-o", "trace", "-e"]);
    strace.arg("trace=read,pread64,readv,preadv,preadv2,mmap");
    strace.arg(env!("CARGO_BIN_EXE_vascx"));
    strace.args(Cohort::command("run-models", "out", &["--native"]));
    strace.env("XDG_CACHE_HOME", cohort.path("cache"));
    let run = strace.current_dir(cohort.path(".")).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let calls = traced_calls(&cohort.read("trace"));
    for index in 0..4 {
        let name = format!("photos/p{index:02}.png>");
        let size = fs::metadata(cohort.path(name.trim_end_matches('>')))
            .unwrap()
            .len();
        let of_it = calls.iter().filter(|call| call.contains(&name));
        let read = of_it.map(|call| {
            assert!(!call.starts_with("mmap"), "{call}");
            let (_, result) = call.rsplit_once(" = ").unwrap();
            result.parse::<u64>().unwrap_or_else(|_| panic!("{call}"))
        });
        let read = read.sum::<u64>();
        // Of three kinds: what the file is, how large, and the blocks.
        let blocks = 9 * 4096;
        assert!(blocks < size / 2, "too small to tell: {size}");
        assert!(
            (size..=size + blocks).contains(&read),
            "{read} bytes of {size}"
        );
    }
}

/// One job of all models gives what jobs of each of them give.
#[test]
fn every_model_answers_as_it_does_alone() {
    let cohort = Cohort::new(3);
    cohort.run(0, "run-models", "out", &[]);
    for (place, _) in MODELS {
        let (folder, _) = place.split_once('/').unwrap();
        let model = format!("models/{place}");
        let arguments = [
            "predict",
            "--model",
            &model,
            "--out",
            folder,
            "--device",
            *DEVICE,
            "--quiet",
            "--preprocess",
            "crop",
            "--keypoints",
            "mean_of_argmax",
            "out/preprocessed_rgb",
        ];
        cohort.workspace.vascx(0, &arguments);
        for id in ["p00", "p01", "p02"] {
            let alone = |file: &str| fs::read(cohort.path(folder).join(file)).unwrap();
            let together = || fs::read(cohort.path("out").join(folder).join(format!("{id}.png")));
            match folder {
                "quality" => {
                    let alone = &cohort.table("quality/predictions.csv")[id];
                    let together = &cohort.table("out/quality.csv")[id][3..];
                    for (alone, together) in alone.iter().zip(together) {
                        let [alone, together] =
                            [alone, together].map(|cell| cell.parse::<f64>().unwrap());
                        assert!((alone - together).abs() < 1e-6);
                    }
                }
                "fovea" => {
                    let alone = &cohort.table("fovea/predictions.csv")[id];
                    let together = &cohort.table("out/fovea.csv")[id];
                    for (alone, together) in alone.iter().zip(together) {
                        // predictions.csv has three decimals.
                        let [alone, together] =
                            [alone, together].map(|cell| cell.parse::<f64>().unwrap());
                        assert!((alone - together).abs() < 1e-3);
                    }
                }
                _ => assert!(
                    alone(&format!("{id}.png")) == together().unwrap(),
                    "{folder} {id}"
                ),
            }
        }
    }
}

#[test]
fn steps_are_left_out_on_request_or_for_want_of_a_model() {
    let cohort = Cohort::new(2);
    fs::remove_dir_all(cohort.path("models/vessels")).unwrap();
    let run = cohort.run(0, "run-models", "out", &["--no-quality", "--no-overlay"]);
    assert!(
        run.stderr.contains("vessels is left out") && run.stderr.contains("vessels_may26.pt"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("quality"), "{}", run.stderr);
    for absent in ["vessels", "quality.csv", "overlays"] {
        assert!(!cohort.path("out").join(absent).exists(), "{absent}");
    }
    // A step that is done later leaves what is there.
    let before = results(&cohort.path("out"));
    let others = ["--no-vessels", "--no-disc", "--no-fovea"];
    let refused = cohort.run(2, "run-models", "out", &others);
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    cohort.run(
        0,
        "run-models",
        "out",
        &[&others[..], &["--overwrite"]].concat(),
    );
    let after = results(&cohort.path("out"));
    for file in ["fovea.csv", "artery_vein/p00.png", "disc/p01.png"] {
        assert!(before[file] == after[file], "{file}");
    }
    assert!(after.contains_key("quality.csv") && after.contains_key("overlays/p00.png"));
    // Nothing left to do.
    let nothing = ["--no-vessels", "--no-disc", "--no-fovea", "--no-quality"];
    let run = cohort.run(2, "run-models", "none", &nothing);
    run.error_names(&["no model for any step"]);
    // The later of two switches counts, and the folder may come from the environment.
    let switches = [
        "--no-disc",
        "--disc",
        "--no-fovea",
        "--no-quality",
        "--no-vessels",
    ];
    let mut arguments = vec![
        "run-models",
        "photos",
        "disc_only",
        "--device",
        *DEVICE,
        "--quiet",
    ];
    arguments.extend(switches);
    let variables = [
        ("XDG_CACHE_HOME", cohort.path("cache")),
        ("VASCX_MODEL_DIR", cohort.path("models")),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, path)| (*name, path.as_path()));
    cohort.workspace.vascx_with(0, &arguments, &variables);
    assert!(cohort.path("disc_only/disc/p00.png").exists());
}

#[test]
fn crops_are_taken_as_they_are() {
    let cohort = Cohort::new(2);
    cohort.run(0, "run-models", "out", &[]);
    let expected = results(&cohort.path("out"));
    fs::create_dir(cohort.path("again")).unwrap();
    fs::rename(
        cohort.path("out/preprocessed_rgb"),
        cohort.path("again/preprocessed_rgb"),
    )
    .unwrap();
    fs::copy(
        cohort.path("out/bounds.csv"),
        cohort.path("again/bounds.csv"),
    )
    .unwrap();
    cohort.run(0, "run-models", "again", &["--no-preprocess"]);
    let found = results(&cohort.path("again"));
    for (name, bytes) in &expected {
        // The photographs are others, and crops are found on whole.
        if !["manifest.csv", "run.json"].contains(&name.as_str()) {
            assert!(found[name] == *bytes, "{name} differs");
        }
    }
    // Without bounds they are found on the crops.
    fs::create_dir(cohort.path("bare")).unwrap();
    fs::rename(
        cohort.path("again/preprocessed_rgb"),
        cohort.path("bare/preprocessed_rgb"),
    )
    .unwrap();
    cohort.run(
        0,
        "run-models",
        "bare",
        &["--no-preprocess", "--no-overlay"],
    );
    let bounds = cohort.table("bare/bounds.csv");
    assert!(
        bounds["p00"][1].starts_with("{'hw': (1024, 1024)"),
        "{bounds:?}"
    );
}

#[test]
fn converted_models_are_kept_and_a_damaged_copy_is_made_anew() {
    let cohort = Cohort::new(1);
    cohort.run(0, "run-models", "first", &[]);
    let models = cohort.path("cache/vascx/models");
    let copies: Vec<_> = fs::read_dir(&models)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("model.json").exists())
        .collect();
    // The disc's and the vessels' are the same file.
    assert_eq!(copies.len(), 4);
    let expected = results(&cohort.path("first"));
    cohort.run(0, "run-models", "second", &[]);
    assert_same(&results(&cohort.path("second")), &expected);
    for copy in copies {
        fs::write(copy.join("weights.safetensors"), "torn").unwrap();
    }
    cohort.run(0, "run-models", "third", &[]);
    assert_same(&results(&cohort.path("third")), &expected);
}

#[test]
fn a_model_that_cannot_do_its_step_is_refused() {
    let cohort = Cohort::new(1);
    let disc = cohort.path("models/disc/disc_july24.pt");
    let run = cohort.run(
        2,
        "run-models",
        "out",
        &["--fovea-model", disc.to_str().unwrap()],
    );
    run.error_names(&["the step fovea", "segmentation of 2"]);
    let run = cohort.run(2, "run-models", "out", &["--disc-model", "none.pt"]);
    run.error_names(&["none.pt", "no such model"]);
    assert!(!cohort.path("out").exists());
}

#[test]
fn overlays_come_in_styles_and_formats_and_can_be_drawn_again() {
    let cohort = Cohort::new(2);
    let style = ["--overlay-style", "contours", "--overlay-format", "jpg"];
    cohort.run(0, "run-models", "out", &style);
    let drawn = image::image_dimensions(cohort.path("out/preprocessed_rgb/p00.png")).unwrap();
    assert_eq!(drawn, (1024, 1024));
    // A strip below tells what it is.
    let bytes = fs::read(cohort.path("out/overlays/p00.jpg")).unwrap();
    assert!(bytes.starts_with(&[0xff, 0xd8]));
    let overlay = |more: &[&str], code| {
        let arguments = [&["overlay", "out", "pictures"], more].concat();
        cohort.workspace.vascx(code, &arguments)
    };
    overlay(
        &[
            "--overlay-format",
            "webp",
            "--native",
            "--overlay-opacity",
            "0.4",
        ],
        0,
    );
    let (width, height) = image::image_dimensions(cohort.path("pictures/p00.webp")).unwrap();
    assert!(width == 180 && height > 140, "{width} × {height}");
    overlay(&["--overlay-format", "webp"], 2).error_names(&["p00.webp", "--overwrite"]);
    overlay(&["--id", "p01", "--no-caption"], 0);
    assert_eq!(
        image::image_dimensions(cohort.path("pictures/p01.png")).unwrap(),
        (1024, 1024)
    );
    overlay(&["--id", "p09"], 2).error_names(&["p09"]);
}
