//! Nothing of the user's is written over: photographs, lists, other results.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{DEVICE, Workspace, fixture};

fn model(name: &str) -> String {
    fixture(&format!("models/{name}.pt"))
        .to_str()
        .unwrap()
        .to_owned()
}

fn photograph(path: &Path, seed: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 2) as u8, (x * y + 7 * seed) as u8])
    });
    // Photographs are known by their content, whatever they are called.
    image
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

/// Content of all files below a folder; links are not followed.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(contents(&entry.path()));
        } else if kind.is_file() {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn predict<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict", "--quiet", "--device", *DEVICE, "--model", model, "--out", out,
    ];
    arguments.extend(more);
    arguments
}

#[test]
fn no_output_replaces_an_input() {
    let workspace = Workspace::new();
    let model = model("unet_instance_bilinear_m2");
    photograph(&workspace.path("photos/a.png"), 1);
    photograph(&workspace.path("photos/b.png"), 2);
    photograph(&workspace.path("drawn/overlays/a.png"), 3);
    photograph(&workspace.path("squares/rgb/a.png"), 4);
    photograph(&workspace.path("jpegs/a.jpg"), 5);
    fs::write(workspace.path("jpegs/manifest.csv"), "id,path\na,a.jpg\n").unwrap();
    fs::copy(&model, workspace.path("model.pt")).unwrap();
    let reference = fixture("models/unet_m1.safetensors");
    fs::copy(reference, workspace.path("x.safetensors")).unwrap();
    let before = contents(&workspace.path("."));
    let refused = |arguments: &[&str], named: &[&str]| {
        workspace.vascx(2, arguments).error_names(named);
        assert!(contents(&workspace.path(".")) == before, "{arguments:?}");
    };
    let over = "would be written over, and it is the input";
    refused(
        &predict(&model, "photos", &["photos"]),
        &["photos/a.png", over],
    );
    refused(
        &predict(&model, "photos", &["--overwrite", "photos/b.png"]),
        &["photos/b.png", over],
    );
    refused(&predict(&model, "./photos/../photos", &["photos"]), &[over]);
    let drawn = ["--overlay", "drawn/overlays"];
    refused(
        &predict(&model, "drawn", &drawn),
        &["drawn/overlays/a.png", over],
    );
    let list = ["--overwrite", "jpegs/manifest.csv"];
    refused(&predict(&model, "jpegs", &list), &["manifest.csv", over]);
    let squares = [
        "preprocess",
        "--quiet",
        "--mode",
        "resize",
        "--out",
        "squares",
        "squares/rgb",
    ];
    refused(&squares, &["squares/rgb/a.png", over]);
    for output in ["x.safetensors", "model.pt"] {
        let forward = [
            "forward",
            "--model",
            "model.pt",
            "--input",
            "x.safetensors",
            "--output",
            output,
        ];
        refused(&forward, &[output, over]);
    }
    // Beside photographs is as good a place as any, as long as nothing has the same name.
    workspace.vascx(
        0,
        &predict(&model, "jpegs", &["jpegs/a.jpg", "--overwrite"]),
    );
    assert!(workspace.list("jpegs").contains(&"a.png".to_owned()));
}

#[cfg(unix)]
#[test]
fn links_do_not_hide_that_an_output_is_an_input() {
    use std::os::unix::fs::symlink;

    let workspace = Workspace::new();
    let model = model("unet_instance_bilinear_m2");
    photograph(&workspace.path("photos/a.png"), 1);
    let path = |name: &str| workspace.path(name);
    for folder in ["hard", "soft"] {
        fs::create_dir(path(folder)).unwrap();
    }
    fs::hard_link(path("photos/a.png"), path("hard/a.png")).unwrap();
    symlink(path("photos/a.png"), path("soft/a.png")).unwrap();
    symlink(path("photos"), path("folder")).unwrap();
    fs::create_dir(path("out")).unwrap();
    symlink(path("photos"), path("out/overlays")).unwrap();
    let before = contents(&path("."));
    for arguments in [
        predict(&model, "hard", &["photos", "--overwrite"]),
        predict(&model, "soft", &["photos", "--overwrite"]),
        predict(&model, "folder", &["photos", "--overwrite"]),
        predict(&model, "photos", &["soft", "--overwrite"]),
        predict(&model, "out", &["photos", "--overlay", "--overwrite"]),
    ] {
        let run = workspace.vascx(2, &arguments);
        run.error_names(&["a.png", "is the input"]);
        assert!(contents(&path(".")) == before, "{arguments:?}");
    }
}

