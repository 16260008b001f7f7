//! `vascx convert`, `inspect` and `forward`, end to end.

mod harness;

use harness::{DEVICE, Workspace, fixture};
use safetensors::SafeTensors;

const MODELS: [&str; 7] = [
    "unet_m1",
    "unet_instance_bilinear_m2",
    "unet_group_nearest_m3",
    "unet_plain_supervised",
    "resnet18_m3",
    "resnet34_regression_m1",
    "resnet50_m2",
];

/// What happens to the bytes of a file.
type Damage = dyn Fn(Vec<u8>) -> Vec<u8>;

fn tensor(path: &std::path::Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    (view.shape().to_vec(), values)
}

#[test]
fn forward_matches_pytorch_from_checkpoint_and_directory() {
    let workspace = Workspace::new();
    for model in MODELS {
        let checkpoint = fixture(&format!("models/{model}.pt"));
        let reference = fixture(&format!("models/{model}.safetensors"));
        let (checkpoint, input) = (checkpoint.to_str().unwrap(), reference.to_str().unwrap());
        workspace.vascx(0, &["convert", checkpoint, "--out", model]);
        for source in [checkpoint, model] {
            let arguments = [
                "forward", "--model", source, "--input", input, "--output", "y", "--device",
                *DEVICE,
            ];
            workspace.vascx(0, &arguments);
            let (shape, actual) = tensor(&workspace.path("y"), "prediction");
            let (expected_shape, expected) = tensor(&reference, "prediction");
            assert_eq!(shape, expected_shape, "{model}");
            let scale = expected
                .iter()
                .fold(0.0_f32, |max, value| max.max(value.abs()));
            let worst = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0_f32, f32::max);
            // f32 rounding over some twenty layers, against a reference computed in f64.
            assert!(worst <= 1e-4 * scale, "{model}: {worst:e} of {scale}");
        }
    }
}

#[test]
fn forward_and_bench_need_no_configuration() {
    let workspace = Workspace::new();
    for (model, channels) in [("unconfigured", 3), ("grey", 1)] {
        let model = fixture(&format!("answers/{model}.pt"))
            .display()
            .to_string();
        let image = vec![0_u8; 4 * channels * 32 * 32];
        let view = safetensors::tensor::TensorView::new(
            safetensors::Dtype::F32,
            vec![1, channels, 32, 32],
            &image,
        )
        .unwrap();
        let bytes = safetensors::serialize([("image", view)], None).unwrap();
        std::fs::write(workspace.path("x"), bytes).unwrap();
        let arguments = [
            "forward", "--model", &model, "--input", "x", "--output", "y", "--device", *DEVICE,
        ];
        workspace.vascx(0, &arguments);
        let (shape, _) = tensor(&workspace.path("y"), "prediction");
        assert_eq!(shape, [1, 1, 2, 32, 32]);
        let bench = [
            "bench", "--model", &model, "--size", "32", "--runs", "1", "--device", *DEVICE,
        ];
        workspace.vascx(0, &bench);
    }
}

#[test]
fn forward_refuses_tensors_that_do_not_fit() {
    let workspace = Workspace::new();
    let model = fixture("models/unet_m1.pt");
    let input = fixture("models/resnet50_m2.safetensors"); // six channels
    let run = workspace.vascx(
        2,
        &[
            "forward",
            "--model",
            model.to_str().unwrap(),
            "--input",
            input.to_str().unwrap(),
            "--output",
            "y",
        ],
    );
    run.error_names(&["resnet50_m2.safetensors", "6 channels", "takes 3"]);
    assert!(workspace.list(".").is_empty());
}

#[test]
fn a_model_directory_is_complete_described_and_not_overwritten() {
    let workspace = Workspace::new();
    let checkpoint = fixture("models/unet_instance_bilinear_m2.pt");
    let checkpoint = checkpoint.to_str().unwrap();
    workspace.vascx(
        0,
        &["convert", checkpoint, "--out", "model", "--dtype", "f16"],
    );
    assert_eq!(workspace.list("."), ["model"]);
    assert_eq!(
        workspace.list("model"),
        ["model.json", "weights.safetensors"]
    );

    let bytes = std::fs::read(workspace.path("model/weights.safetensors")).unwrap();
    let weights = SafeTensors::deserialize(&bytes).unwrap();
    let view = weights
        .tensor("members.1.encoder.0.layers.0.conv.weight")
        .unwrap();
    assert_eq!(
        (view.dtype(), view.shape()),
        (safetensors::Dtype::F16, &[4, 6, 3, 3][..])
    );

    for source in [checkpoint, "model"] {
        let text = workspace.vascx(0, &["inspect", source]).stdout;
        for part in [
            "segmentation",
            "members        2",
            "6 channels",
            "64² pixels",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        let json = workspace.vascx(0, &["inspect", "--json", source]).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["model"]["Ok"]["members"], 2);
    }

    workspace
        .vascx(2, &["convert", checkpoint, "--out", "model"])
        .error_names(&["model", "exists", "--force"]);
    workspace.vascx(0, &["convert", checkpoint, "--out", "model", "--force"]);
    assert_eq!(workspace.list("."), ["model"]);

    std::fs::create_dir(workspace.path("photos")).unwrap();
    std::fs::write(workspace.path("photos/a.png"), "precious").unwrap();
    workspace
        .vascx(2, &["convert", checkpoint, "--out", "photos", "--force"])
        .error_names(&["not a model directory"]);
    assert_eq!(workspace.list("photos"), ["a.png"]);
}

