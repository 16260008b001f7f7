//! Faults injected into system calls, and losses of power replayed from a recording of them; by
//! `strace`, without which these tests skip.
#![cfg(target_os = "linux")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{DEVICE, Workspace, fixture};

fn has_strace() -> bool {
    let works = Command::new("strace")
        .args([
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=fsync:error=EIO",
            "true",
        ])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: strace is absent or may not trace");
    }
    works
}

fn model() -> String {
    let path = fixture("models/unet_instance_bilinear_m2.pt");
    path.to_str().unwrap().to_owned()
}

fn photographs(workspace: &Workspace, count: u32) {
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        let image = image::RgbImage::from_fn(30, 20 + index, |x, y| {
            image::Rgb([(x * 5) as u8, (y * 7) as u8, (x * y + 11 * index) as u8])
        });
        image
            .save(workspace.path(&format!("photos/p{index}.png")))
            .unwrap();
    }
}

fn arguments<'a>(model: &'a str, out: &'a str, resume: bool) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict",
        "--quiet",
        "--device",
        DEVICE,
        "--batch-size",
        "2",
        "--overlay",
        "--model",
        model,
        "--out",
        out,
        "--threads",
        "1",
    ];
    if resume {
        arguments.push("--resume");
    }
    arguments.push("photos");
    arguments
}

/// Files below a folder by their names, without what times stand in.
fn results(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let bytes = match name {
                "journal.jsonl" | "run.json" => Vec::new(),
                "manifest.csv" => {
                    let text = fs::read_to_string(&path).unwrap();
                    let rows = text.lines().map(|row| {
                        let mut cells: Vec<&str> = row.split(',').collect();
                        cells.remove(4);
                        cells.join(",") + "\n"
                    });
                    rows.collect::<String>().into_bytes()
                }
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name.to_owned(), bytes);
        }
    }
    found
}

/// Whatever is under the name of a result is the whole of it.
fn check_whole(folder: &Path, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    if !folder.exists() {
        return;
    }
    for (name, bytes) in results(folder) {
        if Path::new(&name)
            .extension()
            .is_some_and(|kind| kind == "png")
        {
            assert!(expected[&name] == bytes, "{context}: {name} is torn");
        }
    }
}

fn check_same(folder: &Path, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    let found = results(folder);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{context}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{context}: {name} differs");
    }
}

/// Runs a small job once for every call of some kind, which fails or kills the process, and goes on
/// afterwards.
fn inject(calls: &str, fault: &str, most: usize) -> usize {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let model = model();
    workspace.vascx(0, &arguments(&model, "whole", false));
    let expected = results(&workspace.path("whole"));
    let mut hit = 0;
    for when in 1..=most {
        let context = format!("{calls}:{fault}:{when}");
        let rule = format!("inject={calls}:{fault}:when={when}");
        let output = Command::new("strace")
            .args([
                "-f",
                "-qq",
                "-o",
                "trace",
                "-e",
                &format!("trace={calls}"),
                "-e",
                &rule,
            ])
            .arg(env!("CARGO_BIN_EXE_vascx"))
            .args(arguments(&model, "out", false))
            .current_dir(workspace.path("."))
            .output()
            .unwrap();
        let trace = fs::read_to_string(workspace.path("trace")).unwrap();
        let was_hit = trace.contains("INJECTED") || trace.contains("killed by SIGKILL");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{context}: {stderr}");
        let code = output.status.code();
        assert!(
            matches!(code, None | Some(0..=2 | 137)),
            "{context}: {code:?} {stderr}"
        );
        if code == Some(2) {
            assert!(stderr.contains("cannot write"), "{context}: {stderr}");
        }
        check_whole(&workspace.path("out"), &expected, &context);
        if workspace.path("out/journal.jsonl").exists() {
            workspace.vascx(0, &arguments(&model, "out", true));
        } else {
            let _ = fs::remove_dir_all(workspace.path("out"));
            workspace.vascx(0, &arguments(&model, "out", false));
        }
        check_same(&workspace.path("out"), &expected, &context);
        fs::remove_dir_all(workspace.path("out")).unwrap();
        if !was_hit {
            break;
        }
        hit += 1;
    }
    hit
}

#[test]
fn every_rename_and_sync_may_fail_or_be_the_last() {
    if !has_strace() {
        return;
    }
    for calls in ["rename,renameat,renameat2", "fdatasync,fsync"] {
        for (fault, most) in [("signal=KILL", 8), ("error=ENOSPC", 6), ("error=EIO", 4)] {
            let hit = inject(calls, fault, most);
            assert!(hit > 2, "{calls} {fault}: {hit} hit");
        }
    }
}

