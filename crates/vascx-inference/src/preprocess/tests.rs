//! Comparison with vascx_simplify 0.1.11, on committed fixtures and, where present, on the three
//! public photographs.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::*;
use crate::geometry::InputPoint;

/// Grey levels of one square image, `[3, S, S]`, from a network input without normalisation.
fn grey_levels(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| (value * 255.0).round()).collect()
}

fn prepare_simple(photograph: &Photograph, size: usize) -> Prepared {
    let preprocessing = Preprocessing {
        square_size: size,
        resize: None,
        contrast_enhance: true,
        normalisation: None,
    };
    prepare(photograph, &preprocessing, PreprocessMode::Simple)
}

struct Difference {
    mean: f32,
    /// Share of values that differ by more than one grey level.
    beyond_one: f32,
}

fn difference(actual: &[f32], expected: &[f32]) -> Difference {
    assert_eq!(actual.len(), expected.len());
    let deltas = || actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let count = actual.len() as f32;
    Difference {
        mean: deltas().map(f64::from).sum::<f64>() as f32 / count,
        beyond_one: deltas().filter(|&delta| delta > 1.0).count() as f32 / count,
    }
}

struct Fixture(Vec<u8>);

impl Fixture {
    fn open(name: &str) -> (Photograph, Self) {
        let file = |extension: &str| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/inference");
            root.join(format!("{name}.{extension}"))
        };
        let photograph = Photograph::open(file("png")).unwrap();
        (
            photograph,
            Self(std::fs::read(file("safetensors")).unwrap()),
        )
    }

    fn tensor(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap();
        view.data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }
}

const FIXTURES: [&str; 3] = ["photograph_97x150", "photograph_120x75", "photograph_40x40"];

#[test]
fn simple_matches_the_reference_on_small_photographs() {
    for name in FIXTURES {
        let (photograph, fixture) = Fixture::open(name);
        let prepared = prepare_simple(&photograph, 64);
        let (rgb, enhanced) = prepared.values.split_at(3 * 64 * 64);
        for (what, actual) in [("rgb", rgb), ("ce", enhanced)] {
            let found = difference(&grey_levels(actual), &fixture.tensor(what));
            // Truncation to 8 bits turns a last-place difference into a grey level.
            assert!(
                found.beyond_one <= 0.001,
                "{name} {what}: {} beyond 1",
                found.beyond_one
            );
            assert!(found.mean <= 0.05, "{name} {what}: mean {}", found.mean);
        }
    }
}

#[test]
fn undo_matches_the_reference() {
    for name in FIXTURES {
        let (photograph, fixture) = Fixture::open(name);
        let geometry = prepare_simple(&photograph, 64).geometry;
        let (maps, expected) = (fixture.tensor("map"), fixture.tensor("undone"));
        let area = photograph.width() * photograph.height();
        for (map, expected) in maps.chunks_exact(64 * 64).zip(expected.chunks_exact(area)) {
            let undone = geometry.maps_to_photograph(map, |values| values[0]);
            for (index, (actual, expected)) in undone.iter().zip(expected).enumerate() {
                assert!((actual - expected).abs() < 1e-4, "{name} pixel {index}");
            }
        }
        let points = fixture.tensor("points");
        let expected = fixture.tensor("undone_points");
        for (point, expected) in points.chunks_exact(2).zip(expected.chunks_exact(2)) {
            let input = InputPoint {
                x: f64::from(point[0]),
                y: f64::from(point[1]),
            };
            let undone = geometry.point_to_photograph(input);
            let delta = (undone.x as f32 - expected[0]).hypot(undone.y as f32 - expected[1]);
            assert!(delta < 1e-3, "{name}: {undone:?}, expected {expected:?}");
        }
    }
}

