//! Every flavour of photograph through the program: the pixels that its witness gives, or a refusal.

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harness::{DEVICE, Workspace, fixture};
use sha2::{Digest, Sha256};

/// Width, height and the SHA-256 of the RGB pixels; none for files that must be refused.
type Pixels = Option<(u32, u32, String)>;

/// Runs a model whose answers leave the photograph as it is when they are drawn on it.
fn pixels(folder: &str, extension: &str, own: &[&str]) {
    let json = std::fs::read_to_string(fixture(folder).join("pixels.json")).unwrap();
    let expected: BTreeMap<String, Pixels> = serde_json::from_str(&json).unwrap();
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("photos")).unwrap();
    for name in expected.keys() {
        let file = format!("{name}.{extension}");
        let from = fixture(folder).join(&file);
        std::fs::copy(from, workspace.path("photos").join(&file)).unwrap();
    }
    let model = fixture("ensembles/EmbeddingEnsemble.pt");
    let arguments = [
        "predict",
        "--model",
        model.to_str().unwrap(),
        "--device",
        *DEVICE,
        "--preprocess",
        "resize",
        "--overlay",
        "--out",
        "out",
        "photos",
    ];
    let run = workspace.vascx(1, &arguments);
    let mut reader = csv::Reader::from_path(workspace.path("out/manifest.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), expected.len());
    for row in rows {
        let (id, error) = (row["id"].as_str(), &row["error"]);
        let overlay = workspace.path(&format!("out/overlays/{id}.png"));
        let Some((width, height, hash)) = &expected[id] else {
            if !own.contains(&id) {
                assert!(
                    error.contains(&format!("{id}.{extension}")),
                    "{id}: {error}"
                );
                assert!(run.stderr.contains(error), "{id}: {error}");
                // Words, not the names that programs have for things.
                assert!(!error.contains("Unknown"), "{id}: {error}");
                assert!(!overlay.exists(), "{id}");
            }
            continue;
        };
        assert_eq!((row["status"].as_str(), error.as_str()), ("ok", ""), "{id}");
        let image = image::open(overlay).unwrap().into_rgb8();
        let mut found = String::new();
        for byte in Sha256::digest(image.as_raw()) {
            write!(found, "{byte:02x}").unwrap();
        }
        assert_eq!((image.width(), image.height()), (*width, *height), "{id}");
        assert_eq!(found, *hash, "{id}");
    }
}

#[test]
fn jpeg_files_have_the_pixels_of_pillow() {
    // Pillow reads no 12-bit files.
    pixels("jpeg", "jpg", &["twelve_bits"]);
}

#[test]
fn tiff_files_have_the_pixels_of_pillow_and_tifffile() {
    pixels("tiff", "tif", &[]);
}

#[test]
fn dicom_files_have_the_pixels_of_pydicom() {
    pixels("dicom", "dcm", &[]);
}

/// The bytes behind the file header of a DICOM file, where its data set begins.
fn data_set(file: &[u8]) -> usize {
    let length = file[140..].first_chunk().unwrap();
    144 + u32::from_le_bytes(*length) as usize
}

#[test]
fn damaged_and_hostile_dicom_files_fail_alone_in_little_memory() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("photos")).unwrap();
    let mut count = 0;
    let mut add = |name: String, content: &[u8]| {
        std::fs::write(workspace.path(&format!("photos/{name}.dcm")), content).unwrap();
        count += 1;
    };
    for name in [
        "rgb",
        "rgb_implicit",
        "rgb_deflated",
        "grey12_big_endian",
        "grey16_rle",
        "palette",
        "jpeg_ybr",
        "jpeg_lossless",
        "jpeg2000_lossless",
    ] {
        let whole = std::fs::read(fixture(&format!("dicom/{name}.dcm"))).unwrap();
        for part in 0..20 {
            let length = whole.len() * part / 20;
            add(format!("{name}_cut_{part}"), &whole[..length]);
        }
        for flip in 0..60 {
            let mut flipped = whole.clone();
            // Spread over header, data set and pixels.
            let position = 132 + flip * 7919 % (whole.len() - 132);
            flipped[position] ^= [0x01, 0x80, 0xff][flip % 3];
            add(format!("{name}_flip_{flip}"), &flipped);
        }
    }
    let rgb = std::fs::read(fixture("dicom/rgb.dcm")).unwrap();
    let inserted = |at: usize, bytes: &[u8]| [&rgb[..at], bytes, &rgb[at..]].concat();
    let start = data_set(&rgb);
    // Texts and secrets of four gigabytes, in the data set and in the file header.
    add(
        "text".into(),
        &inserted(start, b"\x08\0\x19\x01UT\0\0\xf0\xff\xff\xff"),
    );
    add(
        "secret".into(),
        &inserted(144, b"\x02\0\x02\x01OB\0\0\xf0\xff\xff\xff"),
    );
    let pixels = rgb
        .windows(4)
        .position(|tag| tag == b"\xe0\x7f\x10\0")
        .unwrap();
    let mut long = rgb.clone();
    long[pixels + 8..pixels + 12].copy_from_slice(b"\xf0\xff\xff\xff");
    add("pixels".into(), &long);
    let sequence = b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff";
    add("nested".into(), &inserted(start, &sequence.repeat(100_000)));
    add("whole".into(), &rgb);
    let arguments = [
        "preprocess",
        "--mode",
        "resize",
        "--size",
        "16",
        "--quiet",
        "--out",
        "out",
        "photos",
    ];
    let run = workspace.vascx_in_one_gibibyte(1, &arguments);
    assert!(!run.stderr.contains("overflow"), "{}", run.stderr);
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert_eq!(manifest.lines().count(), 1 + count);
    let status = |id: &str| {
        let row = manifest
            .lines()
            .find(|row| row.starts_with(&format!("{id},")));
        row.unwrap_or_else(|| panic!("{id} is not in {manifest}"))
    };
    assert!(status("whole").contains(",ok,"));
    for id in [
        "text",
        "secret",
        "pixels",
        "nested",
        "rgb_cut_19",
        "jpeg_ybr_cut_10",
    ] {
        assert!(status(id).contains(",failed,"), "{}", status(id));
    }
}
