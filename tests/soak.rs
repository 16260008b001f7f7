//! Very many photographs in constant memory; `just soak`.
#![cfg(target_os = "linux")]

mod harness;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use harness::prediction::peak;
use harness::{DEVICE, Workspace, fixture};

/// Predicts the photographs of the folder; seconds and the most memory in KiB.
fn run(workspace: &Workspace, more: &[&str]) -> (f64, u64) {
    let model = fixture("models/resnet18_m3.pt");
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
    command.args([
        "predict", "--quiet", "--device", *DEVICE, "--out", "out", "--model",
    ]);
    command.arg(model).args(more).arg("photos");
    command
        .current_dir(workspace.path("."))
        .stdout(Stdio::null());
    let (most, code) = peak(command);
    assert_eq!(code, Some(0));
    (begun.elapsed().as_secs_f64(), most >> 10)
}

#[test]
#[ignore = "takes minutes; `just soak`"]
fn twenty_thousand_photographs_take_no_more_memory_than_a_few() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    let add = |range: std::ops::Range<u32>| {
        for index in range {
            let image = image::RgbImage::from_fn(24, 24, |x, y| {
                image::Rgb([x as u8 * 9, y as u8 * 9, (index % 251) as u8])
            });
            let path = workspace.path(&format!("photos/p{index:05}.png"));
            image.save(path).unwrap();
        }
    };
    add(0..500);
    let (seconds, few) = run(&workspace, &["--durability", "fast"]);
    println!("500, fast: {seconds:.1} s, {few} KiB");
    add(500..20_000);
    for durability in ["fast", "full"] {
        let (seconds, many) = run(&workspace, &["--overwrite", "--durability", durability]);
        println!("20 000, {durability}: {seconds:.1} s, {many} KiB");
        // Records of 20 000 photographs take some hundred bytes each.
        assert!(many < few + (32 << 10), "{many} KiB, {few} KiB for 500");
    }
    let (seconds, memory) = run(&workspace, &["--resume"]);
    println!("20 000, resumed with nothing to do: {seconds:.2} s, {memory} KiB");
    let rows = fs::read_to_string(workspace.path("out/predictions.csv")).unwrap();
    assert_eq!(rows.lines().count(), 20_001);
}
