//! Full disks and signals at many moments: a few here, all by `just faults`.
#![cfg(target_os = "linux")]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::small_job::{arguments, check_same, check_whole, model, photographs, results};
use harness::{DEVICE, Workspace, fixture};

/// On a disk of `$1` KiB at `full`, besides what is in `old`: the command, what it leaves, to `before`; then, with room, again
/// with the options in `$2`, to `after`. In a namespace of its own, so that nobody need be root.
const ON_A_SMALL_DISK: &str = r#"
size=$1; again=$2; shift 2
[ -d old ] && size=$((size + $(du -sk old | cut -f 1)))
mount -t tmpfs -o "size=${size}k" tmpfs full || exit 77
[ -d old ] && { cp -r old/. full/ || exit 77; }
"$@"; code=$?
mount -o remount,size=1g full
cp -r full before
"$@" $again || exit 78
cp -r full after
exit $code
"#;

/// Runs a command that writes to `full` on disks of more and more KiB; how often there was no room.
fn on_small_disks(
    workspace: &Workspace,
    command: &[&str],
    again: &str,
    levels: u32,
    check: impl Fn(&BTreeMap<String, Vec<u8>>, &str),
) -> Option<usize> {
    let run = |kibibytes: u32| {
        for folder in ["full", "before", "after"] {
            let _ = fs::remove_dir_all(workspace.path(folder));
        }
        fs::create_dir(workspace.path("full")).unwrap();
        let mut child = Command::new("unshare");
        child.args(["-rm", "sh", "-c", ON_A_SMALL_DISK, "sh"]);
        let size = kibibytes.to_string();
        child.args([&size, again, env!("CARGO_BIN_EXE_vascx")]);
        let output = child
            .args(command)
            .current_dir(workspace.path("."))
            .output();
        let Ok(output) = output else {
            return (None, "there is no `unshare`".to_owned());
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), stderr)
    };
    let (code, stderr) = run(1 << 20);
    if matches!(code, None | Some(1 | 77)) {
        println!("skipped: no disk can be mounted here ({code:?}) {stderr}");
        return None;
    }
    assert_eq!(code, Some(0), "{stderr}");
    let expected = results(&workspace.path("after"));
    let bytes: usize = expected
        .values()
        .map(|file| file.len().next_multiple_of(4096))
        .sum();
    let most = (bytes >> 10) as u32 + 48;
    let mut full = 0;
    for level in 0..levels {
        let kibibytes = 4 + (most - 4) * level / (levels - 1);
        let context = format!("{} on {kibibytes} KiB of {most}", command[0]);
        let (code, stderr) = run(kibibytes);
        assert!(!stderr.contains("panicked"), "{context}: {stderr}");
        match code {
            Some(0) => {}
            Some(2) => {
                full += 1;
                assert!(stderr.contains("No space left"), "{context}: {stderr}");
            }
            other => panic!("{context}: {other:?} {stderr}"),
        }
        let before = results(&workspace.path("before"));
        let unfinished = before.keys().find(|name| name.contains(".vascx-"));
        assert_eq!(unfinished, None, "{context}");
        check(&before, &context);
        check_same(&workspace.path("after"), &expected, &context);
    }
    Some(full)
}

