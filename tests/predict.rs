//! `vascx predict`, end to end, on the fixture models.

mod harness;

use std::collections::BTreeMap;

use harness::{DEVICE, Workspace, fixture};

/// Writes `count` photographs of different sizes into folder `photos`.
fn photographs(workspace: &Workspace, count: u32) {
    std::fs::create_dir(workspace.path("photos")).unwrap();
    for index in 0..count {
        let (width, height) = (50 + 17 * index, 90 - 13 * index);
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 4) as u8, (y * 3) as u8, (x * y + 40 * index) as u8])
        });
        image
            .save(workspace.path(&format!("photos/p{index}.png")))
            .unwrap();
    }
}

fn model(name: &str) -> String {
    fixture(&format!("models/{name}.pt"))
        .to_str()
        .unwrap()
        .to_owned()
}

/// A CSV file as rows of column → value.
fn table(workspace: &Workspace, path: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(workspace.path(path)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn segmentation_writes_maps_probabilities_overlays_and_a_manifest() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let model = model("unet_instance_bilinear_m2");
    workspace.vascx(
        0,
        &[
            "predict",
            "--model",
            &model,
            "--out",
            "out",
            "--device",
            *DEVICE,
            "--batch-size",
            "2",
            "--save-probabilities",
            "--overlay",
            "photos",
        ],
    );
    assert_eq!(
        workspace.list("out"),
        [
            "journal.jsonl",
            "manifest.csv",
            "overlays",
            "p0.png",
            "p0.safetensors",
            "p1.png",
            "p1.safetensors",
            "p2.png",
            "p2.safetensors",
            "run.json",
        ]
    );
    assert_eq!(
        workspace.list("out/overlays"),
        ["p0.png", "p1.png", "p2.png"]
    );
    let map = image::open(workspace.path("out/p1.png")).unwrap();
    let map = map.as_luma8().expect("8-bit class indices");
    assert_eq!(map.dimensions(), (67, 77));
    assert!(map.as_raw().iter().all(|&class| class < 4));

    // The class map is the most probable class of the saved probabilities.
    let bytes = std::fs::read(workspace.path("out/p1.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("probabilities").unwrap();
    assert_eq!(view.shape(), [4, 77, 67]);
    let values: Vec<f32> = view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    for (pixel, &class) in map.as_raw().iter().enumerate() {
        let of = |class: usize| values[class * 77 * 67 + pixel];
        assert!(
            (0..4).all(|other| of(other) <= of(class.into())),
            "pixel {pixel}"
        );
    }

    let manifest = table(&workspace, "out/manifest.csv");
    assert_eq!(manifest.len(), 3);
    assert_eq!(
        (manifest[2]["id"].as_str(), manifest[2]["status"].as_str()),
        ("p2", "ok")
    );
    assert!(std::path::Path::new(&manifest[0]["path"]).is_absolute());
    let run = std::fs::read_to_string(workspace.path("out/run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!(
        (&run["batch_size"], &run["device"]),
        (&2.into(), &(*DEVICE).into())
    );
    assert_eq!(run["model"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn other_tasks_write_a_table_with_a_row_per_photograph() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    for (name, columns) in [
        ("resnet18_m3", &["id", "c0", "c1", "c2"][..]),
        ("resnet34_regression_m1", &["id", "y0", "y1"]),
        ("unet_group_nearest_m3", &["id", "x0", "y0"]),
    ] {
        let model = model(name);
        let arguments = [
            "predict", "--model", &model, "--out", name, "--device", *DEVICE, "photos",
        ];
        workspace.vascx(0, &arguments);
        assert_eq!(
            workspace.list(name),
            [
                "journal.jsonl",
                "manifest.csv",
                "predictions.csv",
                "run.json"
            ]
        );
        let text = std::fs::read_to_string(workspace.path(name).join("predictions.csv")).unwrap();
        assert_eq!(
            text.lines().next().unwrap().split(',').collect::<Vec<_>>(),
            columns
        );
        let rows = table(&workspace, &format!("{name}/predictions.csv"));
        assert_eq!(
            rows.iter()
                .map(|row| row["id"].as_str())
                .collect::<Vec<_>>(),
            ["p0", "p1"]
        );
        for value in rows
            .iter()
            .flat_map(|row| columns[1..].iter().map(|column| &row[*column]))
        {
            assert!(value.parse::<f64>().unwrap().is_finite(), "{name}: {value}");
        }
    }
}

/// Every class of release gives its files, and an overlay.
#[test]
fn classes_of_ensembles_write_what_they_answer() {
    let workspace = Workspace::new();
    let model = |class: &str| {
        fixture(&format!("ensembles/{class}.pt"))
            .display()
            .to_string()
    };
    std::fs::create_dir(workspace.path("photos")).unwrap();
    for id in ["a", "b"] {
        let photograph = workspace.path(&format!("photos/{id}.png"));
        std::fs::copy(fixture("ensembles/crop.png"), photograph).unwrap();
    }
    let predict = |class: &str| {
        let model = model(class);
        let mut arguments = vec![
            "predict", "--model", &model, "--out", class, "--device", *DEVICE,
        ];
        arguments.extend([
            "--preprocess",
            "crop",
            "--overlay",
            "--save-probabilities",
            "photos",
        ]);
        workspace.vascx(0, &arguments);
        let overlay = image::open(workspace.path(&format!("{class}/overlays/a.png"))).unwrap();
        assert_eq!((overlay.width(), overlay.height()), (96, 96), "{class}");
        overlay.into_rgb8()
    };
    let photograph = image::open(fixture("ensembles/crop.png"))
        .unwrap()
        .into_rgb8();
    for (class, drawn) in [
        ("HaloSegmentationEnsemble", true),
        ("SegmentationEnsembleOverlaps", true),
        ("KeypointsEnsemble", true),
        ("EmbeddingEnsemble", false),
    ] {
        assert_eq!(predict(class) != photograph, drawn, "{class}");
    }

    let maps = ["a.png", "a.safetensors", "b.png", "b.safetensors"];
    for class in ["HaloSegmentationEnsemble", "SegmentationEnsembleOverlaps"] {
        let files = workspace.list(class);
        assert!(
            maps.iter().all(|map| files.iter().any(|file| file == map)),
            "{files:?}"
        );
    }
    let bits = image::open(workspace.path("SegmentationEnsembleOverlaps/a.png")).unwrap();
    let bits = bits.as_luma8().expect("8-bit bits").as_raw().clone();
    let bytes =
        std::fs::read(workspace.path("SegmentationEnsembleOverlaps/a.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("probabilities").unwrap();
    assert_eq!(view.shape(), [2, 96, 96]);
    let values = view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b));
    let values: Vec<f32> = values.collect();
    for (pixel, bits) in bits.iter().enumerate() {
        let of = |class: usize| u8::from(values[class * 96 * 96 + pixel] > 0.5) << class;
        assert_eq!(of(0) | of(1), *bits, "pixel {pixel}");
    }

    let header = |class: &str| {
        let path = workspace.path(&format!("{class}/predictions.csv"));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(header("KeypointsEnsemble"), "id,x0,y0,x1,y1");
    let columns: Vec<String> = (0..16).map(|index| format!("e{index}")).collect();
    assert_eq!(
        header("EmbeddingEnsemble"),
        format!("id,{}", columns.join(","))
    );
    let bytes = std::fs::read(workspace.path("EmbeddingEnsemble/embeddings.safetensors")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let described = metadata.metadata().as_ref().unwrap();
    assert_eq!(described["ids"], r#"["a","b"]"#);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("embeddings").unwrap();
    assert_eq!(view.shape(), [2, 16]);
    let rows = table(&workspace, "EmbeddingEnsemble/predictions.csv");
    let first = f32::from_le_bytes(*view.data().first_chunk().unwrap());
    assert_eq!(rows[0]["e0"].parse::<f32>().unwrap(), first);
}

#[test]
fn photographs_whose_answer_is_not_finite_fail_alone() {
    let workspace = Workspace::new();
    photographs(&workspace, 1);
    let white = image::RgbImage::from_pixel(40, 40, image::Rgb([255; 3]));
    white.save(workspace.path("photos/white.png")).unwrap();
    let black = image::RgbImage::from_pixel(40, 40, image::Rgb([90; 3]));
    black.save(workspace.path("photos/p0.png")).unwrap();
    let model = fixture("answers/overflowing_maps.pt").display().to_string();
    let arguments = [
        "predict", "--model", &model, "--out", "out", "--device", *DEVICE, "photos",
    ];
    workspace
        .vascx(1, &arguments)
        .error_names(&["white.png", "not finite"]);
    let manifest = table(&workspace, "out/manifest.csv");
    let status = manifest.iter().map(|row| row["status"].as_str());
    assert_eq!(status.collect::<Vec<_>>(), ["ok", "failed"]);
    assert!(!workspace.path("out/white.png").exists());
}

#[test]
fn names_given_at_conversion_head_the_columns() {
    let workspace = Workspace::new();
    photographs(&workspace, 1);
    let heatmap = model("unet_group_nearest_m3");
    workspace.vascx(
        0,
        &["convert", &heatmap, "--out", "fovea", "--names", "fovea"],
    );
    let arguments = [
        "predict", "--model", "fovea", "--out", "out", "--device", *DEVICE, "photos",
    ];
    workspace.vascx(0, &arguments);
    let text = std::fs::read_to_string(workspace.path("out/predictions.csv")).unwrap();
    assert!(text.starts_with("id,x_fovea,y_fovea\n"), "{text}");
    workspace
        .vascx(2, &["convert", &heatmap, "--out", "two", "--names", "a,b"])
        .error_names(&["2 names", "1 outputs"]);
}

#[test]
fn a_bad_photograph_fails_alone_and_is_recorded() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    std::fs::write(workspace.path("photos/p00.jpg"), "no image").unwrap();
    let model = model("resnet18_m3");
    let arguments = [
        "predict", "--model", &model, "--out", "out", "--device", *DEVICE, "photos",
    ];
    let run = workspace.vascx(1, &arguments);
    run.error_names(&["p00.jpg"]);
    let manifest = table(&workspace, "out/manifest.csv");
    let status: Vec<_> = manifest
        .iter()
        .map(|row| (row["id"].as_str(), row["status"].as_str()))
        .collect();
    assert_eq!(status, [("p0", "ok"), ("p00", "failed"), ("p1", "ok")]);
    assert!(manifest[1]["error"].contains("p00.jpg"));
    assert_eq!(table(&workspace, "out/predictions.csv").len(), 2);
}

#[test]
fn nothing_runs_on_unusable_arguments() {
    let workspace = Workspace::new();
    photographs(&workspace, 1);
    let model = model("resnet18_m3");
    let predict = |extra: &[&str]| {
        let mut arguments = vec!["predict", "--out", "out", "--device", *DEVICE];
        arguments.extend(extra);
        workspace.vascx(2, &arguments)
    };
    predict(&["--model", &model]).error_names(&["INPUT"]);
    predict(&["--model", &model, "missing"]).error_names(&["missing"]);
    predict(&["--model", "missing.pt", "photos"]).error_names(&["missing.pt"]);
    predict(&["--model", &model, "--batch-size", "0", "photos"]).error_names(&["at least 1"]);
    predict(&["--model", &model, "photos", "photos/p0.png"]).error_names(&["p0", "id,path"]);
    assert!(!workspace.path("out").exists());
    std::fs::write(workspace.path("file"), "precious").unwrap();
    for out in ["file", "file/below"] {
        let arguments = ["predict", "--model", &model, "--out", out, "photos"];
        let run = workspace.vascx(2, &arguments);
        run.error_names(&["file", "not a folder"]);
    }
    let device = [
        "predict", "--model", &model, "--out", "out", "--device", "cuda:7", "photos",
    ];
    if !cfg!(feature = "cuda") {
        workspace
            .vascx(2, &device)
            .error_names(&["cuda:7", "--features cuda"]);
    }
}

#[test]
fn half_precision_gives_nearly_the_same_maps_or_says_that_it_cannot() {
    let workspace = Workspace::new();
    photographs(&workspace, 2);
    let model = model("unet_instance_bilinear_m2");
    let arguments = |out| {
        [
            "predict", "--model", &model, "--out", out, "--device", *DEVICE, "photos",
        ]
    };
    let half = |code| {
        let mut arguments = arguments("half").to_vec();
        arguments.extend(["--dtype", "bf16"]);
        workspace.vascx(code, &arguments)
    };
    if *DEVICE == "ndarray" {
        // That backend has no half precision.
        let output = half(2);
        assert!(output.stderr.contains("--dtype f32"), "{}", output.stderr);
        return;
    }
    half(0);
    workspace.vascx(0, &arguments("single"));
    let run = std::fs::read_to_string(workspace.path("half/run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["dtype"], "bf16");
    for id in ["p0", "p1"] {
        let map = |out: &str| image::open(workspace.path(&format!("{out}/{id}.png"))).unwrap();
        let (half, single) = (map("half").into_luma8(), map("single").into_luma8());
        let pairs = half.as_raw().iter().zip(single.as_raw());
        let equal = pairs.filter(|(half, single)| half == single).count();
        // Random weights leave many pixels undecided; rounding to 2⁻⁸ turns few of them.
        assert!(equal * 100 >= half.as_raw().len() * 97, "{id}: {equal}");
    }
}

#[test]
fn devices_batches_and_caches_are_checked_before_any_work() {
    let workspace = Workspace::new();
    photographs(&workspace, 3);
    let model = model("resnet18_m3");
    let run = |code, out: &str, extra: &[&str]| {
        let mut arguments = vec!["predict", "--model", &model, "--out", out];
        arguments.extend(extra);
        arguments.push("photos");
        workspace.vascx(code, &arguments)
    };
    run(2, "out", &["--device", "cuda:0,cuda:0"]).error_names(&["cuda:0", "twice"]);
    run(2, "out", &["--device", "cpu,cuda:0"]).error_names(&["cpu,cuda:0", "CUDA devices only"]);
    run(2, "out", &["--batch-size", "many"]).error_names(&["many", "auto"]);
    if !cfg!(any(feature = "cuda", feature = "wgpu")) {
        run(2, "out", &["--autotune-cache", "kernels"])
            .error_names(&["kernels", "--features cuda"]);
    }
    assert!(!workspace.path("out").exists() && !workspace.path("kernels").exists());

    // `auto` is the model's batch size where there is no card, and the pace is reported.
    run(0, "auto", &["--device", *DEVICE, "--batch-size", "auto"]);
    let run = std::fs::read_to_string(workspace.path("auto/run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    assert_eq!(run["batch_size"], 16);
    assert!(run["first_chunk_seconds"].as_f64().unwrap() > 0.0, "{run}");
    assert!(run["seconds_per_photograph_after"].is_null(), "{run}");
}

/// A build with CUDA runs on machines without: it says what is missing and computes on the CPU.
#[cfg(feature = "cuda")]
#[test]
fn a_cuda_build_without_a_driver_says_so() {
    if std::path::Path::new("/dev/nvidiactl").exists() {
        return;
    }
    let workspace = Workspace::new();
    photographs(&workspace, 1);
    let model = model("resnet18_m3");
    let arguments = |device| {
        [
            "predict", "--model", &model, "--out", "out", "--device", device, "photos",
        ]
    };
    workspace
        .vascx(2, &arguments("cuda:0,cuda:1"))
        .error_names(&["needs the NVIDIA driver", "--device cpu"]);
    let devices = workspace.vascx(0, &["devices"]);
    assert!(
        devices.stdout.contains("no NVIDIA driver"),
        "{}",
        devices.stdout
    );
    workspace.vascx(0, &arguments("cpu"));
}