#[test]
#[ignore = "takes minutes; `just faults`"]
fn every_write_sync_and_rename_may_fail_or_be_the_last() {
    if !has_strace() {
        return;
    }
    for calls in [
        "rename,renameat,renameat2",
        "fdatasync,fsync",
        "write",
        "openat",
    ] {
        for fault in ["signal=KILL", "error=ENOSPC", "error=EIO", "error=EDQUOT"] {
            // A program that cannot open its libraries and models is not our concern.
            if calls == "openat" && fault != "signal=KILL" {
                continue;
            }
            println!("{calls} {fault}: {} hit", inject(calls, fault, 200));
        }
    }
}

/// A call that changes what is on the disk, or has it there.
enum Call {
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Folder(PathBuf),
}

/// What `strace -f -y -xx` has recorded of a run, for files below a folder.
fn recorded(trace: &str, root: &Path) -> Vec<Call> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (process, rest) = line.trim_start().split_once(' ').unwrap();
        let rest = rest.trim_start();
        let whole = if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, start.to_owned());
            continue;
        } else if rest.starts_with("<...") {
            let end = rest.split_once("resumed>").unwrap().1;
            begun.remove(process).unwrap_or_default() + end
        } else {
            rest.to_owned()
        };
        calls.extend(call(&whole, root));
    }
    calls
}

fn call(line: &str, root: &Path) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    if line.contains(" = -1 ") {
        return None;
    }
    let strings: Vec<Vec<u8>> = rest.split('"').skip(1).step_by(2).map(unescaped).collect();
    let text = |index: usize| {
        Some(PathBuf::from(
            String::from_utf8(strings.get(index)?.clone()).ok()?,
        ))
    };
    let absolute = |index: usize| Some(root.join(text(index)?));
    // `3</path>`, escaped like a string.
    let of_descriptor = || {
        let path = rest.split_once('<')?.1.split_once('>')?.0;
        Some(PathBuf::from(String::from_utf8(unescaped(path)).ok()?))
    };
    let inside = |path: &PathBuf| path.starts_with(root);
    Some(match name {
        "write" => {
            let path = of_descriptor().filter(inside)?;
            Call::Write(path, strings.first()?.clone())
        }
        "fsync" | "fdatasync" => Call::Sync(of_descriptor().filter(inside)?),
        "rename" | "renameat" | "renameat2" => Call::Rename(absolute(0)?, absolute(1)?),
        "unlink" | "unlinkat" => Call::Remove(absolute(0)?),
        "mkdir" | "mkdirat" => Call::Folder(absolute(0)?),
        _ => return None,
    })
}

/// `\x41\x42` as bytes; anything else as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    bytes
}

/// A disk of which only what was synced is sure to be there. Files keep their number through renames.
#[derive(Clone, Default)]
struct Disk {
    /// Content as programs see it, and as it was when it was last synced, by number.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names as programs see them, and as they were when their folder was last synced.
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

impl Disk {
    fn apply(&mut self, call: &Call) {
        match call {
            Call::Write(path, bytes) => {
                let number = *self.names.entry(path.clone()).or_insert_with(|| {
                    self.files.push(Default::default());
                    self.files.len() - 1
                });
                self.files[number].0.extend(bytes);
            }
            Call::Sync(path) => {
                if let Some(&number) = self.names.get(path) {
                    self.files[number].1 = self.files[number].0.clone();
                } else {
                    let here = |name: &PathBuf| name.parent() == Some(path);
                    self.synced_names.retain(|name, _| !here(name));
                    let names = self.names.iter().filter(|(name, _)| here(name));
                    self.synced_names
                        .extend(names.map(|(name, number)| (name.clone(), *number)));
                }
            }
            Call::Rename(from, to) => {
                if let Some(number) = self.names.remove(from) {
                    self.names.insert(to.clone(), number);
                }
            }
            Call::Remove(path) => {
                self.names.remove(path);
            }
            Call::Folder(path) => {
                self.folders.insert(path.clone());
            }
        }
    }

    /// What may be there after a loss of power: of names the old ones or, if `eager`, all; of content
    /// what was synced only.
    fn lose_power(&self, root: &Path, eager: bool) {
        let names = if eager {
            &self.names
        } else {
            &self.synced_names
        };
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for (name, &number) in names {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), &self.files[number].1).unwrap();
        }
    }
}

