//! The bundled models on the bundled photographs.

mod harness;

use harness::{DEVICE, Workspace};

/// Distinct classes of an 8-bit class map.
fn classes(path: &std::path::Path) -> Vec<u8> {
    let map = image::open(path).unwrap();
    let mut classes = map
        .as_luma8()
        .expect("8-bit class indices")
        .as_raw()
        .clone();
    classes.sort_unstable();
    classes.dedup();
    classes
}

#[test]
fn demo_goes_from_photographs_to_a_report() {
    if *DEVICE != "cpu" {
        // NdArray needs minutes for all of it; it is compared with Flex below instead.
        return;
    }
    let workspace = Workspace::new();
    let cache = workspace.path("cache");
    let run = workspace.vascx_with(0, &["demo", "--out", "out"], &[("XDG_CACHE_HOME", &cache)]);
    for said in ["vessels is left out", "not for clinical use"] {
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let overlays = workspace.list("out/overlays");
    assert!(overlays.len() >= 3, "{overlays:?}");
    for overlay in &overlays {
        // In the photograph of bad quality there is next to nothing to see.
        if overlay.starts_with("bad_quality") {
            continue;
        }
        for folder in ["artery_vein", "native/artery_vein"] {
            let vessels = classes(&workspace.path("out").join(folder).join(overlay));
            assert!(vessels.starts_with(&[0, 1, 2]), "{overlay}: {vessels:?}");
        }
        let disc = classes(&workspace.path("out/disc").join(overlay));
        assert_eq!(disc, [0, 1], "{overlay}");
    }
    for (table, columns) in [
        ("fovea.csv", ",x_fovea,y_fovea"),
        ("quality.csv", ",q1,q2,q3,p1,p2,p3"),
    ] {
        let text = std::fs::read_to_string(workspace.path("out").join(table)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), (columns, 1 + overlays.len()));
    }
    let biomarkers = workspace.path("out/biomarkers/biomarkers.csv");
    let rows = csv::Reader::from_path(biomarkers)
        .unwrap()
        .into_records()
        .count();
    assert_eq!(rows, overlays.len());
    assert!(workspace.path("out/report.html").exists());
}

#[test]
fn flex_and_ndarray_agree_on_the_bundled_models() {
    if *DEVICE != "ndarray" {
        return;
    }
    let workspace = Workspace::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let photograph = root.join("examples/images/bad_quality_right.png");
    let predict = |name: &str, device: &str| {
        let model = root.join("weights/demo").join(format!("{name}.pt"));
        let (model, photograph) = (model.to_str().unwrap(), photograph.to_str().unwrap());
        let out = format!("{name}-{device}");
        let arguments = [
            "predict", "--model", model, "--out", &out, "--device", device, photograph,
        ];
        workspace.vascx(0, &arguments);
        workspace.path(&out)
    };
    let maps = ["cpu", "ndarray"].map(|device| {
        let map = predict("disc", device).join("bad_quality_right.png");
        image::open(map).unwrap().into_luma8().into_raw()
    });
    let different = maps[0]
        .iter()
        .zip(&maps[1])
        .filter(|(flex, ndarray)| flex != ndarray)
        .count();
    // Rounding may tip a pixel on the boundary between two classes.
    assert!(
        different * 10_000 <= maps[0].len(),
        "{different} of {} pixels",
        maps[0].len()
    );
    for name in ["fovea", "quality"] {
        let rows = ["cpu", "ndarray"].map(|device| {
            let table = predict(name, device).join("predictions.csv");
            let record = csv::Reader::from_path(table)
                .unwrap()
                .records()
                .next()
                .unwrap()
                .unwrap();
            record
                .iter()
                .skip(1)
                .map(|value| value.parse::<f64>().unwrap())
                .collect::<Vec<_>>()
        });
        for (flex, ndarray) in rows[0].iter().zip(&rows[1]) {
            assert!((flex - ndarray).abs() < 1e-3, "{name}: {rows:?}");
        }
    }
}