#[test]
fn resize_stretches_and_undoes() {
    let pixels = (0..6 * 4 * 3).map(|i| i as u8 * 3).collect();
    let photograph = Photograph::from_rgb(6, 4, pixels).unwrap();
    let preprocessing = Preprocessing {
        square_size: 12,
        resize: None,
        contrast_enhance: false,
        normalisation: Some(Normalisation::IMAGENET),
    };
    let prepared = prepare(&photograph, &preprocessing, PreprocessMode::Resize);
    assert_eq!(prepared.values.len(), 3 * 12 * 12);
    // The corner pixel is the photograph's corner pixel: (0, 3, 6) / 255, normalised.
    for (channel, level) in [0.0_f32, 3.0, 6.0].into_iter().enumerate() {
        let Normalisation { mean, std } = Normalisation::IMAGENET;
        let expected = (level / 255.0 - mean[channel]) / std[channel];
        assert!((prepared.values[channel * 144] - expected).abs() < 1e-6);
    }
    let middle = prepared
        .geometry
        .point_to_photograph(InputPoint { x: 6.0, y: 6.0 });
    assert_eq!((middle.x, middle.y), (3.0, 2.0));
}

#[test]
fn a_second_size_is_resized_after_the_square() {
    let photograph = Photograph::from_rgb(3, 2, vec![100; 18]).unwrap();
    let preprocessing = Preprocessing {
        square_size: 8,
        resize: Some(4),
        contrast_enhance: true,
        normalisation: None,
    };
    let prepared = prepare(&photograph, &preprocessing, PreprocessMode::Simple);
    assert_eq!(prepared.values.len(), 6 * 4 * 4);
    // Three columns wide, padded to a square of side 3: the network's middle is the photograph's.
    let middle = prepared
        .geometry
        .point_to_photograph(InputPoint { x: 2.0, y: 2.0 });
    assert_eq!((middle.x, middle.y), (1.5, 1.5));
}

#[test]
fn extreme_photographs_are_prepared_without_panic() {
    for (width, height) in [(1, 1), (1, 500), (500, 1), (2, 3)] {
        for level in [0, 255] {
            let pixels = vec![level; (3 * width * height) as usize];
            let photograph = Photograph::from_rgb(width, height, pixels).unwrap();
            let prepared = prepare_simple(&photograph, 32);
            assert!(
                prepared
                    .values
                    .iter()
                    .all(|value| (0.0..=1.0).contains(value))
            );
        }
    }
}

/// The folder with public photographs beside the checkout, which is not part of it.
fn shared_photographs() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fundus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is absent", folder.display());
    None
}

#[test]
fn simple_matches_the_reference_on_public_photographs() {
    let Some(folder) = shared_photographs() else {
        return;
    };
    // For JPEG the decoders differ among themselves; the SPEC's limits hold for PNG.
    for (name, file, mean_rgb, mean_ce) in [
        ("CHASEDB1_08L", "CHASEDB1_08L.png", 0.05, 0.05),
        ("DRIVE_22", "DRIVE_22.png", 0.05, 0.05),
        ("HRF_04_g", "HRF_04_g.jpg", 0.5, 2.0),
    ] {
        let photograph = Photograph::open(folder.join("original").join(file)).unwrap();
        let prepared = prepare_simple(&photograph, 1024);
        let (rgb, enhanced) = prepared.values.split_at(3 << 20);
        for (what, actual, limit) in [
            ("simple_rgb", rgb, mean_rgb),
            ("simple_ce", enhanced, mean_ce),
        ] {
            let reference = folder.join(what).join(format!("{name}.png"));
            let reference = image::open(reference).unwrap().into_rgb8();
            let expected: Vec<f32> = (0..3)
                .flat_map(|channel| reference.pixels().map(move |p| f32::from(p.0[channel])))
                .collect();
            let found = difference(&grey_levels(actual), &expected);
            println!(
                "{name} {what}: mean {}, beyond one {}",
                found.mean, found.beyond_one
            );
            assert!(found.mean <= limit, "{name} {what}: mean {}", found.mean);
            if file.ends_with("png") {
                assert!(
                    found.beyond_one <= 0.001,
                    "{name} {what}: {}",
                    found.beyond_one
                );
            }
        }
    }
}
