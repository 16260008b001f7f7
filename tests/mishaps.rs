//! Mishaps: one photograph's is its own, and a resumed run believes only what it can see.
#![cfg(target_os = "linux")]

mod harness;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use harness::prediction::{QUALITY, SEGMENTATION, model, photograph, photographs, predict, rows};
use harness::{DEVICE, Workspace};

#[test]
fn names_that_are_no_utf_8_are_recorded_without_loss() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    let folder = workspace.path("photos");
    for (name, seed) in [(&b"M\xfcller.png"[..], 7), (b"M\xf6ller.png", 8)] {
        photograph(&folder.join(OsStr::from_bytes(name)), seed);
    }
    fs::write(folder.join(OsStr::from_bytes(b"\xff.png")), "broken").unwrap();
    for model in [model(SEGMENTATION), model(QUALITY)] {
        workspace.vascx(1, &predict(&model, &[]));
        let manifest = rows(&workspace, "manifest.csv");
        assert_eq!(manifest.len(), 5, "{manifest:?}");
        for (id, name) in [
            ("M%FCller,file:///", "/M%FCller.png,ok"),
            ("%FF,", "/%FF.png,failed"),
        ] {
            let named = |row: &&String| row.starts_with(id) && row.contains(name);
            assert_eq!(
                manifest.iter().filter(named).count(),
                1,
                "{id}: {manifest:?}"
            );
        }
        let resumed = workspace.vascx(1, &predict(&model, &["--resume"])).stdout;
        assert!(resumed.contains("4 of them by an earlier run"), "{resumed}");
        if model.contains(SEGMENTATION) {
            assert!(workspace.list("out").contains(&"M%FCller.png".to_owned()));
            assert!(workspace.list("out").contains(&"M%F6ller.png".to_owned()));
        }
        fs::remove_dir_all(workspace.path("out")).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_the_failure_of_its_photograph() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    // 251 bytes leave room for the four of `.png` alone.
    for length in [240, 243, 247, 251] {
        photograph(
            &workspace.path(&format!("photos/{}.png", "x".repeat(length))),
            1,
        );
    }
    let model = model(SEGMENTATION);
    workspace.vascx(0, &predict(&model, &["--overlay"]));
    fs::remove_dir_all(workspace.path("out")).unwrap();
    fs::create_dir_all(workspace.path("out/p01.png")).unwrap();
    workspace
        .vascx(
            1,
            &predict(&model, &["--save-probabilities", "--overwrite"]),
        )
        .error_names(&["failed: cannot write out/p01.png", "name too long"]);
    let manifest = rows(&workspace, "manifest.csv");
    let failed = manifest.iter().filter(|row| row.contains(",failed,"));
    assert_eq!((failed.count(), manifest.len()), (3, 6), "{manifest:?}");
    // Nothing unfinished is left.
    assert!(
        !workspace
            .list("out")
            .iter()
            .any(|name| name.starts_with('.'))
    );
}

#[test]
fn a_limit_of_file_sizes_is_an_error_and_no_signal() {
    let workspace = Workspace::new();
    photographs(&workspace, 30);
    let model = model(SEGMENTATION);
    // 8 KiB: enough for maps, not for the journal of thirty.
    let mut command = Command::new("sh");
    let script = "ulimit -f 16; exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_vascx")]);
    command.args(predict(&model, &["--quiet"]));
    let output = command.current_dir(workspace.path(".")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for part in ["cannot write out/journal.jsonl", "too large", "--resume"] {
        assert!(stderr.contains(part), "{stderr}");
    }
    workspace.vascx(0, &predict(&model, &["--resume"]));
    assert_eq!(rows(&workspace, "manifest.csv").len(), 30);
}