/// The JSON with the value at a pointer replaced.
fn changed(bytes: Vec<u8>, pointer: &str, value: serde_json::Value) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    json.to_string().into()
}

#[test]
fn a_damaged_model_directory_is_an_error_that_names_the_file() {
    let workspace = Workspace::new();
    let checkpoint = fixture("models/unet_m1.pt");
    let two_members = |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace("\"members\": 1", "\"members\": 2").into()
    };
    let truncated = |bytes: Vec<u8>| bytes[..bytes.len() - 9].to_vec();
    let huge = |bytes| {
        changed(
            bytes,
            "/architecture/graph/0/parameters/0/shape/0",
            9_000_000_000_000_000_000_u64.into(),
        )
    };
    let endless = |bytes| {
        let node = serde_json::json!({"call": [{"unary": "relu"}, [999_999]]});
        changed(bytes, "/architecture/graph/0/nodes/2", node)
    };
    let no_graph = |bytes| changed(bytes, "/architecture/graph", serde_json::json!([]));
    let damages: [(&str, &Damage, &str); 7] = [
        ("model.json", &huge, "too large"),
        ("model.json", &endless, "runs too early"),
        ("model.json", &no_graph, "graph"),
        ("weights.safetensors", &truncated, "weights.safetensors"),
        (
            "weights.safetensors",
            &|_| Vec::new(),
            "weights.safetensors",
        ),
        ("model.json", &|_| b"{}".to_vec(), "model.json"),
        ("model.json", &two_members, "members.1"),
    ];
    for (index, (file, damage, named)) in damages.into_iter().enumerate() {
        let model = format!("model{index}");
        workspace.vascx(
            0,
            &["convert", checkpoint.to_str().unwrap(), "--out", &model],
        );
        let path = workspace.path(&model).join(file);
        std::fs::write(&path, damage(std::fs::read(&path).unwrap())).unwrap();
        let input = fixture("models/unet_m1.safetensors");
        let arguments = [
            "forward",
            "--model",
            &model,
            "--input",
            input.to_str().unwrap(),
            "--output",
            "y",
        ];
        workspace.vascx(2, &arguments).error_names(&[named]);
    }
}

#[test]
fn weights_without_a_program_become_a_model_that_answers_like_pytorch() {
    let workspace = Workspace::new();
    let at = |file: &str| {
        fixture(&format!("state_dicts/{file}"))
            .display()
            .to_string()
    };
    let members = [at("ensemble_0.pt"), at("ensemble_1.pt")];
    let configuration = r#"{"name": "folds", "inference": {"ensemble_class": "SegmentationEnsemble"},
        "datamodule": {"test_transform": {"square_size": 64, "contrast_enhance": false}}}"#;
    std::fs::write(workspace.path("config.json"), configuration).unwrap();
    let [first, second] = &members;
    let run = workspace.vascx(
        0,
        &[
            "convert",
            first,
            second,
            "--config",
            "config.json",
            "--out",
            "model",
            "--verify",
        ],
    );
    assert!(run.stdout.contains("unet of 2 members"), "{}", run.stdout);
    assert!(
        run.stdout.contains("verified: 68 tensors"),
        "{}",
        run.stdout
    );
    let input = at("ensemble.reference.safetensors");
    workspace.vascx(
        0,
        &[
            "forward", "--model", "model", "--input", &input, "--output", "y", "--device", *DEVICE,
        ],
    );
    let (shape, actual) = tensor(&workspace.path("y"), "prediction");
    let (expected_shape, expected) = tensor(input.as_ref(), "prediction");
    assert_eq!(shape, expected_shape);
    let scale = expected.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let pairs = actual.iter().zip(&expected);
    let worst = pairs.fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
    // f32 rounding over some ten layers, against a reference computed in f64.
    assert!(worst <= 1e-4 * scale, "{worst:e} of {scale}");

    let candidates = workspace
        .vascx(0, &["inspect", &at("resnet18.ckpt")])
        .stdout;
    assert!(candidates.contains("resnet18: "), "{candidates}");
    assert!(candidates.contains("nothing missing"), "{candidates}");
    let other = at("resnet18.ckpt");
    workspace
        .vascx(
            2,
            &["convert", &other, "--arch", "resnet34", "--out", "other"],
        )
        .error_names(&["resnet18.ckpt", "those of resnet18, not of resnet34"]);
    workspace
        .vascx(2, &["convert", first, &other, "--out", "other"])
        .error_names(&["resnet18.ckpt", "another network"]);
    assert_eq!(workspace.list("other"), [""; 0]);
}

#[test]
#[cfg(unix)]
fn weights_are_readable_by_whoever_may_read_the_model() {
    use std::os::unix::fs::PermissionsExt;

    let workspace = Workspace::new();
    let checkpoint = fixture("models/unet_m1.pt");
    workspace.vascx(
        0,
        &["convert", checkpoint.to_str().unwrap(), "--out", "model"],
    );
    let mode = |file: &str| {
        let metadata = std::fs::metadata(workspace.path("model").join(file)).unwrap();
        metadata.permissions().mode()
    };
    assert_eq!(mode("weights.safetensors"), mode("model.json"));
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_printed_is_an_error() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_vascx"))
        .arg("inspect")
        .arg(fixture("models/unet_m1.pt"))
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let message = String::from_utf8_lossy(&run.stderr);
    assert!(message.contains("cannot print"), "{message}");
}
