//! Parts of a job on several machines, and tables of what is done so far.

use std::fs;

use super::{Cohort, assert_same, results};

#[test]
fn parts_together_are_the_whole() {
    let cohort = Cohort::new(9);
    cohort.run(0, "run-models", "whole", &["--quiet"]);
    let parts: Vec<String> = (1..=3).map(|number| format!("part{number}")).collect();
    for (number, out) in (1..).zip(&parts) {
        cohort.run(
            0,
            "run-models",
            out,
            &["--quiet", "--shard", &format!("{number}/3")],
        );
    }
    let mut arguments = vec!["merge", "--out", "all"];
    arguments.extend(parts.iter().map(String::as_str));
    let run = cohort.workspace.vascx(0, &arguments);
    assert!(run.stdout.contains("9 done, 0 failed"), "{}", run.stdout);
    let (mut whole, mut merged) = (results(&cohort.path("whole")), results(&cohort.path("all")));
    // Rows come part by part.
    for table in [
        "manifest.csv",
        "fovea.csv",
        "quality.csv",
        "bounds.csv",
        "summary.csv",
    ] {
        let sorted = |folder: &str| {
            let text = cohort.read(&format!("{folder}/{table}"));
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines[1..].sort_unstable();
            lines
        };
        if table != "manifest.csv" {
            assert_eq!(sorted("whole"), sorted("all"), "{table}");
        }
        whole.remove(table);
        merged.remove(table);
    }
    whole.remove("run.json");
    merged.remove("run.json");
    assert_same(&merged, &whole);
    // Merged results are a job's, to which the missing can be added.
    let run = cohort.run(0, "run-models", "all", &["--resume"]);
    assert!(
        run.stdout.contains("9 of them by an earlier run"),
        "{}",
        run.stdout
    );

    // Not twice, not over something, not of another job.
    cohort
        .workspace
        .vascx(2, &arguments)
        .error_names(&["all/", "choose another"]);
    let merge = |parts: &[&str]| {
        cohort
            .workspace
            .vascx(2, &[&["merge", "--out", "other"], parts].concat())
    };
    merge(&["part1", "part1"]).error_names(&["being written to"]);
    cohort.run(
        0,
        "run-models",
        "different",
        &["--quiet", "--no-fovea", "--shard", "2/3"],
    );
    merge(&["part1", "different"]).error_names(&["another job", "different"]);
    let picture = fs::read_dir(cohort.path("part2/disc"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::remove_file(picture.path()).unwrap();
    merge(&["part1", "part2"]).error_names(&["--resume"]);
}

#[test]
fn tables_come_from_the_journal_at_any_time() {
    let cohort = Cohort::new(5);
    cohort.run(0, "run-models", "out", &["--quiet"]);
    let expected = results(&cohort.path("out"));
    for table in [
        "manifest.csv",
        "fovea.csv",
        "quality.csv",
        "bounds.csv",
        "summary.csv",
    ] {
        fs::remove_file(cohort.path("out").join(table)).unwrap();
    }
    let run = cohort.workspace.vascx(0, &["tables", "out"]);
    assert!(
        run.stdout.contains("tables of 5 photographs"),
        "{}",
        run.stdout
    );
    assert_same(&results(&cohort.path("out")), &expected);
    // As far as the journal reaches, whatever a kill has left of its last line.
    let journal = cohort.read("out/journal.jsonl");
    let cut: usize = journal.lines().take(3).map(|line| line.len() + 1).sum();
    fs::write(cohort.path("out/journal.jsonl"), &journal[..cut + 20]).unwrap();
    let run = cohort.workspace.vascx(0, &["tables", "out"]);
    assert!(
        run.stdout.contains("tables of 2 photographs"),
        "{}",
        run.stdout
    );
    assert_eq!(cohort.table("out/fovea.csv").len(), 2);
    cohort
        .workspace
        .vascx(2, &["tables", "photos"])
        .error_names(&["no journal"]);
}

/// A journal is no leave to touch files elsewhere.
#[test]
fn a_journal_that_points_outside_is_not_followed() {
    let cohort = Cohort::new(2);
    cohort.run(0, "run-models", "out", &["--quiet"]);
    let journal = cohort.read("out/journal.jsonl");
    let hostile = journal.replace("disc/p00.png", "../secret.png");
    fs::write(cohort.path("out/journal.jsonl"), hostile).unwrap();
    fs::write(cohort.path("secret.png"), "secret").unwrap();
    let run = cohort.workspace.vascx(0, &["merge", "--out", "all", "out"]);
    assert!(run.stdout.contains("1 done"), "{}", run.stdout);

    let hostile = journal.replace("\"fovea.csv\"", "\"../mine.csv\"");
    assert_ne!(hostile, journal);
    fs::write(cohort.path("out/journal.jsonl"), hostile).unwrap();
    fs::write(cohort.path("mine.csv"), "mine").unwrap();
    for command in [&["tables", "out"][..], &["merge", "--out", "other", "out"]] {
        let run = cohort.workspace.vascx(2, command);
        run.error_names(&["outside of the folder"]);
    }
    assert_eq!(cohort.read("mine.csv"), "mine");
}

/// Not even where pictures may be replaced.
#[test]
fn no_overlay_is_drawn_over_what_it_is_drawn_from() {
    let cohort = Cohort::new(2);
    cohort.run(0, "run-models", "out", &["--quiet", "--native"]);
    for folder in [
        "photos",
        "out/preprocessed_rgb",
        "out/artery_vein",
        "out/native/disc",
    ] {
        let before = results(&cohort.path(folder));
        for native in [&["--native"][..], &[]] {
            let command = ["overlay", "out", folder, "--overwrite"];
            let run = cohort.workspace.vascx(2, &[&command, native].concat());
            run.error_names(&["choose another output folder"]);
        }
        assert_same(&results(&cohort.path(folder)), &before);
    }
    let again = ["overlay", "out", "out/overlays"];
    let run = cohort.workspace.vascx(2, &again);
    run.error_names(&["--overwrite"]);
    let run = cohort
        .workspace
        .vascx(0, &[&again[..], &["--overwrite"]].concat());
    assert!(run.stdout.contains("2 drawn, 0 failed"), "{}", run.stdout);
}