/// A link at the place of an output is replaced; what it leads to stays as it is.
#[cfg(unix)]
#[test]
fn links_that_were_planted_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let workspace = Workspace::new();
    let model = model("unet_instance_bilinear_m2");
    photograph(&workspace.path("photos/a.png"), 1);
    fs::write(workspace.path("secret"), "precious").unwrap();
    fs::create_dir(workspace.path("out")).unwrap();
    let names = [
        "manifest.csv",
        "a.png",
        "run.json",
        "journal.jsonl",
        ".manifest.csv.partial",
        ".journal.jsonl.partial",
        ".a.png.partial",
    ];
    for name in names {
        symlink("../secret", workspace.path("out").join(name)).unwrap();
    }
    workspace.vascx(0, &predict(&model, "out", &["photos", "--overwrite"]));
    assert_eq!(fs::read(workspace.path("secret")).unwrap(), b"precious");
    for name in &names[..4] {
        let file = workspace.path("out").join(name).symlink_metadata().unwrap();
        assert!(file.is_file(), "{name}");
        // As the umask leaves it for any file.
        let plain = workspace
            .path("secret")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(file.permissions().mode(), plain, "{name}");
    }
    symlink("../secret", workspace.path("out/.vascx.lock")).unwrap();
    workspace
        .vascx(2, &predict(&model, "out", &["photos"]))
        .error_names(&[".vascx.lock"]);
    assert_eq!(fs::read(workspace.path("secret")).unwrap(), b"precious");
}

