//! Mishaps: one photograph's is its own, the terminal's is nobody's, and a resumed run believes only
//! what it can see.
#![cfg(target_os = "linux")]

mod harness;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::{DEVICE, Workspace, fixture};

const SEGMENTATION: &str = "unet_instance_bilinear_m2";
const QUALITY: &str = "resnet18_m3";

fn model(name: &str) -> String {
    fixture(&format!("models/{name}.pt"))
        .to_str()
        .unwrap()
        .to_owned()
}

fn photograph(path: &Path, seed: u32) {
    let image = image::RgbImage::from_fn(40, 30, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 2) as u8, (x * y + 7 * seed) as u8])
    });
    image
        .save_with_format(path, image::ImageFormat::Png)
        .unwrap();
}

fn photographs(workspace: &Workspace, count: u32) {
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        photograph(&workspace.path(&format!("photos/p{index:02}.png")), index);
    }
}

fn predict<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "predict", "--device", DEVICE, "--model", model, "--out", "out",
    ];
    arguments.extend(more);
    arguments.push("photos");
    arguments
}

/// Runs `vascx` by a shell's command, in which it is `"$@"`; the exit code.
fn shell(workspace: &Workspace, script: &str, arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_vascx")]);
    let status = command.args(arguments).current_dir(workspace.path("."));
    status.status().unwrap().code()
}

/// Lines of a table, without its header; none when there is no table.
fn rows(workspace: &Workspace, table: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace.path("out").join(table)).unwrap_or_default();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_terminal_that_is_full_closed_or_gone_ends_nothing() {
    let model = model(SEGMENTATION);
    for script in [
        "exec \"$@\" 2>/dev/full",
        "exec \"$@\" >/dev/full",
        "exec \"$@\" >/dev/full 2>&1",
        "exec \"$@\" >&- 2>&-",
    ] {
        let workspace = Workspace::new();
        photographs(&workspace, 6);
        assert_eq!(
            shell(&workspace, script, &predict(&model, &[])),
            Some(0),
            "{script}"
        );
        assert_eq!(rows(&workspace, "manifest.csv").len(), 6, "{script}");
        fs::write(workspace.path("photos/p03.png"), "broken").unwrap();
        let again = predict(&model, &["--resume", "--quiet"]);
        assert_eq!(shell(&workspace, script, &again), Some(1), "{script}");
        assert_eq!(rows(&workspace, "manifest.csv").len(), 6, "{script}");
    }
    // Whoever reads goes away at once.
    let workspace = Workspace::new();
    photographs(&workspace, 6);
    let mut child = Command::new(env!("CARGO_BIN_EXE_vascx"))
        .args(predict(&model, &[]))
        .current_dir(workspace.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(rows(&workspace, "manifest.csv").len(), 6);
}

/// More messages than a pipe holds, and nobody who reads them.
#[test]
fn a_reader_that_stands_still_stops_nothing() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..3000 {
        let name = format!("photos/{index:04}-{}.png", "n".repeat(100));
        fs::write(workspace.path(&name), "broken").unwrap();
    }
    let model = model(QUALITY);
    let mut child = Command::new(env!("CARGO_BIN_EXE_vascx"))
        .args(predict(&model, &["--durability", "fast"]))
        .current_dir(workspace.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_mins(1) {
            child.kill().unwrap();
            panic!("the run waits for its terminal");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(1));
    assert_eq!(rows(&workspace, "manifest.csv").len(), 3000);
}

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
fn a_run_that_shall_outlive_its_terminal_does() {
    let model = model(SEGMENTATION);
    for (script, lives) in [("trap '' HUP; exec \"$@\"", true), ("exec \"$@\"", false)] {
        let workspace = Workspace::new();
        photographs(&workspace, 60);
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_vascx")]);
        command.args(predict(&model, &["--batch-size", "1", "--quiet"]));
        let mut child = command.current_dir(workspace.path(".")).spawn().unwrap();
        let begun = Instant::now();
        while !workspace.path("out/p01.png").exists() {
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "nothing was predicted"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let hang_up = ["-HUP", &child.id().to_string()];
        assert!(
            Command::new("kill")
                .args(hang_up)
                .status()
                .unwrap()
                .success()
        );
        let code = child.wait().unwrap().code();
        let done = rows(&workspace, "manifest.csv").len();
        assert!(lives || code.is_some(), "the signal ended it");
        if lives {
            assert_eq!((code, done), (Some(0), 60));
        } else {
            assert_eq!(code, Some(i32::from(done < 60)), "{done}");
        }
    }
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

#[test]
fn names_can_neither_move_the_cursor_nor_forge_messages_nor_compute() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    let names = ["\u{1b}[31mred\nfailed: forged", "\u{202e}gnp", "bell\u{7}"];
    for name in names {
        fs::write(workspace.path(&format!("photos/{name}.png")), "broken").unwrap();
    }
    for (name, seed) in [("=1+1", 1), ("@x", 2), ("-12", 3)] {
        photograph(&workspace.path(&format!("photos/{name}.png")), seed);
    }
    let model = model(QUALITY);
    let run = workspace.vascx(1, &predict(&model, &[]));
    let escapes = |text: &str| {
        text.chars()
            .any(|c| c.is_control() && c != '\n' || c == '\u{202e}')
    };
    assert!(!escapes(&run.stderr) && !escapes(&run.stdout), "{run:?}");
    assert!(
        !run.stderr
            .lines()
            .any(|line| line.starts_with("failed: forged"))
    );
    assert!(
        run.stderr.contains("\\u{1b}[31mred\\nfailed: forged"),
        "{}",
        run.stderr
    );
    for table in ["predictions.csv", "manifest.csv"] {
        let rows = rows(&workspace, table);
        for id in ["'=1+1,", "'@x,", "-12,"] {
            assert!(rows.iter().any(|row| row.starts_with(id)), "{id}: {rows:?}");
        }
    }
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
    if DEVICE == "cpu" && cfg!(target_arch = "x86_64") {
        command.env("VASCX_INSTRUCTION_SET", "portable");
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        // Unless that is all that this machine has.
        let refused = stderr.contains("instruction_set: ") && output.status.code() == Some(2);
        assert!(refused || output.status.success(), "{stderr}");
    }
}
