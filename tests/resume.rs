//! Interrupted, killed and resumed runs of `vascx predict`.

mod harness;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{DEVICE, Workspace, fixture};

const PHOTOGRAPHS: u32 = 100;

/// Photographs with structure in four sizes.
fn photographs(workspace: &Workspace, count: u32) {
    std::fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        let (width, height) = [(70, 60), (64, 64), (50, 90), (90, 90)][index as usize % 4];
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([
                (x * 3) as u8,
                (y * 2 + index) as u8,
                (x * y + 7 * index) as u8,
            ])
        });
        image
            .save(workspace.path(&format!("photos/p{index:03}.png")))
            .unwrap();
    }
}

fn arguments<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict", "--model", model, "--out", out, "--device", *DEVICE,
    ];
    arguments.extend(["--save-probabilities", "--quiet"]);
    arguments.extend(more);
    arguments.push("photos");
    arguments
}

fn start(workspace: &Workspace, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vascx"))
        .args(arguments)
        .current_dir(workspace.path("."))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every result by file name; the manifest without its column of times.
fn results(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut results = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = match name.as_str() {
            "journal.jsonl" => continue,
            "manifest.csv" => {
                let mut reader = csv::Reader::from_path(&path).unwrap();
                let rows = reader.deserialize::<BTreeMap<String, String>>().map(|row| {
                    let mut row = row.unwrap();
                    row.remove("seconds");
                    row
                });
                format!("{:?}", rows.collect::<Vec<_>>()).into_bytes()
            }
            "run.json" => {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut run: serde_json::Value = serde_json::from_str(&text).unwrap();
                let run = run.as_object_mut().unwrap();
                run.retain(|key, _| !key.contains("seconds") && key != "record");
                format!("{run:?}").into_bytes()
            }
            _ => std::fs::read(&path).unwrap(),
        };
        results.insert(name, bytes);
    }
    results
}

fn model() -> String {
    fixture("models/unet_instance_bilinear_m2.pt")
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn killed_at_twenty_moments_a_run_ends_as_if_nothing_had_happened() {
    let workspace = Workspace::new();
    photographs(&workspace, PHOTOGRAPHS);
    let model = model();
    let started = Instant::now();
    workspace.vascx(0, &arguments(&model, "whole", &[]));
    let duration = started.elapsed();
    let expected = results(&workspace.path("whole"));

    // Some kills come before the first photograph, some in the middle of things.
    let mut state = 0x2545_f491_u32;
    for _ in 0..20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = duration.mul_f64(0.2 * f64::from(state >> 8) / f64::from(1 << 24));
        let mut child = start(&workspace, &arguments(&model, "killed", &["--resume"]));
        std::thread::sleep(moment + Duration::from_millis(5));
        child.kill().unwrap();
        child.wait().unwrap();
        for name in workspace.list("killed") {
            // What is there under its final name is whole.
            if let Some(expected) = expected.get(&name).filter(|_| name.starts_with('p')) {
                let found = std::fs::read(workspace.path("killed").join(&name)).unwrap();
                assert!(&found == expected, "{name}");
            }
        }
    }
    // Otherwise the kills came too early to show anything.
    let journal = std::fs::read_to_string(workspace.path("killed/journal.jsonl")).unwrap();
    assert!(
        journal.lines().count() > 1,
        "no photograph was done by the killed runs"
    );
    workspace.vascx(0, &arguments(&model, "killed", &["--resume"]));
    let found = results(&workspace.path("killed"));
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (name, bytes) in &expected {
        assert!(&found[name] == bytes, "{name} differs");
    }
}

#[test]
fn only_what_is_unchanged_is_resumed() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    std::fs::write(workspace.path("photos/torn.png"), "torn").unwrap();
    let model = model();
    let run = |code, more: &[&str]| {
        let mut arguments = arguments(&model, "out", more);
        arguments.retain(|argument| *argument != "--quiet");
        workspace.vascx(code, &arguments).stdout
    };
    let first = run(1, &["--resume"]);
    assert!(!first.contains("earlier"), "{first}");
    // The failed one is tried again, the others are not, whatever the batch size.
    let again = run(1, &["--resume", "--batch-size", "2"]);
    assert!(
        again.contains("3 done, 1 failed, 3 of them by an earlier run"),
        "{again}"
    );
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 5);

    std::fs::copy(
        workspace.path("photos/p000.png"),
        workspace.path("photos/torn.png"),
    )
    .unwrap();
    assert!(run(0, &["--resume"]).contains("3 of them by an earlier run"));
    std::fs::copy(
        workspace.path("photos/p001.png"),
        workspace.path("photos/p002.png"),
    )
    .unwrap();
    assert!(run(0, &["--resume"]).contains("3 of them by an earlier run"));
    // No wish to resume: everything anew.
    assert!(!run(0, &[]).contains("earlier"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_valid_manifest() {
    let workspace = Workspace::new();
    photographs(&workspace, PHOTOGRAPHS);
    let model = model();
    let mut child = start(
        &workspace,
        &arguments(&model, "out", &["--batch-size", "1"]),
    );
    let begun = Instant::now();
    while !workspace.path("out/p001.png").exists() {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "nothing was predicted"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    let mut reader = csv::Reader::from_path(workspace.path("out/manifest.csv")).unwrap();
    let rows = reader.records().count() as u32;
    assert!(rows >= 2);
    // All of them may have been done before the signal came.
    assert_eq!(
        status.code(),
        Some(i32::from(rows < PHOTOGRAPHS)),
        "{rows} rows"
    );
    assert_eq!(
        workspace
            .list("out")
            .iter()
            .filter(|name| Path::new(name)
                .extension()
                .is_some_and(|kind| kind == "png"))
            .count() as u32,
        rows
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_an_unwritable_folder_are_clear_errors() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    let model = model();
    std::fs::write(workspace.path("file"), "").unwrap();
    workspace
        .vascx(2, &arguments(&model, "file", &[]))
        .error_names(&["cannot write file"]);
    // A file that may not grow beyond one block stands for a full disk.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""]);
    command
        .arg(env!("CARGO_BIN_EXE_vascx"))
        .args(arguments(&model, "full", &[]));
    let output = command.current_dir(workspace.path(".")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("cannot write") && !stderr.contains("panicked"),
        "{stderr}"
    );
    let left = workspace.list("full");
    assert!(
        left.iter().all(|name| !name.contains(".partial")),
        "{left:?}"
    );
}
