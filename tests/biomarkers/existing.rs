//! Reports and files that are there before a report is written.

use std::fs;

use crate::harness::{Run, Workspace};
use crate::{folder, table};

/// `calc-biomarkers` of the maps, without pictures, ending with this exit code.
fn measured(workspace: &Workspace, code: i32, report: &str, more: &[&str]) -> Run {
    let common = ["calc-biomarkers", "maps", report, "--feature-set"];
    workspace.vascx(
        code,
        &[&common[..], &["bergmann", "--no-report"], more].concat(),
    )
}

#[test]
fn nothing_of_the_user_s_is_replaced() {
    let workspace = Workspace::new();
    let maps = folder(&workspace, &["left_plain_1", "narrow"]);
    let run = |code, report: &str, more: &[&str]| measured(&workspace, code, report, more);
    run(1, "report.csv", &[]).error_names(&["report.csv", "folder"]);
    for among in ["maps", "maps/artery_vein", "maps/disc/report"] {
        run(1, among, &["--overwrite"]).error_names(&["among the maps"]);
    }
    assert!(!maps.join("disc/report").exists());
    run(1, "report", &["--report", "--report-image", "nobody"]).error_names(&["nobody"]);
    assert!(!workspace.path("report").exists());

    fs::create_dir_all(workspace.path("report/plots")).unwrap();
    fs::write(workspace.path("report/biomarkers.csv"), "mine").unwrap();
    fs::write(workspace.path("report/plots/notes.txt"), "mine").unwrap();
    run(1, "report", &[]).error_names(&["biomarkers.csv", "plots", "--overwrite"]);
    assert_eq!(
        fs::read_to_string(workspace.path("report/biomarkers.csv")).unwrap(),
        "mine"
    );
    run(0, "report", &["--overwrite"]);
    assert_eq!(table(&workspace.path("report/biomarkers.csv")).1.len(), 2);
    assert_eq!(
        fs::read_to_string(workspace.path("report/plots/notes.txt")).unwrap(),
        "mine"
    );
    run(1, "report", &[]).error_names(&["journal.jsonl"]);
    // A picture of one's own beside those of the report.
    fs::write(workspace.path("report/plots/mine.png"), "mine").unwrap();
    run(0, "report", &["--overwrite"]);
    assert!(workspace.path("report/plots/mine.png").exists());

    workspace.vascx(
        2,
        &["calc-biomarkers", "nowhere", "out", "--feature-set", "full"],
    );
    workspace.vascx(2, &["calc-biomarkers", "maps", "out"]);
    let run = workspace.vascx(
        2,
        &["calc-biomarkers", "maps", "out", "--feature-set", "fulll"],
    );
    run.error_names(&["full_v3"]);
}

#[test]
fn what_others_wrote_stays() {
    let workspace = Workspace::new();
    folder(&workspace, &["left_plain_1"]);
    let run = |code, report: &str, more: &[&str]| measured(&workspace, code, report, more);
    let write = |name: &str, text: &str| {
        fs::create_dir_all(workspace.path(name).parent().unwrap()).unwrap();
        fs::write(workspace.path(name), text).unwrap();
    };
    let read = |name: &str| fs::read_to_string(workspace.path(name)).unwrap();

    // A report of the reference has no journal to go on from.
    write("theirs/biomarkers.csv", "id\n");
    run(1, "theirs", &["--resume"]).error_names(&["no journal", "--overwrite"]);
    assert_eq!(read("theirs/biomarkers.csv"), "id\n");

    // Results of `predict`.
    write("maps_of_mine/journal.jsonl", "{\"model\":\"disc\"}\n");
    write("maps_of_mine/manifest.csv", "id\n");
    for option in ["--overwrite", "--resume"] {
        run(1, "maps_of_mine", &[option]).error_names(&["journal.jsonl", "another folder"]);
    }
    assert_eq!(read("maps_of_mine/manifest.csv"), "id\n");
    assert_eq!(read("maps_of_mine/journal.jsonl"), "{\"model\":\"disc\"}\n");

    write("notes.txt", "my notes\n");
    #[cfg(unix)]
    {
        fs::create_dir(workspace.path("planted")).unwrap();
        let link = workspace.path("planted/journal.jsonl");
        std::os::unix::fs::symlink(workspace.path("notes.txt"), link).unwrap();
        for option in ["--overwrite", "--resume"] {
            run(1, "planted", &[option]).error_names(&["journal.jsonl"]);
        }
    }
    for log in ["notes.txt", "maps/fovea.csv", "maps/disc/left_plain_1.png"] {
        let before = fs::read(workspace.path(log)).unwrap();
        run(1, "logged", &["--logfile", log]).error_names(&[log, "another file"]);
        assert_eq!(fs::read(workspace.path(log)).unwrap(), before);
    }
    for command in ["write-mapping", "write-readme"] {
        let arguments = [command, "notes.txt", "--feature-set", "full"];
        workspace
            .vascx(2, &arguments)
            .error_names(&["notes.txt", "--overwrite"]);
        assert_eq!(read("notes.txt"), "my notes\n");
    }
    workspace.vascx(
        0,
        &[
            "write-readme",
            "notes.txt",
            "--feature-set",
            "full",
            "--overwrite",
        ],
    );
    assert!(read("notes.txt").starts_with("# Biomarkers"));
}
