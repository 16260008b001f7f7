//! Faults injected into system calls by `strace`, without which these tests skip.
#![cfg(target_os = "linux")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::small_job::{
    arguments, check_same, check_whole, has_strace, model, photographs, results,
};
use harness::{Workspace, fixture};

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
        // The message may be what could not be written.
        let silenced = trace
            .lines()
            .any(|line| line.contains("write(2,") && line.contains("INJECTED"));
        if code == Some(2) && !silenced {
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
