//! `vascx calc-biomarkers`, `write-mapping`, `write-readme` against retinalysis-vascx 2.1.0's own
//! numbers and names (`tools/reference/biomarkers.py`), and on folders that are not as they should be.

mod existing;
#[path = "../harness/mod.rs"]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::{Run, Workspace};
use serde_json::Value;

/// Eyes that this file measures; the crate's own tests take all.
const EYES: [&str; 6] = [
    "left_plain_1",
    "right_tortuous",
    "loops_large",
    "fovea_nan",
    "lines_inside",
    "three_mains",
];

fn eyes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/vascx-biomarkers/tests/fixtures/eyes")
}

/// A folder `maps` as run-models would have written it, with these eyes.
fn folder(workspace: &Workspace, ids: &[&str]) -> PathBuf {
    let maps = workspace.path("maps");
    for kind in ["artery_vein", "vessels", "disc", "preprocessed_rgb"] {
        fs::create_dir_all(maps.join(kind)).unwrap();
    }
    for id in ids {
        let file = |kind: &str| format!("{kind}/{id}.png");
        for kind in ["artery_vein", "disc"] {
            fs::copy(eyes().join(file(kind)), maps.join(file(kind))).unwrap();
        }
        // Where there is no vessel map of its own, all that is artery or vein is a vessel.
        let vessels = eyes().join(file("vessels"));
        let source = if vessels.exists() {
            vessels
        } else {
            eyes().join(file("artery_vein"))
        };
        fs::copy(source, maps.join(file("vessels"))).unwrap();
        let photograph = eyes().join(file("preprocessed_rgb"));
        if photograph.exists() {
            fs::copy(photograph, maps.join(file("preprocessed_rgb"))).unwrap();
        }
    }
    for table in ["fovea.csv", "bounds.csv"] {
        fs::copy(eyes().join(table), maps.join(table)).unwrap();
    }
    maps
}

/// A table's header and its rows by id.
fn table(path: &Path) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let rows = reader.records().map(|record| {
        let row: Vec<String> = record.unwrap().iter().map(str::to_owned).collect();
        (row[0].clone(), row)
    });
    (header, rows.collect())
}

#[test]
fn the_reference_s_command_line_gives_its_numbers() {
    let workspace = Workspace::new();
    folder(&workspace, &EYES);
    workspace.vascx(
        0,
        &[
            "calc-biomarkers",
            "maps",
            "report",
            "--feature_set",
            "full_v3",
            "--n-jobs",
            "2",
            "--no-report",
            "--naming",
            "canonical",
        ],
    );
    assert_eq!(
        workspace.list("report"),
        [
            "biomarkers.csv",
            "data_dictionary.csv",
            "journal.jsonl",
            "manifest.csv",
            "reasons.csv"
        ]
    );
    let (header, ours) = table(&workspace.path("report/biomarkers.csv"));
    let (expected_header, expected) = table(&eyes().join("reference/full_v3.csv"));
    assert_eq!(header, expected_header);
    assert_eq!(ours.len(), EYES.len());
    for id in EYES {
        for (column, (ours, theirs)) in ours[id].iter().zip(&expected[id]).enumerate().skip(1) {
            let name = &header[column];
            assert_eq!(
                ours.is_empty(),
                theirs.is_empty(),
                "{id} {name}: `{ours}` `{theirs}`"
            );
            if !ours.is_empty() {
                let (ours, theirs): (f64, f64) = (ours.parse().unwrap(), theirs.parse().unwrap());
                // The same formulas in f64 differ by rounding; the fixtures have 12 digits.
                assert!(
                    (ours - theirs).abs() <= 1e-6 * theirs.abs(),
                    "{id} {name}: {ours} {theirs}"
                );
            }
        }
    }
    // Each empty cell has a reason.
    let reasons = fs::read_to_string(workspace.path("report/reasons.csv")).unwrap();
    let empty: usize = ours
        .values()
        .flatten()
        .filter(|cell| cell.is_empty())
        .count();
    assert_eq!(reasons.lines().count() - 1, empty);
    assert!(
        reasons.contains("fovea_nan,temporal_cre_arteries,no fovea"),
        "{reasons}"
    );
}

