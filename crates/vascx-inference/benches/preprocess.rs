//! What preprocessing spends its time on: `cargo bench -p vascx-inference --bench preprocess`.
//!
//! `decode` and `encode` are the floor of `vascx preprocess`; the rest is ours.

#![allow(missing_docs)] // Criterion's macro defines a public function.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use image::codecs::png::PngEncoder;
use image::{RgbImage, imageops};
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

fn stages(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photograph.jpg");
    photograph().save(&path).unwrap();
    let photograph = Photograph::open(&path).unwrap();
    let mut group = criterion.benchmark_group("preprocess 3504 × 2336 JPEG → 1024²");
    group.sample_size(20);
    group.bench_function("decode", |b| {
        b.iter(|| Photograph::open(black_box(&path)).unwrap());
    });
    group.bench_function("find the field of view", |b| {
        b.iter(|| FieldOfView::find(black_box(&photograph)));
    });
    for (name, mode) in [
        ("full", PreprocessMode::Full),
        ("simple", PreprocessMode::Simple),
    ] {
        let run = || preprocess(black_box(&photograph), mode, 1024, true);
        group.bench_function(format!("{name}, decoded to squares"), |b| b.iter(run));
    }
    let square = preprocess(&photograph, PreprocessMode::Full, 1024, true);
    for (name, image) in [
        ("rgb", &square.rgb),
        ("enhanced", square.enhanced.as_ref().unwrap()),
    ] {
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| {
                image
                    .write_with_encoder(PngEncoder::new(Vec::new()))
                    .unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
