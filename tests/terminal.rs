//! The terminal's mishaps are nobody's, and nothing that is said can do harm there.
#![cfg(target_os = "linux")]

mod harness;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::Workspace;
use harness::prediction::{
    QUALITY, SEGMENTATION, model, photograph, photographs, predict, rows, shell, wait_for,
};

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
    assert_eq!(status.code(), Some(2), "nothing succeeded");
    assert_eq!(rows(&workspace, "manifest.csv").len(), 3000);
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
        wait_for(|| workspace.path("out/p01.png").exists());
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

/// A terminal window that is closed: writing to it is an error from then on, and, unless `nohup` has it
/// ignored, a signal asks to stop.
#[test]
fn a_terminal_that_is_closed_stops_a_run_in_order_or_not_at_all() {
    let model = model(SEGMENTATION);
    for (ignore, all) in [("", false), ("trap '' HUP; ", true)] {
        let workspace = Workspace::new();
        photographs(&workspace, 60);
        let arguments = predict(&model, &["--batch-size", "1"]);
        let binary = env!("CARGO_BIN_EXE_vascx");
        let command = format!("{ignore}exec '{binary}' {}", arguments.join(" "));
        let terminal = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .current_dir(workspace.path("."))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut terminal) = terminal else {
            println!("skipped: there is no `script`");
            return;
        };
        wait_for(|| workspace.path("out/p01.png").exists());
        let first = workspace.path("out/manifest.csv").exists();
        terminal.kill().unwrap();
        terminal.wait().unwrap();
        // The run is nobody's child now; its lock is gone when it has ended.
        wait_for(|| !workspace.path("out/.vascx.lock").exists());
        let done = rows(&workspace, "manifest.csv").len();
        let names = workspace.list("out");
        let maps = names.iter().filter(|name| name.contains(".png")).count();
        assert!(!first, "it was done before the terminal was closed");
        assert_eq!(maps, done, "{ignore}: {names:?}");
        assert!(done >= 2, "{ignore}: {done}");
        assert!(done == 60 || !all, "{ignore}: {done}");
        workspace.vascx(0, &predict(&model, &["--resume"]));
        assert_eq!(rows(&workspace, "manifest.csv").len(), 60);
    }
}

/// The output of a command on a terminal of its own, 60 columns wide; none where there is no `script`.
fn on_a_terminal(workspace: &Workspace, arguments: &[&str]) -> Option<(String, Option<i32>)> {
    let binary = env!("CARGO_BIN_EXE_vascx");
    let command = format!("stty rows 24 cols 60; '{binary}' {}", arguments.join(" "));
    let output = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        // Without it no bar is drawn.
        .env("TERM", "xterm")
        .current_dir(workspace.path("."))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((text, output.status.code()))
}

#[test]
fn the_progress_bar_counts_this_run_alone() {
    let workspace = Workspace::new();
    photographs(&workspace, 40);
    let model = model(SEGMENTATION);
    workspace.vascx(0, &predict(&model, &["--quiet"]));
    for name in ["p03", "p30"] {
        fs::remove_file(workspace.path(&format!("out/{name}.png"))).unwrap();
    }
    fs::write(workspace.path("photos/p20.png"), "broken").unwrap();
    let arguments = predict(&model, &["--resume", "-v", "--batch-size", "1"]);
    let Some((shown, code)) = on_a_terminal(&workspace, &arguments) else {
        return println!("skipped: there is no `script`");
    };
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("done: p03 (0."), "{shown}");
    assert!(shown.contains("done: p00 (by an earlier run)"), "{shown}");
    assert!(shown.contains("photos/p20.png: this is text"), "{shown}");
    // What the bar drew, a state each; messages stand where it was wiped away.
    let drawn = |text: &&str| text.contains("/40, ") && text.contains(" gone");
    let shown = shown.replace("\u{1b}[2K", "\n");
    let states: Vec<&str> = shown.split(['\r', '\n']).filter(drawn).collect();
    let last = states.last().expect(&shown);
    assert!(last.contains("1 failed"), "{last}");
    for state in states {
        // A photograph takes milliseconds; those of the earlier run would make thousands per second.
        let rate = state.split(", ").find_map(|part| part.strip_suffix("/s"));
        let rate = rate.map_or(0.0, |rate| rate.parse::<f64>().unwrap());
        assert!(rate < 1000.0, "{state}");
        let width = state.chars().count();
        assert!(width <= 60, "{width} columns: {state}");
    }
    // Without it, photographs are seen by the bar alone.
    let arguments = predict(&model, &["--overwrite"]);
    let (shown, _) = on_a_terminal(&workspace, &arguments).unwrap();
    assert!(!shown.contains("done: p"), "{shown}");
}

#[test]
fn messages_are_objects_when_programs_read_them() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let odd = "\u{1b}[31m\u{202e}\u{9b}\nfailed: forged";
    fs::write(workspace.path(&format!("photos/{odd}.png")), "broken").unwrap();
    let model = model(QUALITY);
    let mut arguments = predict(&model, &["--log-format", "json"]);
    let objects = |stderr: &str| -> Vec<serde_json::Value> {
        let lines = stderr.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    };
    let run = workspace.vascx(1, &arguments);
    let unseen = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!run.stderr.contains(unseen), "{:?}", run.stderr);
    let said = objects(&run.stderr);
    let of = |kind: &'static str| said.iter().filter(move |object| object["kind"] == kind);
    let done: Vec<&str> = of("done")
        .map(|object| object["id"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["p00", "p01", "p02"]);
    let failed: Vec<_> = of("failed").collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["id"].as_str().unwrap().contains("31m"));
    assert!(failed[0]["message"].as_str().unwrap().contains(odd));
    let end = said.last().unwrap();
    assert_eq!(
        (&end["kind"], &end["done"], &end["failed"], &end["out"]),
        (&"finished".into(), &3.into(), &1.into(), &"out".into())
    );
    assert!(
        said.iter()
            .all(|object| object["time"].as_f64().unwrap() > 1.7e9)
    );
    // Errors and what to do against them, too.
    arguments.extend(["--tta", "on", "--resume"]);
    let refused = objects(&workspace.vascx(2, &arguments).stderr);
    let kinds: Vec<_> = refused.iter().map(|object| &object["kind"]).collect();
    assert!(
        kinds.ends_with(&[&"error".into(), &"hint".into()]),
        "{kinds:?}"
    );
}
