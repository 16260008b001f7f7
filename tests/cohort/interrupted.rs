//! Killed, resumed and full: everything ends as if nothing had happened.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{Cohort, assert_same, results};

const PHOTOGRAPHS: u32 = 10;

fn start(cohort: &Cohort, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vascx"))
        .args(arguments)
        .current_dir(cohort.path("."))
        .env("XDG_CACHE_HOME", cohort.path("cache"))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a command at random moments until it is done, and compares.
fn killed_at_twenty_moments(command: &str, more: &[&str]) {
    let cohort = Cohort::new(PHOTOGRAPHS);
    let more = [more, &["--quiet", "--durability", "full"]].concat();
    // The cache is filled once, so that kills do not all come before the first photograph.
    cohort.run(0, command, "whole", &more);
    let expected = results(&cohort.path("whole"));
    let started = Instant::now();
    cohort.run(0, command, "timed", &more);
    let duration = started.elapsed();
    let arguments = Cohort::command(command, "killed", &[&more[..], &["--resume"]].concat());
    let mut state = 0x2545_f491_u32;
    for kill in 0..20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Later and later, so that every part of the job is reached.
        let share =
            0.15 + 0.5 * f64::from(state >> 8) / f64::from(1 << 24) * f64::from(kill) / 20.0;
        let mut child = start(&cohort, &arguments);
        std::thread::sleep(duration.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
        for (name, bytes) in results_so_far(&cohort) {
            // What is there under its final name is whole.
            if let Some(expected) = expected.get(&name).filter(|_| name.contains("/p")) {
                assert!(&bytes == expected, "{name}");
            }
        }
    }
    let journal = cohort.read("killed/journal.jsonl");
    assert!(
        journal.lines().count() > 1,
        "no photograph was done by the killed runs"
    );
    cohort.run(0, command, "killed", &[&more[..], &["--resume"]].concat());
    assert_same(&results(&cohort.path("killed")), &expected);
}

/// Pictures only: tables may not be there yet.
fn results_so_far(cohort: &Cohort) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for folder in [
        "preprocessed_rgb",
        "artery_vein",
        "vessels",
        "disc",
        "overlays",
    ] {
        let entries = std::fs::read_dir(cohort.path("killed").join(folder));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.starts_with('.') {
                found.push((
                    format!("{folder}/{name}"),
                    std::fs::read(entry.path()).unwrap(),
                ));
            }
        }
    }
    found
}

#[test]
fn models_killed_at_twenty_moments_end_as_if_nothing_had_happened() {
    killed_at_twenty_moments("run-models", &["--native"]);
}

#[test]
fn the_whole_job_killed_at_twenty_moments_ends_as_if_nothing_had_happened() {
    killed_at_twenty_moments("run", &["--no-overlay"]);
}

/// Whichever file was being written.
#[test]
fn what_a_kill_leaves_behind_is_gone_after_the_next_run() {
    fn plant(folder: &Path, planted: &mut Vec<PathBuf>) {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        for entry in entries.filter(|entry| entry.path().is_dir()) {
            plant(&entry.path(), planted);
        }
        planted.push(folder.join(".vascx-left.partial"));
        std::fs::write(planted.last().unwrap(), "torn").unwrap();
    }
    let cohort = Cohort::new(2);
    cohort.run(0, "run", "out", &["--quiet"]);
    let mut planted = Vec::new();
    plant(&cohort.path("out"), &mut planted);
    assert!(planted.len() > 10, "{planted:?}");
    cohort.run(0, "run", "out", &["--quiet", "--resume"]);
    planted.retain(|path| path.exists());
    assert!(planted.is_empty(), "{planted:?}");
}

/// A file that may not grow to the size of a crop (but to that of a model's weights) stands for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_clear_error_and_what_is_done_stays() {
    let cohort = Cohort::new(3);
    cohort.run(0, "run-models", "whole", &["--quiet"]);
    let expected = results(&cohort.path("whole"));
    let arguments = Cohort::command("run-models", "full", &["--quiet"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 1150; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_vascx")).args(&arguments);
    command.env("XDG_CACHE_HOME", cohort.path("cache"));
    let output = command.current_dir(cohort.path(".")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("cannot write") && !stderr.contains("panicked"),
        "{stderr}"
    );
    for folder in ["preprocessed_rgb", "overlays"] {
        let left = cohort.workspace.list(&format!("full/{folder}"));
        assert!(
            left.iter().all(|name| !name.contains(".partial")),
            "{left:?}"
        );
    }
    cohort.run(0, "run-models", "full", &["--quiet", "--resume"]);
    assert_same(&results(&cohort.path("full")), &expected);
}

/// A photograph that is not one has no files at all; the others have theirs.
#[test]
fn a_photograph_that_cannot_be_read_fails_alone() {
    let cohort = Cohort::new(3);
    std::fs::write(cohort.path("photos/torn.png"), "torn").unwrap();
    let run = cohort.run(1, "run-models", "out", &[]);
    assert!(run.stdout.contains("3 done, 1 failed"), "{}", run.stdout);
    assert_eq!(cohort.table("out/manifest.csv")["torn"][1], "failed");
    assert_eq!(cohort.table("out/bounds.csv")["torn"], ["False", "{}"]);
    assert!(!cohort.table("out/fovea.csv").contains_key("torn"));
    assert!(!cohort.path("out/artery_vein/torn.png").exists());
}
