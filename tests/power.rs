//! Losses of power, replayed from a recording of a run's system calls by `strace`, without which this
//! skips.
#![cfg(target_os = "linux")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::Workspace;
use harness::small_job::{
    arguments, check_same, check_whole, has_strace, model, photographs, results, traced_calls,
};

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
    let lines = traced_calls(trace).into_iter();
    lines.filter_map(|line| call(&line, root)).collect()
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