#[test]
fn after_a_loss_of_power_at_any_moment_a_run_ends_as_if_nothing_had_happened() {
    if !has_strace() {
        return;
    }
    let workspace = Workspace::new();
    photographs(&workspace, 4);
    let model = model();
    workspace.vascx(0, &arguments(&model, "whole", false));
    let expected = results(&workspace.path("whole"));
    let out = workspace.path("out");
    let kinds =
        "trace=write,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat";
    let status = Command::new("strace")
        .args([
            "-f", "-y", "-xx", "-s", "1000000", "-o", "trace", "-e", kinds,
        ])
        .arg(env!("CARGO_BIN_EXE_vascx"))
        .args(arguments(&model, "out", false))
        .current_dir(workspace.path("."))
        .status()
        .unwrap();
    assert!(status.success());
    check_same(&out, &expected, "recorded");
    let trace = fs::read_to_string(workspace.path("trace")).unwrap();
    let root = fs::canonicalize(workspace.path(".")).unwrap();
    let calls = recorded(&trace, &root);
    // All of it together gives what is there.
    let mut disk = Disk::default();
    for call in &calls {
        disk.apply(call);
    }
    for (name, bytes) in &expected {
        let number = disk.names[&root.join("out").join(name)];
        assert!(bytes.is_empty() || name == "manifest.csv" || disk.files[number].0 == *bytes);
    }
    // Moments at which something new is sure to be on the disk, or may be.
    let mut disk = Disk::default();
    let mut moments = 0;
    for (index, call) in calls.iter().enumerate() {
        disk.apply(call);
        if matches!(call, Call::Write(..)) {
            continue;
        }
        for eager in [false, true] {
            let context = format!("call {index} of {}, eager: {eager}", calls.len());
            fs::remove_dir_all(&out).unwrap();
            disk.lose_power(&root, eager);
            check_whole(&out, &expected, &context);
            if workspace.path("out/journal.jsonl").exists() {
                workspace.vascx(0, &arguments(&model, "out", true));
            } else {
                fs::create_dir_all(&out).unwrap();
                workspace.vascx(0, &arguments(&model, "out", false));
            }
            check_same(&out, &expected, &context);
            moments += 1;
        }
    }
    assert!(moments > 40, "{moments} moments");
}

/// Whoever stops a conversion, or ends it, finds the old model or the new one.
#[test]
fn a_conversion_that_is_stopped_leaves_nothing_and_takes_nothing() {
    if !has_strace() {
        return;
    }
    let workspace = Workspace::new();
    let old = fixture("models/unet_m1.pt").display().to_string();
    let new = model();
    workspace.vascx(0, &["convert", "--quiet", &old, "--out", "model"]);
    let before = results(&workspace.path("model"));
    let convert = ["convert", "--quiet", &new, "--out", "model", "--force"];
    for signal in ["-INT", "-KILL"] {
        // The traced process is the child itself, and waits at every sync.
        let mut child = Command::new("strace")
            .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync"])
            .args(["-e", "inject=fsync:delay_enter=400000"])
            .arg(env!("CARGO_BIN_EXE_vascx"))
            .args(convert)
            .current_dir(workspace.path("."))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let unfinished = || {
            let names = workspace.list(".");
            names
                .into_iter()
                .find(|name| name.starts_with(".vascx-convert-"))
        };
        let written = || {
            unfinished()
                .is_some_and(|name| workspace.path(&format!("{name}/new/model.json")).exists())
        };
        while !written() {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "nothing was written"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let code = child.wait().unwrap().code();
        check_same(&workspace.path("model"), &before, signal);
        if signal == "-INT" {
            assert_eq!((code, unfinished()), (Some(130), None));
        } else {
            assert_eq!(code, None);
            assert!(unfinished().is_some());
        }
    }
    workspace.vascx(0, &convert);
    assert_eq!(workspace.list("."), ["model"]);
    assert_ne!(results(&workspace.path("model")), before);

    // Killed at any change of names, there is a model under the name.
    for when in 1..=4 {
        let rule = format!("inject=rename,renameat,renameat2:signal=KILL:when={when}");
        let _ = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &rule])
            .arg(env!("CARGO_BIN_EXE_vascx"))
            .args(convert)
            .current_dir(workspace.path("."))
            .output()
            .unwrap();
        assert_eq!(
            workspace.list("model"),
            ["model.json", "weights.safetensors"]
        );
    }
    workspace.vascx(0, &convert);
    assert_eq!(workspace.list("."), ["model"]);
}

#[test]
fn weights_that_change_while_they_are_used_change_nothing() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    // With layers large enough to stay in the file.
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/demo/disc.pt");
    let checkpoint = checkpoint.to_str().unwrap();
    workspace.vascx(0, &["convert", "--quiet", checkpoint, "--out", "model"]);
    workspace.vascx(0, &arguments("model", "whole", false));
    let expected = results(&workspace.path("whole"));
    let path = workspace.path("model/weights.safetensors");
    let weights = fs::read(&path).unwrap();
    for truncate in [true, false] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vascx"))
            .args(arguments("model", "out", false))
            .current_dir(workspace.path("."))
            .spawn()
            .unwrap();
        let begun = Instant::now();
        // It does when the model has been read.
        while !workspace.path("out/journal.jsonl").exists() {
            assert!(begun.elapsed() < Duration::from_mins(1), "it did not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        // In place, as `cp` does it.
        let changed = if truncate {
            Vec::new()
        } else {
            vec![0x3f; weights.len()]
        };
        fs::write(&path, changed).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        check_same(
            &workspace.path("out"),
            &expected,
            &format!("truncated: {truncate}"),
        );
        fs::write(&path, &weights).unwrap();
        fs::remove_dir_all(workspace.path("out")).unwrap();
    }
}