#[test]
fn mappings_have_the_reference_s_names() {
    let workspace = Workspace::new();
    let reference = eyes().join("reference");
    let mut sets = 0;
    for entry in fs::read_dir(&reference).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(set) = name
            .strip_prefix("names_")
            .and_then(|name| name.strip_suffix(".csv"))
        else {
            continue;
        };
        sets += 1;
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let expected: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        for (naming, offset) in [("resolved", 0), ("canonical", 1)] {
            let arguments = ["--feature-set", set, "--naming", naming, "--overwrite"];
            workspace.vascx(
                0,
                &[&["write-mapping", "out/names.csv"][..], &arguments].concat(),
            );
            let text = fs::read_to_string(workspace.path("out/names.csv")).unwrap();
            assert!(
                text.starts_with("variable,display_name,description"),
                "{text}"
            );
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            assert_eq!(rows.len(), expected.len(), "{set}");
            for (row, expected) in rows.iter().zip(&expected) {
                assert_eq!(row[0], expected[offset], "{set} {naming}");
                // Of canonical display names parts in brackets are left out.
                if naming == "resolved" {
                    assert_eq!(row[1], expected[2], "{set}");
                }
                assert!(row[2].len() > 10, "{row:?}");
            }
            let json = [&["write-mapping", "names.json", "--json"][..], &arguments].concat();
            workspace.vascx(0, &json);
            let text = fs::read_to_string(workspace.path("names.json")).unwrap();
            let mapping: Value = serde_json::from_str(&text).unwrap();
            for (row, expected) in rows.iter().zip(&expected) {
                assert_eq!(mapping[&expected[offset]], row[1]);
            }
        }
    }
    assert_eq!(sets, 11);
    workspace.vascx(
        0,
        &[
            "write-readme",
            "docs/full_v3.md",
            "--feature-set",
            "full_v3",
        ],
    );
    let page = fs::read_to_string(workspace.path("docs/full_v3.md")).unwrap();
    assert!(page.contains("| `lw_diam_arteries` |"), "{page}");
}

