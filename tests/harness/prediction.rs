//! Predictions of some photographs, `photos` → `out`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{DEVICE, Workspace, fixture};

pub(crate) const SEGMENTATION: &str = "unet_instance_bilinear_m2";
pub(crate) const QUALITY: &str = "resnet18_m3";

/// The path of a fixture.
pub(crate) fn model(name: &str) -> String {
    fixture(&format!("models/{name}.pt"))
        .to_str()
        .unwrap()
        .to_owned()
}

/// Writes a PNG file, whatever it is called.
pub(crate) fn photograph(path: &Path, seed: u32) {
    let image = image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 2) as u8, (x * y + 7 * seed) as u8])
    });
    image
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

/// Photographs `p00.png` and so on in `photos`.
pub(crate) fn photographs(workspace: &Workspace, count: u32) {
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        photograph(&workspace.path(&format!("photos/p{index:02}.png")), index);
    }
}

/// Predicts `photos` to `out`.
pub(crate) fn predict<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict", "--device", *DEVICE, "--model", model, "--out", "out",
    ];
    arguments.extend(more);
    arguments.push("photos");
    arguments
}

/// Runs `vascx` by a shell's command, in which it is `"$@"`; the exit code.
pub(crate) fn shell(workspace: &Workspace, script: &str, arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_vascx")]);
    let status = command.args(arguments).current_dir(workspace.path("."));
    status.status().unwrap().code()
}

/// Lines of a table, without its header; none when there is no table.
pub(crate) fn rows(workspace: &Workspace, table: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace.path("out").join(table)).unwrap_or_default();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Waits for something that another process does.
pub(crate) fn wait_for(what: impl Fn() -> bool) {
    let begun = Instant::now();
    while !what() {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "it never happened"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The most memory that a child takes until its end, in bytes, and its exit code. Linux only.
pub(crate) fn peak(mut command: Command) -> (u64, Option<i32>) {
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    (most << 10, child.wait().unwrap().code())
}
