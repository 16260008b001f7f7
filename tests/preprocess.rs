//! `vascx preprocess`, end to end.

mod harness;

use std::fmt::Write as _;

use harness::{Workspace, fixture};
use sha2::{Digest, Sha256};

#[test]
fn squares_contrast_and_bounds_are_written() {
    let workspace = Workspace::new();
    let photographs = ["landscape", "cut_inside", "no_surround"].map(|name| {
        fixture(&format!("field_of_view/{name}.png"))
            .to_str()
            .unwrap()
            .to_owned()
    });
    let mut arguments = vec![
        "preprocess",
        "--mode",
        "full",
        "--size",
        "128",
        "--out",
        "out",
    ];
    arguments.extend(photographs.iter().map(String::as_str));
    workspace.vascx(0, &arguments);
    assert_eq!(
        workspace.list("out"),
        ["bounds.json", "ce", "journal.jsonl", "manifest.csv", "rgb"]
    );
    for folder in ["out/rgb", "out/ce"] {
        let names = ["cut_inside.png", "landscape.png", "no_surround.png"];
        assert_eq!(workspace.list(folder), names);
        let image = image::open(workspace.path(folder).join("landscape.png")).unwrap();
        assert_eq!((image.width(), image.height()), (128, 128));
    }
    let bounds = std::fs::read_to_string(workspace.path("out/bounds.json")).unwrap();
    let bounds: serde_json::Value = serde_json::from_str(&bounds).unwrap();
    let landscape = &bounds["landscape"];
    assert_eq!(landscape["hw"], serde_json::json!([240, 320]));
    assert_eq!(landscape["method"], "circle");
    assert!((landscape["center"][0].as_f64().unwrap() - 160.0).abs() < 2.0);
    assert!(landscape["radius"].is_f64() && landscape["rect"]["max_x"] == 320);
    let lines = &bounds["cut_inside"]["lines"];
    assert!(lines["top"][0][1].is_f64() && lines["bottom"].is_array());
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert!(
        manifest.lines().next().unwrap().contains(",field_of_view"),
        "{manifest}"
    );
    assert!(manifest.contains("circle_and_lines"), "{manifest}");
}

/// The square of `simple` is what PyTorch gives for
/// `F.interpolate(padded.float(), (768, 768), mode="bilinear", align_corners=False).to(torch.uint8)`, to
/// the bit; in another order of rounding, five of these values are one less.
#[test]
fn squares_are_those_of_pytorch() {
    let workspace = Workspace::new();
    image::RgbImage::from_fn(565, 584, |x, y| {
        let levels = [
            (x * 37 + y * 91) % 256,
            (x * x + 3 * y) % 256,
            (x * y) % 251,
        ];
        image::Rgb(levels.map(|level| level as u8))
    })
    .save(workspace.path("drawn.png"))
    .unwrap();
    let arguments = ["preprocess", "--mode", "simple", "--size", "768"];
    workspace.vascx(
        0,
        &[&arguments[..], &["--out", "out", "drawn.png"]].concat(),
    );
    let square = image::open(workspace.path("out/rgb/drawn.png")).unwrap();
    let mut hash = String::new();
    for byte in Sha256::digest(square.into_rgb8().as_raw()) {
        write!(hash, "{byte:02x}").unwrap();
    }
    assert_eq!(
        hash,
        "25ce9244fbe7c9537ed345744bede07fdd484e4727a73b44dd529e0a9e091b26"
    );
}

#[test]
fn what_cannot_be_found_is_said() {
    let workspace = Workspace::new();
    image::RgbImage::new(90, 60)
        .save(workspace.path("black.png"))
        .unwrap();
    std::fs::write(workspace.path("torn.png"), "torn").unwrap();
    for mode in ["full", "simple", "resize"] {
        let arguments = ["preprocess", "--mode", mode, "--size", "64", "--out", mode];
        let run = workspace.vascx(1, &[&arguments[..], &["black.png", "torn.png"]].concat());
        run.error_names(&["torn.png"]);
        let folders = workspace.list(mode);
        assert_eq!(
            folders.contains(&"ce".to_owned()),
            mode != "resize",
            "{folders:?}"
        );
        let manifest = std::fs::read_to_string(workspace.path(mode).join("manifest.csv")).unwrap();
        assert_eq!(manifest.contains("not_found"), mode == "full", "{manifest}");
        if mode == "full" {
            run.error_names(&["black", "no field of view found"]);
        }
    }
    let zero = [
        "preprocess",
        "--mode",
        "full",
        "--size",
        "0",
        "--out",
        "zero",
        "black.png",
    ];
    workspace.vascx(2, &zero).error_names(&["side 0"]);
}

#[test]
fn devices_are_listed() {
    let stdout = Workspace::new().vascx(0, &["devices"]).stdout;
    for device in ["cpu", "ndarray", "cuda:0", "wgpu"] {
        assert!(stdout.contains(device), "{stdout}");
    }
}
