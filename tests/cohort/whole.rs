//! `vascx run`: on to biomarkers and the report.

use std::fs;

use super::{Cohort, assert_same, results};

#[test]
fn photographs_become_a_table_and_a_report() {
    let cohort = Cohort::new(4);
    let run = cohort.run(0, "run", "out", &["--feature-set", "full_v3"]);
    assert!(run.stdout.contains("report.html"), "{}", run.stdout);
    assert!(cohort.path("out/report.html").exists());
    let biomarkers = cohort.table("out/biomarkers/biomarkers.csv");
    assert_eq!(
        biomarkers.keys().collect::<Vec<_>>(),
        ["p00", "p01", "p02", "p03"]
    );
    // Both halves are those of the single commands.
    cohort.run(0, "run-models", "half", &["--quiet"]);
    let arguments = [
        "calc-biomarkers",
        "half",
        "half/biomarkers",
        "--feature-set",
        "full_v3",
        "--quiet",
        "--no-report",
    ];
    cohort.workspace.vascx(0, &arguments);
    let (found, expected) = (results(&cohort.path("out")), results(&cohort.path("half")));
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
    // Whoever resumes a finished job finds nothing to do.
    let again = cohort.run(0, "run", "out", &["--resume"]);
    assert!(
        again.stdout.contains("4 of them by an earlier run"),
        "{}",
        again.stdout
    );
    assert_same(&results(&cohort.path("out")), &found);
}

#[test]
fn excluded_photographs_have_no_biomarkers_and_a_reason() {
    let cohort = Cohort::new(4);
    fs::write(
        cohort.path("marks.csv"),
        "id,mark,note\np01,exclude,blurred\np02,keep,\n",
    )
    .unwrap();
    let quality = cohort.run(0, "run", "first", &["--quiet", "--no-overlay"]);
    assert!(quality.stderr.is_empty(), "{}", quality.stderr);
    let p1 = |id: &str| {
        cohort.table("first/quality.csv")[id][3]
            .parse::<f64>()
            .unwrap()
    };
    let threshold = p1("p03");
    let condition = format!("p1>={threshold}");
    let options = [
        "--exclude",
        "marks.csv",
        "--exclude-quality",
        &condition,
        "--quiet",
    ];
    cohort.run(0, "run", "out", &options);
    let expected: Vec<String> = ["p00", "p02", "p03"]
        .into_iter()
        .filter(|id| p1(id) < threshold)
        .map(str::to_owned)
        .collect();
    let measured = cohort.table("out/biomarkers/biomarkers.csv");
    assert_eq!(measured.keys().cloned().collect::<Vec<_>>(), expected);
    let manifest = cohort.table("out/biomarkers/manifest.csv");
    assert_eq!(manifest["p01"][0], "left out");
    assert!(manifest["p01"][1].contains("blurred"), "{manifest:?}");
    assert!(
        manifest["p03"][1].contains("excluded by p1>="),
        "{manifest:?}"
    );
    cohort
        .run(2, "run", "none", &["--exclude-quality", "p1~3"])
        .error_names(&["p3>0.5"]);
}

/// What was measured on a map that has been made anew since is measured again.
#[test]
fn biomarkers_follow_their_maps() {
    let cohort = Cohort::new(3);
    cohort.run(0, "run", "out", &["--quiet"]);
    fs::copy(cohort.path("photos/p00.png"), cohort.path("photos/p02.png")).unwrap();
    cohort.run(0, "run", "out", &["--resume", "--quiet"]);
    cohort.run(0, "run", "fresh", &["--quiet"]);
    assert_same(
        &results(&cohort.path("out")),
        &results(&cohort.path("fresh")),
    );
}

#[test]
fn without_a_disc_there_is_a_report_and_the_reason() {
    let cohort = Cohort::new(2);
    let run = cohort.run(0, "run", "out", &["--no-disc"]);
    assert!(run.stderr.contains("no biomarkers"), "{}", run.stderr);
    assert!(cohort.path("out/report.html").exists());
    assert!(!cohort.path("out/biomarkers").exists());
}
