//! `vascx demo`: the bundled models find what the sample photographs show.

mod harness;

use harness::{DEVICE, Workspace};

#[test]
fn demo_answers_all_four_questions() {
    let workspace = Workspace::new();
    workspace.vascx(0, &["demo", "--out", "out", "--device", DEVICE, "--quiet"]);
    let overlays = workspace.list("out/overlays");
    assert!(overlays.len() >= 3, "{overlays:?}");
    for overlay in &overlays {
        let classes = |task: &str| {
            let map = image::open(workspace.path("out").join(task).join(overlay)).unwrap();
            let mut classes = map
                .as_luma8()
                .expect("8-bit class indices")
                .as_raw()
                .clone();
            classes.sort_unstable();
            classes.dedup();
            classes
        };
        assert!(
            [0, 1, 2]
                .iter()
                .all(|class| classes("artery_vein").contains(class)),
            "{overlay}"
        );
        assert_eq!(classes("disc"), [0, 1], "{overlay}");
    }
    for table in ["fovea", "quality"] {
        let path = workspace.path("out").join(table).join("predictions.csv");
        let rows = csv::Reader::from_path(path).unwrap().records().count();
        assert_eq!(rows, overlays.len());
    }
}
