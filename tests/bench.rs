//! `vascx bench`: what it reports, not how fast it is.

mod harness;

use harness::{DEVICE, Workspace, fixture};

#[test]
fn the_report_holds_a_time_per_run_and_the_arithmetic() {
    let workspace = Workspace::new();
    let model = fixture("models/unet_m1.pt");
    let model = model.to_str().unwrap();
    let arguments = [
        "bench", "--model", model, "--size", "32", "--batch", "2", "--runs", "3", "--json",
        "--device", *DEVICE,
    ];
    let run = workspace.vascx(0, &arguments);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let seconds = report["seconds"].as_array().unwrap();
    assert_eq!(seconds.len(), 3);
    assert!(
        seconds
            .iter()
            .all(|seconds| seconds.as_f64().unwrap() > 0.0)
    );
    assert_eq!(report["device"], *DEVICE);
    assert_eq!(report["dtype"], "f32");
    let gflop = |size: &str| {
        let mut arguments = arguments;
        arguments[4] = size;
        let run = workspace.vascx(0, &arguments);
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        report["gflop"].as_f64().unwrap()
    };
    // Every layer's arithmetic is proportional to the image's area.
    let (small, large) = (gflop("32"), gflop("64"));
    assert!(
        small > 0.0 && (large / small - 4.0).abs() < 1e-9,
        "{small} {large}"
    );
}

#[test]
fn every_layer_is_listed_where_our_kernels_compute() {
    let workspace = Workspace::new();
    let model = fixture("models/unet_m1.pt");
    let model = model.to_str().unwrap();
    let arguments = [
        "bench", "--model", model, "--size", "32", "--runs", "2", "--layers", "--device", *DEVICE,
    ];
    if *DEVICE != "cpu" {
        let run = workspace.vascx(2, &arguments);
        assert!(run.stderr.contains("--layers"), "{}", run.stderr);
        return;
    }
    let run = workspace.vascx(0, &arguments);
    for text in ["| product |", "all of them", "everything else"] {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let workspace = Workspace::new();
    let model = fixture("models/unet_m1.pt");
    let model = model.to_str().unwrap();
    workspace.vascx(2, &["bench"]);
    workspace.vascx(2, &["bench", "--model", model, "--arch", "unet"]);
    workspace.vascx(2, &["bench", "--model", model, "--runs", "0"]);
    let run = workspace.vascx(2, &["bench", "--model", model, "--size", "33"]);
    assert!(run.stderr.contains("33"), "{}", run.stderr);
}