/// Inputs and outputs are linked, renamed and nested at random; no input ever changes.
#[cfg(unix)]
#[test]
fn whatever_lies_where_inputs_stay_as_they_are() {
    let workspace = Workspace::new();
    let model = model("unet_instance_bilinear_m2");
    let mut state = 0x9e37_79b9_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let (mut refused, mut ran) = (0, 0);
    for round in 0..60 {
        let root = workspace.path(&format!("r{round}"));
        let folders = ["a", "a/rgb", "a/ce", "a/overlays", "a/b", "c"];
        for folder in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut inputs: Vec<String> = Vec::new();
        for index in 0..4 {
            let name = ["p.png", "q.png", "r.png"][random(3)];
            let place = format!("{}/{name}", folders[random(6)]);
            let path = root.join(&place);
            if path.symlink_metadata().is_ok() {
                continue;
            }
            match (inputs.first(), random(4)) {
                (Some(first), 0) => fs::hard_link(root.join(first), path).unwrap(),
                (Some(first), 1) => {
                    std::os::unix::fs::symlink(root.join(first), path).unwrap();
                }
                _ => photograph(&path, index),
            }
            inputs.push(place);
        }
        // One of each id.
        let mut ids = Vec::new();
        inputs.retain(|input| {
            let id = input.rsplit('/').next().unwrap().to_owned();
            let new = !ids.contains(&id);
            ids.push(id);
            new
        });
        let before: Vec<Vec<u8>> = inputs
            .iter()
            .map(|input| fs::read(root.join(input)).unwrap())
            .collect();
        let out = folders[random(6)];
        let mode = ["--overwrite", "--resume", "--quiet"][random(3)];
        let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
        command.current_dir(&root);
        if random(2) == 0 {
            command.args([
                "preprocess",
                "--mode",
                "simple",
                "--size",
                "16",
                "--out",
                out,
            ]);
        } else {
            command.args(["predict", "--overlay", "--device", *DEVICE]);
            command.args(["--model", &model, "--out", out]);
        }
        let output = command.arg(mode).args(&inputs).output().unwrap();
        match output.status.code() {
            Some(0) => ran += 1,
            Some(2) => refused += 1,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
        for (input, bytes) in inputs.iter().zip(&before) {
            let now = fs::read(root.join(input)).unwrap();
            assert!(now == *bytes, "round {round}: {command:?} changed {input}");
        }
    }
    assert!(refused > 5 && ran > 5, "{refused} refused, {ran} ran");
}

#[test]
fn results_of_another_job_are_not_touched() {
    let workspace = Workspace::new();
    let segmentation = model("unet_instance_bilinear_m2");
    let other_model = model("unet_m1");
    let quality = model("resnet18_m3");
    photograph(&workspace.path("photos/a.png"), 1);
    photograph(&workspace.path("others/b.png"), 2);
    photograph(&workspace.path("same_name/a.png"), 3);
    workspace.vascx(0, &predict(&segmentation, "out", &["photos"]));
    let before = contents(&workspace.path("out"));
    let refused = |arguments: &[&str], named: &[&str]| {
        workspace.vascx(2, arguments).error_names(named);
        assert!(contents(&workspace.path("out")) == before, "{arguments:?}");
    };
    let holds = "out holds the results of another job";
    for resume in [&[][..], &["--resume"]] {
        let with = |more: &[&'static str]| [more, resume, &["photos"]].concat();
        refused(
            &predict(&other_model, "out", &with(&[])),
            &[
                holds,
                "model.file: unet_instance_bilinear_m2.pt → unet_m1.pt",
            ],
        );
        refused(
            &predict(&quality, "out", &with(&[])),
            &[holds, "task: segmentation"],
        );
        refused(
            &predict(&segmentation, "out", &with(&["--tta", "on"])),
            &[holds, "(tta: off → on)", "--overwrite"],
        );
        let squares = with(&["--mode", "resize"]);
        let squares = [&["preprocess", "--out", "out"], &squares[..]].concat();
        refused(&squares, &[holds, "preprocess"]);
    }
    for others in ["others", "same_name"] {
        refused(
            &predict(&segmentation, "out", &[others]),
            &[holds, "1 other photographs", "photos/a.png", "--resume"],
        );
    }
    // The same job may be run again, others when they are asked for.
    workspace.vascx(0, &predict(&segmentation, "out", &["photos"]));
    workspace.vascx(0, &predict(&other_model, "out", &["--overwrite", "photos"]));
    assert_ne!(contents(&workspace.path("out")), before);

    // Files that no journal claims are not ours.
    fs::create_dir(workspace.path("drawings")).unwrap();
    fs::write(workspace.path("drawings/a.png"), "precious").unwrap();
    for more in [&["photos"][..], &["--resume", "photos"]] {
        workspace
            .vascx(2, &predict(&segmentation, "drawings", more))
            .error_names(&["drawings/a.png is there already", "--overwrite"]);
    }
    assert_eq!(workspace.list("drawings"), ["a.png"]);
    assert_eq!(
        fs::read(workspace.path("drawings/a.png")).unwrap(),
        b"precious"
    );
}

#[test]
fn a_resumed_run_adds_to_the_results_of_other_photographs() {
    let workspace = Workspace::new();
    let model = model("resnet18_m3");
    for (path, seed) in [
        ("a/p.png", 1),
        ("a/q.png", 2),
        ("b/r.png", 3),
        ("b/s.png", 4),
    ] {
        photograph(&workspace.path(path), seed);
    }
    let run = |out: &str, more: &[&str]| {
        let mut arguments = predict(&model, out, more);
        arguments.retain(|argument| *argument != "--quiet");
        workspace.vascx(0, &arguments).stdout
    };
    let table = |out: &str, name: &str| {
        let text = fs::read_to_string(workspace.path(out).join(name)).unwrap();
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    };
    run("whole", &["a", "b"]);
    run("parts", &["a"]);
    run("parts", &["--resume", "b"]);
    assert_eq!(
        table("parts", "predictions.csv"),
        table("whole", "predictions.csv")
    );
    assert_eq!(table("parts", "manifest.csv").len(), 5);
    let again = run("parts", &["--resume", "a", "b"]);
    assert!(
        again.contains("4 done, 0 failed, 4 of them by an earlier run"),
        "{again}"
    );
}
