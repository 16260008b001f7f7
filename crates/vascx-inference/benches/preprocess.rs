//! What preprocessing spends its time on: `cargo bench -p vascx-inference --bench preprocess`.
//!
//! `decode` and `encode` are the floor of `vascx preprocess`; the rest is ours.

use std::hint::black_box;
use std::time::Instant;

use image::codecs::png::PngEncoder;
use image::{RgbImage, imageops};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use vascx_inference::{FieldOfView, Photograph, PreprocessMode, preprocess};

/// One of the sample photographs, enlarged to the size that cameras give (8 megapixels).
fn photograph() -> RgbImage {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/images");
    let path = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .min()
        .unwrap();
    let sample = image::open(path).unwrap().into_rgb8();
    imageops::resize(&sample, 3504, 2336, imageops::FilterType::Triangle)
}

/// Prints the median time of twenty runs after a first one.
fn time<T>(name: &str, work: impl Fn() -> T) {
    black_box(work());
    let mut milliseconds = [(); 20].map(|()| {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64() * 1e3
    });
    milliseconds.sort_by(f64::total_cmp);
    println!("{name:28} {:8.2} ms", milliseconds[10]);
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photograph.jpg");
    let large = photograph();
    let (width, height) = (large.width() as usize, large.height() as usize);
    let jpeg = compress(
        &large,
        width,
        height,
        PixelFormat::Rgb,
        90,
        Subsampling::S420,
    )
    .unwrap();
    std::fs::write(&path, jpeg).unwrap();
    let photograph = Photograph::open(&path).unwrap();
    println!("preprocess 3504 × 2336 JPEG → 1024²");
    time("decode", || Photograph::open(black_box(&path)).unwrap());
    time("find the field of view", || {
        FieldOfView::find(black_box(&photograph))
    });
    for (name, mode) in [
        ("full", PreprocessMode::Full),
        ("simple", PreprocessMode::Simple),
    ] {
        time(&format!("{name}, decoded to squares"), || {
            preprocess(black_box(&photograph), mode, 1024, true)
        });
    }
    let square = preprocess(&photograph, PreprocessMode::Full, 1024, true);
    for (name, image) in [
        ("rgb", &square.rgb),
        ("enhanced", square.enhanced.as_ref().unwrap()),
    ] {
        time(&format!("encode {name}"), || {
            image
                .write_with_encoder(PngEncoder::new(Vec::new()))
                .unwrap();
        });
    }
}