/// What a damaged line costs is its photograph.
#[test]
fn a_damaged_journal_costs_what_is_damaged() {
    let workspace = Workspace::new();
    photographs(&workspace, 4);
    let model = model(QUALITY);
    workspace.vascx(0, &predict(&model, &[]));
    let path = workspace.path("out/journal.jsonl");
    let journal = fs::read(&path).unwrap();
    let expected = rows(&workspace, "predictions.csv");
    let lines: Vec<Vec<u8>> = journal
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let with = |index: usize, change: &dyn Fn(String) -> Vec<u8>| {
        let mut lines = lines.clone();
        lines[index] = change(String::from_utf8(lines[index].clone()).unwrap());
        lines.concat()
    };
    let predictions = |by: &'static str| {
        move |line: String| {
            let (start, rest) = line.split_once("\"predictions\":[").unwrap();
            let end = rest.split_once(']').unwrap().1;
            format!("{start}\"predictions\":[{by}]{end}").into_bytes()
        }
    };
    let damages = [
        (
            3,
            with(2, &|line| [&b"\xff\xfe"[..], line.as_bytes()].concat()),
        ),
        (3, with(2, &|_| b"\0\0\0\0\n".to_vec())),
        (3, with(2, &predictions(""))),
        (3, with(2, &predictions("\"0.5\""))),
        (3, with(2, &predictions("\"0.5\",\"=cmd()\",\"0.1\""))),
        (3, with(2, &predictions("\"0.5\",\"NaN\",\"0.1\""))),
        (
            3,
            with(4, &|line| line.as_bytes()[..line.len() / 2].to_vec()),
        ),
        (4, with(2, &|line| line.replace('\n', "\r\n").into_bytes())),
        (4, [&journal[..], &lines[1], &lines[2]].concat()),
        (0, lines[0].clone()),
        (0, Vec::new()),
        (0, b"[".repeat(200_000)),
        (0, with(0, &|line| line.as_bytes()[20..].to_vec())),
        // Records of a later version, a line without end, numbers of another kind, photographs of no name.
        (
            3,
            with(2, &|line| {
                line.replacen('{', "{\"later\":1,", 1).into_bytes()
            }),
        ),
        (4, [&journal[..], &b"{".repeat(1 << 20)].concat()),
        (
            4,
            [&journal[..], b"\n\n\n\"text\"\n17\nnull\n[]\n{}\n"].concat(),
        ),
        (
            3,
            with(2, &|line| {
                line.replace("\"bytes\":", "\"bytes\":1").into_bytes()
            }),
        ),
        (
            3,
            with(2, &|line| {
                line.replace("\"p01\"", "\"../p01\"").into_bytes()
            }),
        ),
        (
            3,
            with(2, &|line| line.replace("\"p01\"", "17").into_bytes()),
        ),
        (3, with(2, &|_| Vec::new())),
        (1, lines[..2].concat()),
        (
            3,
            with(4, &|line| {
                line.trim_end_matches(['}', '\n']).as_bytes().to_vec()
            }),
        ),
    ];
    for (index, (kept, damaged)) in damages.iter().enumerate() {
        fs::write(&path, damaged).unwrap();
        let run = workspace.vascx(0, &predict(&model, &["--resume"])).stdout;
        let said = format!("4 done, 0 failed, {kept} of them by an earlier run");
        let none = *kept == 0 && !run.contains("earlier");
        assert!(none || run.contains(&said), "damage {index}: {run}");
        assert_eq!(
            rows(&workspace, "predictions.csv"),
            expected,
            "damage {index}"
        );
    }
}

#[test]
fn results_that_are_missing_or_changed_are_made_again() {
    let workspace = Workspace::new();
    photographs(&workspace, 5);
    let model = model(SEGMENTATION);
    workspace.vascx(0, &predict(&model, &["--overlay"]));
    let out = |name: &str| workspace.path("out").join(name);
    let files = ["p00.png", "p01.png", "p02.png", "overlays/p03.png"];
    let whole = files.map(|name| fs::read(out(name)).unwrap());
    fs::remove_file(out(files[0])).unwrap();
    fs::write(out(files[1]), "").unwrap();
    let mut changed = whole[2].clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(out(files[2]), changed).unwrap();
    fs::remove_file(out(files[3])).unwrap();
    let run = workspace.vascx(0, &predict(&model, &["--overlay", "--resume"]));
    assert!(
        run.stdout.contains("1 of them by an earlier run"),
        "{}",
        run.stdout
    );
    run.error_names(&[
        "whose results are missing",
        "p00, p03",
        "have changed since",
        "p01, p02",
    ]);
    for (name, expected) in files.iter().zip(&whole) {
        assert!(fs::read(out(name)).unwrap() == *expected, "{name}");
    }
}

