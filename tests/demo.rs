//! The bundled models on the bundled photographs.

mod harness;

use harness::Workspace;

/// Distinct classes of an 8-bit class map.
#[cfg(not(feature = "ndarray"))]
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

// NdArray needs minutes for the whole demonstration; it is compared with Flex below instead.
#[cfg(not(feature = "ndarray"))]
#[test]
fn demo_answers_all_four_questions() {
    let workspace = Workspace::new();
    workspace.vascx(0, &["demo", "--out", "out", "--quiet"]);
    let overlays = workspace.list("out/overlays");
    assert!(overlays.len() >= 3, "{overlays:?}");
    for overlay in &overlays {
        // In the photograph of bad quality there is next to nothing to see.
        if overlay.starts_with("bad_quality") {
            continue;
        }
        let vessels = classes(&workspace.path("out/artery_vein").join(overlay));
        assert!(vessels.starts_with(&[0, 1, 2]), "{overlay}: {vessels:?}");
        assert_eq!(
            classes(&workspace.path("out/disc").join(overlay)),
            [0, 1],
            "{overlay}"
        );
    }
    for (task, columns) in [("fovea", "id,x_fovea,y_fovea"), ("quality", "id,q1,q2,q3")] {
        let path = workspace.path("out").join(task).join("predictions.csv");
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), (columns, 1 + overlays.len()));
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn flex_and_ndarray_agree_on_the_bundled_models() {
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
