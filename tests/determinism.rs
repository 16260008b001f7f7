//! The same bits whatever the number of threads, the chunks and windows at a time, and the vectors.

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::small_job::results;
use harness::{DEVICE, Workspace};

/// Photographs with structure in different sizes.
fn photographs(workspace: &Workspace) {
    fs::create_dir(workspace.path("photos")).unwrap();
    for (index, (width, height)) in [(190, 210), (180, 180), (240, 200), (201, 187), (96, 64)]
        .into_iter()
        .enumerate()
    {
        let seed = index as u32;
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            let across = f64::from(x) / f64::from(width) - 0.5;
            let down = f64::from(y) / f64::from(height) - 0.5;
            let inside = across.hypot(down) < 0.5;
            let light = u32::from(inside);
            image::Rgb([
                (light * (150 + (x * 3 + seed * 11) % 100)) as u8,
                (light * (60 + (x * y + 7 * seed) % 90)) as u8,
                (light * (20 + (y * 5) % 40)) as u8,
            ])
        });
        image
            .save(workspace.path(&format!("photos/p{index}.png")))
            .unwrap();
    }
}

/// What a run with these options leaves in `out`, but for times.
fn run(
    workspace: &Workspace,
    model: &str,
    options: &[&str],
    variables: &[(&str, &str)],
) -> BTreeMap<String, Vec<u8>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
    command.args(["predict", "--quiet", "--device", *DEVICE, "--model", model]);
    command.args(["--out", "out", "--overlay", "--save-probabilities"]);
    command.args(options).arg("photos");
    command.env_remove("RAYON_NUM_THREADS");
    command.envs(variables.iter().copied());
    command.current_dir(workspace.path("."));
    let output = command.stdout(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{options:?} {variables:?}: {said}"
    );
    let found = results(&workspace.path("out"));
    fs::remove_dir_all(workspace.path("out")).unwrap();
    found
}

fn check(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    assert!(found.keys().eq(expected.keys()), "{context}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{context}: {name} differs");
    }
}

/// The largest difference of numbers in safetensors files and tables, and how many bytes of pictures
/// of classes differ.
fn difference(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
) -> (f64, usize) {
    let (mut most, mut classes) = (0.0_f64, 0);
    let mut compare = |a: f64, b: f64| most = most.max((a - b).abs());
    for (name, bytes) in expected {
        let other = &found[name];
        match Path::new(name).extension().and_then(|kind| kind.to_str()) {
            Some("safetensors") => {
                let values = |bytes: &[u8]| -> Vec<f32> {
                    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
                    let views = file.iter().flat_map(|(_, view)| view.data().to_vec());
                    let bytes: Vec<u8> = views.collect();
                    let numbers = bytes.as_chunks().0.iter().copied();
                    numbers.map(f32::from_le_bytes).collect()
                };
                for (a, b) in values(bytes).into_iter().zip(values(other)) {
                    compare(a.into(), b.into());
                }
            }
            Some("csv") if name == "predictions.csv" => {
                let cells = |bytes: &[u8]| -> Vec<f64> {
                    let text = String::from_utf8_lossy(bytes);
                    let cells = text.split([',', '\n']).map(str::parse);
                    cells.filter_map(Result::ok).collect()
                };
                for (a, b) in cells(bytes).into_iter().zip(cells(other)) {
                    compare(a, b);
                }
            }
            Some("png") if !name.contains('/') => {
                let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_luma8();
                let (a, b) = (pixels(bytes), pixels(other));
                classes += a
                    .as_raw()
                    .iter()
                    .zip(b.as_raw())
                    .filter(|(a, b)| a != b)
                    .count();
            }
            _ => {}
        }
    }
    (most, classes)
}

fn same_bits(name: &str) {
    let workspace = Workspace::new();
    photographs(&workspace);
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("weights/demo/{name}.pt"));
    let checkpoint = checkpoint.to_str().unwrap();
    let expected = run(&workspace, checkpoint, &[], &[]);
    let again = run(&workspace, checkpoint, &[], &[]);
    check(&again, &expected, "again");
    for threads in ["1", "3", "8"] {
        // Of more threads than processors as many are used as there are processors.
        let found = run(&workspace, checkpoint, &["--threads", threads], &[]);
        check(&found, &expected, &format!("{threads} threads"));
        let variable = [("RAYON_NUM_THREADS", threads)];
        let found = run(&workspace, checkpoint, &[], &variable);
        check(&found, &expected, &format!("{variable:?}"));
    }
    for options in [
        ["--batch-size", "1"],
        ["--batch-size", "2"],
        ["--batch-size", "5"],
        ["--window-batch-size", "1"],
        ["--window-batch-size", "3"],
    ] {
        let found = run(&workspace, checkpoint, &options, &[]);
        check(&found, &expected, &format!("{options:?}"));
    }
    workspace.vascx(0, &["convert", "--quiet", checkpoint, "--out", "model"]);
    let found = run(&workspace, "model", &[], &[]);
    check(&found, &expected, "converted");

    if *DEVICE != "cpu" {
        return;
    }
    // Sums of products are in the same order in all vectors; without fused multiply-add each is
    // rounded once more.
    let mut sets = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push("avx2");
            if is_x86_feature_detected!("avx512f") {
                sets.push("avx512");
            }
        }
    }
    let found = sets.iter().map(|set| {
        let variable = [("VASCX_INSTRUCTION_SET", *set)];
        (*set, run(&workspace, checkpoint, &[], &variable))
    });
    for (set, found) in found {
        let (most, classes) = difference(&found, &expected);
        println!("{name}, {set}: {most:e}, {classes} classes");
        check(&found, &expected, set);
    }
    let portable = run(
        &workspace,
        checkpoint,
        &[],
        &[("VASCX_INSTRUCTION_SET", "portable")],
    );
    let (most, classes) = difference(&portable, &expected);
    println!("{name}, portable: {most:e}, {classes} classes");
    assert!(most < 1e-3, "{most}");
}

#[test]
fn maps_are_the_same_bits() {
    same_bits("disc");
}

#[test]
fn heat_maps_and_points_are_the_same_bits() {
    same_bits("fovea");
}

#[test]
fn classes_are_the_same_bits() {
    same_bits("quality");
}