/// A resumed run that computes nothing has no times of its own, and leaves those that there are.
#[test]
fn a_run_with_nothing_to_do_leaves_what_is_known_of_the_one_before() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let model = model(QUALITY);
    let times = || {
        let text = fs::read(workspace.path("out/run.json")).unwrap();
        let run: serde_json::Value = serde_json::from_slice(&text).unwrap();
        ["first_chunk_seconds", "seconds_per_photograph_after"].map(|key| run[key].clone())
    };
    workspace.vascx(0, &predict(&model, &["--batch-size", "1"]));
    let before = times();
    assert!(before[0].as_f64().unwrap() > 0.0, "{before:?}");
    for _ in 0..2 {
        workspace.vascx(0, &predict(&model, &["--batch-size", "1", "--resume"]));
        assert_eq!(times(), before);
    }
}

#[test]
fn photographs_are_known_by_their_content() {
    let workspace = Workspace::new();
    photographs(&workspace, 4);
    let model = model(QUALITY);
    workspace.vascx(0, &predict(&model, &[]));
    // Another mount point.
    fs::rename(workspace.path("photos"), workspace.path("moved")).unwrap();
    let mut moved = predict(&model, &["--resume"]);
    *moved.last_mut().unwrap() = "moved";
    let run = workspace.vascx(0, &moved).stdout;
    assert!(run.contains("4 of them by an earlier run"), "{run}");
    let manifest = rows(&workspace, "manifest.csv");
    assert!(
        manifest.iter().all(|row| row.contains("/moved/p0")),
        "{manifest:?}"
    );
    // Other content of the same length and time.
    let path = workspace.path("moved/p02.png");
    let time = path.metadata().unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let run = workspace.vascx(1, &moved);
    assert!(
        run.stdout.contains("3 of them by an earlier run"),
        "{}",
        run.stdout
    );
    run.error_names(&["p02, whose photograph has changed since"]);
}

#[test]
fn weights_and_instructions_are_part_of_what_is_resumed() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let convert = |name: &str| {
        let model = model(name);
        workspace.vascx(
            0,
            &["convert", "--quiet", &model, "--out", "model", "--force"],
        );
    };
    convert(SEGMENTATION);
    workspace.vascx(0, &predict("model", &[]));
    // Other weights under the same description.
    let path = workspace.path("model/weights.safetensors");
    let weights = fs::read(&path).unwrap();
    let mut other = weights.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&path, other).unwrap();
    workspace
        .vascx(2, &predict("model", &["--resume"]))
        .error_names(&["out holds the results of another job", "weights_sha256: "]);
    fs::write(&path, weights).unwrap();
    workspace.vascx(0, &predict("model", &["--resume"]));

    let mut command = Command::new(env!("CARGO_BIN_EXE_vascx"));
    command.env("VASCX_INSTRUCTION_SET", "nonsense");
    command.args(predict("model", &["--resume"]));
    let output = command.current_dir(workspace.path(".")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("nonsense") && stderr.contains("portable"),
        "{stderr}"
    );
    if *DEVICE == "cpu" && cfg!(target_arch = "x86_64") {
        command.env("VASCX_INSTRUCTION_SET", "portable");
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Unless that is all that this machine has.
        let refused = stderr.contains("instruction_set: ") && output.status.code() == Some(2);
        assert!(refused || output.status.success(), "{stderr}");
    }
}
