//! Photographs as people have them: the pixels that the models' users see, or a refusal in words.

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use harness::bombs::bombs;
use harness::{Workspace, fixture};
use image::ImageFormat;
use sha2::{Digest, Sha256};
use vascx::inference::{DecodeLimits, Photograph};

/// Width, height and the SHA-256 of the RGB pixels; none for files that must be refused.
type Pixels = Option<(usize, usize, String)>;

fn expected(folder: &str) -> BTreeMap<String, Pixels> {
    let json = std::fs::read_to_string(fixture(folder).join("pixels.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn pixels(photograph: &Photograph) -> (usize, usize, String) {
    let mut hash = String::new();
    for byte in Sha256::digest(photograph.rgb().as_raw()) {
        write!(hash, "{byte:02x}").unwrap();
    }
    (photograph.width(), photograph.height(), hash)
}

/// Compares every file of a folder with the pixels of its witnesses; `own` are read by this program
/// alone.
fn compare(folder: &str, extension: &str, own: &[&str]) {
    let table = expected(folder);
    let mut wrong = Vec::new();
    for (name, expected) in &table {
        let found = Photograph::open(fixture(folder).join(format!("{name}.{extension}")));
        match (found, expected) {
            (Ok(photograph), Some(expected)) if pixels(&photograph) == *expected => {}
            (Ok(_), None) if own.contains(&name.as_str()) => {}
            (Err(error), None) => {
                let message = error.to_string();
                assert!(
                    message.contains(name) && !message.contains("Unknown"),
                    "{message}"
                );
            }
            (found, _) => wrong.push(format!("{name}: {:?}", found.map(|p| pixels(&p)))),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        table.len(),
        wrong.join("\n")
    );
}

#[test]
fn jpeg_pixels_are_those_of_libjpeg_turbo_to_the_bit() {
    assert!(expected("jpeg").len() >= 60);
    // Pillow reads no 12-bit files.
    compare("jpeg", "jpg", &["twelve_bits"]);
}

#[test]
fn tiff_pixels_are_those_of_pillow_and_tifffile() {
    compare("tiff", "tif", &[]);
}

#[test]
fn twelve_bits_are_scaled_to_eight() {
    let twelve = Photograph::open(fixture("jpeg/twelve_bits.jpg")).unwrap();
    let eight = Photograph::open(fixture("jpeg/quality_95.jpg")).unwrap();
    let pairs = twelve.rgb().as_raw().iter().zip(eight.rgb().as_raw());
    let far = pairs.filter(|(a, b)| a.abs_diff(**b) > 24).count();
    // Two lossy files of one picture.
    assert!(
        far * 20 < eight.rgb().as_raw().len(),
        "{far} values differ by more than 24"
    );
}

#[test]
fn cut_short_files_are_refused_at_every_length() {
    let files = [
        "jpeg/baseline_420_odd.jpg",
        "jpeg/baseline_444_even.jpg",
        "jpeg/progressive_420_odd.jpg",
        "jpeg/restart_422.jpg",
        "jpeg/arithmetic_444.jpg",
        "jpeg/cmyk.jpg",
        "jpeg/grey.jpg",
        "jpeg/lossless_rgb.jpg",
        "tiff/rgb_lzw.tif",
        "tiff/jpeg_420_strips.tif",
        "field_of_view/round.png",
    ];
    let mut all: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|name| ((*name).to_owned(), std::fs::read(fixture(name)).unwrap()))
        .collect();
    let picture = image::RgbImage::from_fn(60, 40, |x, y| {
        image::Rgb([x as u8 * 4, y as u8 * 6, (x * y) as u8])
    });
    for format in [ImageFormat::Bmp, ImageFormat::WebP] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        all.push((format!("{format:?}"), bytes.into_inner()));
    }
    for (name, bytes) in all {
        let whole = Photograph::decode(bytes.clone(), DecodeLimits::default());
        assert!(whole.is_ok(), "{name}: {whole:?}");
        for share in [0.1, 0.5, 0.6, 0.95, 0.999, 1.0] {
            let length = (bytes.len() as f64 * share) as usize;
            let cut = bytes[..length.min(bytes.len() - 1)].to_vec();
            let result = Photograph::decode(cut, DecodeLimits::default());
            assert!(result.is_err(), "{name} of {share} is read");
        }
    }
}

/// What follows the last pixel is part of the file, and so are the pictures after the first.
#[test]
fn of_several_pictures_the_first_is_used_and_the_others_are_noted() {
    let round = std::fs::read(fixture("field_of_view/round.png")).unwrap();
    // A chunk behind the header: its length, name, number of pictures and of repetitions, checksum.
    let film = b"\0\0\0\x08acTL\0\0\0\x03\0\0\0\0\xce\xed\xba\xc0";
    let film = [&round[..33], film, &round[33..]].concat();
    let workspace = Workspace::new();
    std::fs::write(workspace.path("film.png"), film).unwrap();
    let arguments = [
        "preprocess",
        "--mode",
        "resize",
        "--size",
        "32",
        "--out",
        "out",
        "film.png",
    ];
    workspace
        .vascx(0, &arguments)
        .error_names(&["film", "3 pictures", "first"]);
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert!(manifest.contains("3 pictures"), "{manifest}");
}

/// Runs `preprocess` on one file that must be refused and checks the reason in the manifest.
fn refused(name: &str, content: &[u8], parts: &[&str]) {
    let workspace = Workspace::new();
    std::fs::write(workspace.path(name), content).unwrap();
    image::RgbImage::from_pixel(30, 20, image::Rgb([90, 40, 20]))
        .save(workspace.path("good.png"))
        .unwrap();
    let arguments = [
        "preprocess",
        "--mode",
        "resize",
        "--size",
        "32",
        "--out",
        "out",
        name,
        "good.png",
    ];
    let run = workspace.vascx_in_one_gibibyte(1, &arguments);
    run.error_names(&[name]).error_names(parts);
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    for part in parts {
        assert!(manifest.contains(part), "{part} is not in {manifest}");
    }
    assert!(manifest.contains("good.png,ok"), "{manifest}");
}

#[test]
fn what_is_no_photograph_is_named() {
    refused("a.jpg", b"", &["empty"]);
    refused("a.jpg", &[0; 900], &["zeros"]);
    refused(
        "a.jpg",
        b"<!DOCTYPE html><html></html>",
        &["web page", "PNG, JPEG, TIFF"],
    );
    refused("a.png", b"GIF89a\x01\0\x01\0\0\0\0", &["GIF"]);
    refused("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", &["HEIC"]);
    refused(
        "a.jpg",
        b"version https://git-lfs.github.com/spec/v1\n",
        &["Git LFS pointer"],
    );
}

#[test]
fn damaged_and_odd_pictures_fail_alone_with_the_reason() {
    let file = |name: &str| std::fs::read(fixture(name)).unwrap();
    let jpeg = file("jpeg/baseline_420_odd.jpg");
    refused("cut.jpg", &jpeg[..jpeg.len() * 6 / 10], &["cut short"]);
    refused("copied.jpg", &jpeg[..jpeg.len() * 95 / 100], &["cut short"]);
    // One colour's width is three halves of the first component's.
    let mut fractional = file("jpeg/ycck_420.jpg");
    let frame = fractional.windows(2).position(|two| two == [0xff, 0xc0]);
    fractional[frame.unwrap() + 14] = 0x31;
    refused("fractional.jpg", &fractional, &["proportions"]);
    refused("end.jpg", &file("jpeg/no_end_marker.jpg"), &["cut short"]);
    refused(
        "float.tif",
        &file("tiff/float_255.tif"),
        &["floats beyond 0 to 1"],
    );
    refused("uint32.tif", &file("tiff/uint32.tif"), &["32 bits"]);
    refused("int16.tif", &file("tiff/int16.tif"), &["signed"]);
    refused(
        "stack.tif",
        &file("tiff/channels_as_pages.tif"),
        &["three grey pages"],
    );
    refused("zstd.tif", &file("tiff/zstd.tif"), &["Zstandard"]);
    refused(
        "planes.tif",
        &file("tiff/planes_tiles.tif"),
        &["each colour apart", "interleaved"],
    );
    refused("lab.tif", &file("tiff/lab.tif"), &["CIE Lab"]);
}

#[test]
fn further_pages_are_noted() {
    let workspace = Workspace::new();
    let file = fixture("tiff/three_pages.tif");
    let file = file.to_str().unwrap();
    let run = workspace.vascx(
        0,
        &[
            "preprocess",
            "--mode",
            "resize",
            "--size",
            "32",
            "--out",
            "out",
            file,
        ],
    );
    run.error_names(&["three_pages", "3 pages", "first"]);
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    assert!(manifest.contains("3 pages"), "{manifest}");
}

#[cfg(unix)]
#[test]
fn pipes_are_not_opened() {
    let workspace = Workspace::new();
    let made = std::process::Command::new("mkfifo")
        .arg(workspace.path("pipe.jpg"))
        .status();
    assert!(made.unwrap().success());
    let arguments = ["preprocess", "--mode", "resize", "--out", "out", "pipe.jpg"];
    workspace
        .vascx(2, &arguments)
        .error_names(&["pipe.jpg", "pipe"]);
    std::fs::write(workspace.path("list.csv"), "path\npipe.jpg\n").unwrap();
    let arguments = ["preprocess", "--mode", "resize", "--out", "out", "list.csv"];
    workspace
        .vascx(2, &arguments)
        .error_names(&["pipe.jpg", "pipe"]);
    // Beside photographs it is left out.
    image::RgbImage::from_pixel(30, 20, image::Rgb([90, 40, 20]))
        .save(workspace.path("good.png"))
        .unwrap();
    let arguments = ["preprocess", "--mode", "resize", "--out", "new", "."];
    workspace
        .vascx(0, &arguments)
        .error_names(&["1 pipe or device", "1 other file (1 .csv)"]);
}

#[test]
fn small_files_that_declare_huge_pictures_fail_alone_in_little_memory() {
    let workspace = Workspace::new();
    let mut names: Vec<PathBuf> = Vec::new();
    let sizes = [
        (200_000, 200_000),
        (60_000, 60_000),
        (15_000, 15_000),
        (u32::MAX, u32::MAX),
        (12_000, 12_000),
    ];
    for (width, height) in sizes {
        for (name, bytes) in bombs(width, height) {
            let path = workspace.path(&format!("{}_{width}_{name}", names.len()));
            std::fs::write(&path, bytes).unwrap();
            names.push(path);
        }
    }
    let good = fixture("field_of_view/round.png");
    names.push(good);
    let mut arguments = vec![
        "preprocess",
        "--mode",
        "resize",
        "--size",
        "32",
        "--out",
        "out",
    ];
    arguments.extend(names.iter().map(|name| name.to_str().unwrap()));
    let run = workspace.vascx_in_one_gibibyte(1, &arguments);
    run.error_names(&[
        "200000_bomb.png",
        "declares 200000 × 200000 pixels",
        "max-pixels",
    ]);
    let manifest = std::fs::read_to_string(workspace.path("out/manifest.csv")).unwrap();
    let failed = manifest
        .lines()
        .filter(|line| line.contains(",failed,"))
        .count();
    assert_eq!(
        (failed, manifest.lines().count()),
        (names.len() - 1, names.len() + 1),
        "{manifest}"
    );
}

#[test]
fn the_largest_photograph_is_the_users_choice() {
    let workspace = Workspace::new();
    image::RgbImage::from_pixel(40, 30, image::Rgb([90, 40, 20]))
        .save(workspace.path("a.png"))
        .unwrap();
    let run = |code, limit| {
        let arguments = [
            "preprocess",
            "--mode",
            "resize",
            "--out",
            limit,
            "--max-pixels",
            limit,
            "a.png",
        ];
        workspace.vascx(code, &arguments)
    };
    run(0, "1200");
    run(2, "1199").error_names(&["a.png", "40 × 30", "1199"]);
}

#[test]
fn dicom_pixels_are_those_of_pydicom() {
    compare("dicom", "dcm", &[]);
}

#[test]
fn dicom_files_are_photographs_and_their_patients_stay_theirs() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("photos")).unwrap();
    for (name, file) in [
        ("left.dcm", "rgb"),
        ("IM000001", "jpeg_ybr"),
        ("two.dcm", "refused_two_frames"),
        ("short.dcm", "refused_cut_short"),
        ("ls.dcm", "refused_jpeg_ls"),
    ] {
        let from = fixture(&format!("dicom/{file}.dcm"));
        std::fs::copy(from, workspace.path("photos").join(name)).unwrap();
    }
    let run = |code, out: &str, extra: &[&str], inputs: &str| {
        let mut arguments = vec![
            "preprocess",
            "--mode",
            "resize",
            "--size",
            "16",
            "--out",
            out,
        ];
        arguments.extend(extra);
        arguments.push(inputs);
        workspace.vascx(code, &arguments)
    };
    let all = run(1, "out", &[], "photos");
    all.error_names(&[
        "two.dcm",
        "2 frames",
        "short.dcm",
        "cut short",
        "ls.dcm",
        "JPEG-LS",
    ]);
    assert_eq!(workspace.list("out/rgb"), ["IM000001.png", "left.png"]);
    run(
        0,
        "uid",
        &["--dicom-id", "SOPInstanceUID"],
        "photos/left.dcm",
    );
    assert_eq!(
        workspace.list("uid/rgb"),
        ["1.2.826.0.1.3680043.8.498.1.png"]
    );
    for file in ["out/manifest.csv", "out/bounds.json", "uid/manifest.csv"] {
        let text = std::fs::read_to_string(workspace.path(file)).unwrap();
        assert!(!text.contains("Doe") && !text.contains("4711"), "{text}");
    }
    let said = format!("{}{}", all.stdout, all.stderr);
    assert!(!said.contains("Doe") && !said.contains("4711"), "{said}");
    for image in workspace.list("out/rgb") {
        let bytes = std::fs::read(workspace.path("out/rgb").join(image)).unwrap();
        assert!(!bytes.windows(3).any(|window| window == b"Doe"));
    }
}