fn fill_disks(levels: u32) {
    let workspace = Workspace::new();
    photographs(&workspace, 6);
    let model = model();
    let mut tested = 0;
    let mut predict = arguments(&model, "full", false);
    let mut with_maps = predict.clone();
    with_maps.insert(1, "--save-probabilities");
    let quality = fixture("models/resnet18_m3.pt").display().to_string();
    let mut table = predict.clone();
    let at = table
        .iter()
        .position(|&argument| argument == model)
        .unwrap();
    table[at] = &quality;
    let overlay = predict
        .iter()
        .position(|&argument| argument == "--overlay")
        .unwrap();
    predict.remove(overlay);
    let preprocess = [
        "preprocess",
        "--quiet",
        "--mode",
        "simple",
        "--size",
        "64",
        "--out",
        "full",
        "photos",
    ];
    for command in [&predict[..], &with_maps, &table, &preprocess] {
        // Whatever is there is whole.
        let mut plain = command.to_vec();
        let out = plain
            .iter()
            .position(|&argument| argument == "full")
            .unwrap();
        plain[out] = "whole";
        workspace.vascx(0, &plain);
        let whole = results(&workspace.path("whole"));
        fs::remove_dir_all(workspace.path("whole")).unwrap();
        let check = |before: &BTreeMap<String, Vec<u8>>, context: &str| {
            for (name, bytes) in before {
                let picture = Path::new(name)
                    .extension()
                    .is_some_and(|kind| kind != "csv" && kind != "json");
                assert!(
                    !picture || whole[name] == *bytes,
                    "{context}: {name} is torn"
                );
            }
        };
        // Where nothing could be begun there is no journal, and nothing else either.
        let Some(full) = on_small_disks(&workspace, command, "--resume", levels, check) else {
            return;
        };
        println!("{}: {levels} disks, {full} of them full", command[0]);
        assert!(full > 0);
        tested += levels;
    }
    for force in [false, true] {
        let mut convert = vec!["convert", "--quiet", &model, "--out", "full/model"];
        let old = fixture("models/unet_m1.pt").display().to_string();
        let mut before = BTreeMap::new();
        if force {
            convert.push("--force");
            workspace.vascx(0, &["convert", "--quiet", &old, "--out", "old/model"]);
            before = results(&workspace.path("old"));
        }
        let new = Workspace::new();
        new.vascx(0, &["convert", "--quiet", &model, "--out", "full/model"]);
        let new = results(&new.path("full"));
        let check = |found: &BTreeMap<String, Vec<u8>>, context: &str| {
            assert!(
                *found == before || *found == new,
                "{context}: {:?}",
                found.keys()
            );
        };
        let again = if force { "" } else { "--force" };
        // The old one is there before the new one, on a disk that holds it.
        let Some(full) = on_small_disks(&workspace, &convert, again, levels, check) else {
            return;
        };
        println!("convert, force: {force}: {levels} disks, {full} of them full");
        tested += levels;
    }
    println!("{tested} fill levels");
}

#[test]
fn a_disk_that_is_full_stops_a_run_in_order() {
    fill_disks(4);
}

#[test]
#[ignore = "takes minutes; `just faults`"]
fn a_disk_that_is_full_at_any_moment_stops_a_run_in_order() {
    fill_disks(25);
}

/// Sends signals to runs at moments spread over their whole time.
fn send(rounds: u32) {
    let workspace = Workspace::new();
    photographs(&workspace, 40);
    let model = model();
    let begun = Instant::now();
    workspace.vascx(0, &arguments(&model, "whole", false));
    let duration = begun.elapsed();
    let expected = results(&workspace.path("whole"));
    let kinds: [&[&str]; 8] = [
        &["-KILL"],
        &["-TERM"],
        &["-INT"],
        &["-INT", "-INT"],
        &["-HUP"],
        &["-PIPE"],
        &["-STOP", "-CONT"],
        &["-QUIT"],
    ];
    let mut stopped = 0;
    for round in 0..rounds {
        let signals = kinds[round as usize % kinds.len()];
        let context = format!("round {round}: {signals:?}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_vascx"))
            .args(arguments(&model, "out", false))
            .current_dir(workspace.path("."))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = f64::from(round * 37 % rounds) / f64::from(rounds);
        std::thread::sleep(duration.mul_f64(moment));
        for signal in signals {
            // It may have ended before.
            let mut kill = Command::new("kill");
            kill.args([signal, child.id().to_string().as_str()]);
            let _ = kill.stderr(Stdio::null()).status();
            std::thread::sleep(Duration::from_millis(10));
        }
        let code = child.wait().unwrap().code();
        let allowed: &[Option<i32>] = match signals {
            ["-KILL" | "-QUIT"] => &[None, Some(0)],
            ["-INT", "-INT"] => &[None, Some(0), Some(1), Some(130)],
            ["-PIPE"] | ["-STOP", ..] => &[Some(0), None],
            // None: before the program has begun to watch for it.
            _ => &[None, Some(0), Some(1)],
        };
        assert!(allowed.contains(&code), "{context}: {code:?}");
        stopped += u32::from(code != Some(0));
        check_whole(&workspace.path("out"), &expected, &context);
        let resume = workspace.path("out/journal.jsonl").exists();
        workspace.vascx(0, &arguments(&model, "out", resume));
        check_same(&workspace.path("out"), &expected, &context);
        fs::remove_dir_all(workspace.path("out")).unwrap();
    }
    let device = *DEVICE;
    println!("{rounds} runs on {device}, {stopped} of them stopped");
    assert!(stopped > rounds / 4, "{stopped} of {rounds}");
}

#[test]
fn a_signal_costs_nothing_that_is_done() {
    send(8);
}

#[test]
#[ignore = "takes minutes; `just faults`"]
fn a_signal_at_any_moment_costs_nothing_that_is_done() {
    send(96);
}