#[test]
fn a_report_has_pictures_and_says_what_it_holds() {
    let workspace = Workspace::new();
    folder(&workspace, &["left_plain_1", "right_plain_1", "no_veins"]);
    let run = workspace.vascx(
        0,
        &[
            "calc-biomarkers",
            "maps",
            "report",
            "--feature-set",
            "full_v3",
            "--report-image",
            "left_plain_1",
            "--report-image",
            "no_veins",
            "--segments",
            "--bifurcations",
        ],
    );
    assert!(
        run.stdout.contains("3 measured, 0 failed"),
        "{}",
        run.stdout
    );
    let text = fs::read_to_string(workspace.path("report/report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["feature_set"], "full_v3");
    assert_eq!(report["biomarker_count"], 75);
    assert_eq!(report["dataset"]["image_count"], 3);
    assert_eq!(
        report["dataset"]["report_sample_ids"],
        serde_json::json!(["left_plain_1", "no_veins"])
    );
    let plots = workspace.list("report/plots");
    assert_eq!(
        plots,
        [
            "bifangle_arteries.png",
            "disc_fovea_distance.png",
            "md_diam_arteries.png",
            "md_tort_dist_arteries.png",
            "mean_sparsity.png",
            "temporal_angle_arteries.png",
            "temporal_cre_arteries.png",
            "vd_elps_full_arteries.png",
        ]
    );
    assert_eq!(report["plot_count"], plots.len());
    assert_eq!(
        workspace.list("report/sheets"),
        ["left_plain_1.png", "no_veins.png"]
    );
    let sheet = image::open(workspace.path("report/sheets/left_plain_1.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (5120, 2048));
    let page = fs::read_to_string(workspace.path("report/README.md")).unwrap();
    assert!(page.contains("](plots/md_diam_arteries.png)"), "{page}");

    let (_, values) = table(&workspace.path("report/biomarkers.csv"));
    assert_eq!(values.len(), 3);
    let segments = fs::read_to_string(workspace.path("report/segments.csv")).unwrap();
    assert!(segments.starts_with("id,layer,segment,tree,"), "{segments}");
    assert!(segments.contains("\nno_veins,arteries,0,"));
    assert!(!segments.contains("\nno_veins,veins,"));
    let bifurcations = fs::read_to_string(workspace.path("report/bifurcations.csv")).unwrap();
    assert!(bifurcations.lines().count() > 20);
}

#[test]
fn an_eye_s_mishap_stays_its_own() {
    let workspace = Workspace::new();
    let ids = [
        "left_plain_1",
        "bounds_failed",
        "wrong_size",
        "narrow",
        "broken",
        "wide",
        "holes",
    ];
    let maps = folder(&workspace, &ids);
    fs::remove_file(maps.join("vessels/narrow.png")).unwrap();
    fs::write(maps.join("artery_vein/broken.png"), b"no picture").unwrap();
    fs::remove_file(maps.join("disc/wide.png")).unwrap();
    // A program in a table stays text.
    let bounds = fs::read_to_string(maps.join("bounds.csv")).unwrap();
    let program = format!(
        "__import__('os').mkdir('{}')",
        workspace.path("made").display()
    );
    let bounds: Vec<String> = bounds
        .lines()
        .map(|line| {
            if line.starts_with("holes,") {
                format!("holes,True,\"{program}\"")
            } else {
                line.into()
            }
        })
        .collect();
    fs::write(maps.join("bounds.csv"), bounds.join("\n")).unwrap();

    let run = workspace.vascx(
        1,
        &[
            "calc-biomarkers",
            "maps",
            "report",
            "--feature-set",
            "full_v3",
            "--logfile",
            "logs/warnings.log",
        ],
    );
    run.error_names(&[
        "failed: bounds_failed",
        "failed: wrong_size",
        "512 × 512",
        "narrow",
    ]);
    assert!(!workspace.path("made").exists());
    let (_, manifest) = table(&workspace.path("report/manifest.csv"));
    let status: BTreeMap<&str, &str> = manifest
        .iter()
        .map(|(id, row)| (id.as_str(), row[1].as_str()))
        .collect();
    assert_eq!(
        status,
        BTreeMap::from([
            ("left_plain_1", "ok"),
            ("narrow", "ok"),
            ("bounds_failed", "failed"),
            ("wrong_size", "failed"),
            ("broken", "failed"),
            ("holes", "failed"),
            ("wide", "left out"),
        ])
    );
    assert!(manifest["bounds_failed"][2].contains("no field of view"));
    assert!(manifest["wide"][2].contains("disc"));
    let (header, values) = table(&workspace.path("report/biomarkers.csv"));
    assert_eq!(values.len(), 6);
    assert!(values["broken"][1..].iter().all(String::is_empty));
    let column = |name: &str| header.iter().position(|column| column == name).unwrap();
    assert_eq!(values["narrow"][column("mean_sparsity")], "");
    assert_ne!(values["narrow"][column("md_diam_arteries")], "");
    let reasons = fs::read_to_string(workspace.path("report/reasons.csv")).unwrap();
    assert!(
        reasons.contains("narrow,mean_sparsity,no vessel map"),
        "{reasons}"
    );
    let log = fs::read_to_string(workspace.path("logs/warnings.log")).unwrap();
    assert!(log.contains(" - WARNING - "), "{log}");
}

/// Said once, and of an eye only where others have one.
#[test]
fn without_a_folder_of_vessel_maps_no_eye_is_warned_of() {
    let workspace = Workspace::new();
    let maps = folder(&workspace, &["narrow", "wide"]);
    fs::remove_file(maps.join("vessels/narrow.png")).unwrap();
    let measure = |report| {
        let set = ["--feature-set", "full_v3", "--no-report"];
        let arguments = [&["calc-biomarkers", "maps", report], &set[..]].concat();
        workspace.vascx(0, &arguments)
    };
    let warnings = |run: &Run| run.stderr.matches("no vessel map").count();
    let run = measure("one");
    assert_eq!(warnings(&run), 1, "{}", run.stderr);
    assert!(run.stderr.contains("vessels/narrow.png"), "{}", run.stderr);
    fs::remove_dir_all(maps.join("vessels")).unwrap();
    let run = measure("none");
    assert_eq!(warnings(&run), 0, "{}", run.stderr);
    assert_eq!(
        run.stderr.matches("has no vessels/").count(),
        1,
        "{}",
        run.stderr
    );
    let reasons = fs::read_to_string(workspace.path("none/reasons.csv")).unwrap();
    for id in ["narrow", "wide"] {
        assert!(
            reasons.contains(&format!("{id},mean_sparsity,no vessel map")),
            "{reasons}"
        );
    }
}

#[test]
fn an_interrupted_job_goes_on() {
    let workspace = Workspace::new();
    folder(&workspace, &EYES);
    let run = |report: &str, more: &[&str]| {
        let common = [
            "calc-biomarkers",
            "maps",
            report,
            "--feature-set",
            "full_v3",
            "--no-report",
        ];
        workspace.vascx(0, &[&common[..], more].concat())
    };
    run("whole", &["--n-jobs", "1"]);
    run("parts", &["--sample", "2"]);
    let resumed = run("parts", &["--resume", "--n-jobs", "4"]);
    assert!(
        resumed.stdout.contains("2 of them by an earlier run"),
        "{}",
        resumed.stdout
    );
    for name in ["biomarkers.csv", "reasons.csv", "data_dictionary.csv"] {
        let read = |folder: &str| fs::read(workspace.path(folder).join(name)).unwrap();
        assert_eq!(read("whole"), read("parts"), "{name}");
    }
    let other = [
        "calc-biomarkers",
        "maps",
        "parts",
        "--feature-set",
        "full",
        "--no-report",
        "--resume",
    ];
    workspace
        .vascx(1, &other)
        .error_names(&["feature_set", "full_v3"]);
}

#[test]
fn older_tables_and_scales_are_read() {
    let workspace = Workspace::new();
    let maps = folder(&workspace, &["left_plain_1", "narrow"]);
    let run = |report: &str, code: i32, more: &[&str]| {
        let common = [
            "calc-biomarkers",
            "maps",
            report,
            "--feature-set",
            "full_v3",
            "--no-report",
        ];
        workspace.vascx(code, &[&common[..], more].concat());
        table(&workspace.path(report).join("biomarkers.csv"))
    };
    let (header, pixels) = run("pixels", 0, &[]);
    let fovea = fs::read_to_string(maps.join("fovea.csv")).unwrap();
    fs::write(
        maps.join("fovea.csv"),
        fovea.replace("x_fovea,y_fovea", "mean_x,mean_y"),
    )
    .unwrap();
    assert_eq!(run("older", 0, &[]).1, pixels);
    fs::write(workspace.path("scales.csv"), "id,mm\nleft_plain_1,0.005\n").unwrap();
    let (_, scaled) = run("scaled", 1, &["--mm-per-pixel", "scales.csv:mm"]);
    let at = header
        .iter()
        .position(|name| name == "lw_diam_arteries")
        .unwrap();
    let value = |row: &[String]| row[at].parse::<f64>().unwrap();
    let ratio = value(&scaled["left_plain_1"]) / value(&pixels["left_plain_1"]);
    assert!((ratio - 0.005).abs() < 1e-12, "{ratio}");
    let (_, manifest) = table(&workspace.path("scaled/manifest.csv"));
    assert_eq!(manifest["narrow"][1], "failed");
    assert!(manifest["narrow"][2].contains("scales"));
}
