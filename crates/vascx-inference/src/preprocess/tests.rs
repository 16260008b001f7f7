//! Comparison with vascx_simplify 0.1.11, on committed fixtures and, where present, on the three
//! public photographs.

mod bounds;

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use vascx_format::Normalisation;

use super::*;
use crate::geometry::{Geometry, InputPoint, Point, Size};

/// Grey levels of one square image, `[3, S, S]`, from a network input without normalisation.
fn grey_levels(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| (value * 255.0).round()).collect()
}

fn floats(prepared: &Prepared) -> &[f32] {
    match &*prepared.pixels {
        Pixels::Floats(values) => values,
        Pixels::Bytes(_) => panic!("bytes were not asked for"),
    }
}

fn prepare_simple(photograph: &Photograph, size: usize) -> Prepared {
    let preprocessing = Preprocessing {
        transform: Transform::Fundus,
        square_size: size,
        resize: None,
        contrast_enhance: true,
        normalisation: Normalisation::ZERO_ONE,
    };
    Preparation::new(photograph).input(&preprocessing, PreprocessMode::Simple, false)
}

#[derive(Debug)]
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
        let (rgb, enhanced) = floats(&prepared).split_at(3 * 64 * 64);
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
        transform: Transform::Fundus,
        square_size: 12,
        resize: None,
        contrast_enhance: false,
        normalisation: Normalisation::IMAGENET,
    };
    let prepared =
        Preparation::new(&photograph).input(&preprocessing, PreprocessMode::Resize, false);
    assert_eq!(floats(&prepared).len(), 3 * 12 * 12);
    // The corner pixel is the photograph's corner pixel: (0, 3, 6) / 255, normalised.
    for (channel, level) in [0.0_f32, 3.0, 6.0].into_iter().enumerate() {
        let Normalisation { mean, std, .. } = Normalisation::IMAGENET;
        let expected = (level / 255.0 - mean[channel]) / std[channel];
        assert!((floats(&prepared)[channel * 144] - expected).abs() < 1e-6);
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
        transform: Transform::Fundus,
        square_size: 8,
        resize: Some(4),
        contrast_enhance: true,
        normalisation: Normalisation::ZERO_ONE,
    };
    let prepared =
        Preparation::new(&photograph).input(&preprocessing, PreprocessMode::Simple, false);
    assert_eq!(floats(&prepared).len(), 6 * 4 * 4);
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
            let unit = |value: &f32| (0.0..=1.0).contains(value);
            assert!(floats(&prepared).iter().all(unit));
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

/// A file's pixels.
fn read_image(path: PathBuf) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

fn crop(photograph: &Photograph, field: &FieldOfView, side: usize) -> RgbImage {
    let geometry = field.geometry(side, side);
    square_image(side, sample::crop(photograph.rgb(), &geometry))
}

#[test]
fn whole_numbers_crop_as_floating_point_does() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..60 {
        let (width, height) = (random.usize(1..40), random.usize(1..40));
        let pixels = std::iter::repeat_with(|| random.u8(..)).take(3 * width * height);
        let image = RgbImage::from_raw(width as u32, height as u32, pixels.collect()).unwrap();
        // Inside the image, across its border and quite outside it.
        let mut place = |length: usize| (random.f64() * 3.0 - 1.0) * length as f64;
        let (x, y) = (place(width), place(height));
        let radius = 0.5 + 30.0 * random.f64();
        let side = random.usize(1..50);
        let geometry =
            Geometry::cropped(Size { width, height }, Point { x, y }, radius, side, side);
        let expected = sample(&image, &geometry, |value| (value + 0.5) as u8);
        let actual = sample::crop(&image, &geometry);
        assert_eq!(
            actual, expected,
            "{width} × {height}, r {radius} at ({x}, {y})"
        );
    }
}

fn image_difference(actual: &RgbImage, expected: &RgbImage) -> Difference {
    let levels = |image: &RgbImage| -> Vec<f32> { image.iter().copied().map(f32::from).collect() };
    difference(&levels(actual), &levels(expected))
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
        let (rgb, enhanced) = floats(&prepared).split_at(3 << 20);
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

#[test]
fn full_matches_the_reference_on_public_photographs() {
    let Some(folder) = shared_photographs() else {
        return;
    };
    let file = std::fs::File::open(folder.join("reference.json")).unwrap();
    let references: serde_json::Value = serde_json::from_reader(file).unwrap();
    for (name, reference) in references.as_object().unwrap() {
        let photograph = folder.join(reference["file"].as_str().unwrap());
        let photograph = Photograph::open(photograph).unwrap();
        let expected_rgb = read_image(folder.join(format!("full_rgb/{name}.png")));
        let expected_ce = read_image(folder.join(format!("full_ce/{name}.png")));

        let own = FieldOfView::find(&photograph);
        let full = &reference["full"];
        let mut field = own.clone();
        field.center = [0, 1].map(|axis| full["center"][axis].as_f64().unwrap());
        field.radius = full["radius"].as_f64().unwrap();
        field.lines = serde_json::from_value(full["lines"].clone()).unwrap();

        let given = image_difference(&crop(&photograph, &field, 1024), &expected_rgb);
        assert!(
            given.mean <= 0.5,
            "{name}: crop of the reference's bounds {given:?}"
        );
        let enhanced = full::enhance(
            &expected_rgb,
            &field,
            Disc::in_crop(&field, expected_rgb.width() as usize),
        );
        let exact = image_difference(&enhanced, &expected_ce);
        assert!(
            exact.beyond_one <= 0.001,
            "{name}: enhanced reference crop {exact:?}"
        );
        let rgb = crop(&photograph, &own, 1024);
        let from_own = image_difference(&rgb, &expected_rgb);
        let enhanced = image_difference(
            &full::enhance(&rgb, &own, Disc::in_crop(&own, rgb.width() as usize)),
            &expected_ce,
        );
        println!(
            "{name}: given bounds {given:?}, given crop {exact:?}, own {from_own:?} {enhanced:?}"
        );
        assert!(from_own.mean <= 1.7, "{name}: own bounds {from_own:?}");
        assert!(
            enhanced.mean <= 4.0,
            "{name}: own bounds, enhanced {enhanced:?}"
        );
    }
}

/// What retinalysis-inference's transforms make of photographs, with up to a share of pixels off by
/// one grey level.
fn assert_like_the_reference(name: &str, image: &RgbImage, off_by_one: f64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/ensembles/transforms.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let side = image.width() as usize;
    assert_eq!(view.shape(), [side, side, 3], "{name}");
    let pairs = image.as_raw().iter().zip(view.data());
    let deltas: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let off = deltas.iter().filter(|&&delta| delta > 0).count() as f64 / deltas.len() as f64;
    assert!(deltas.iter().all(|&delta| delta <= 1), "{name}");
    assert!(off <= off_by_one, "{name}: {off}");
}

#[test]
fn basic_fits_as_the_reference_does_and_undoes_it() {
    for name in FIXTURES {
        let (photograph, _) = Fixture::open(name);
        for (setting, pad) in [("fitted", [0, 0]), ("padded", [110, 170])] {
            let mode = PreprocessMode::Basic { pad };
            let found = preprocess(&photograph, mode, 64, false);
            // OpenCV's vector and scalar loops round differently when they enlarge.
            assert_like_the_reference(&format!("{setting}_{name}"), &found.rgb, 0.01);
            // The middle of the photograph is the middle of the square, and what was added
            // brings nothing back.
            let middle = found.bounds.point_to_photograph(32.0, 32.0, 64);
            let [x, y] = [photograph.width() as f64, photograph.height() as f64];
            assert!((middle.x - x / 2.0).abs() <= 2.0 && (middle.y - y / 2.0).abs() <= 2.0);
            let full = image::GrayImage::from_pixel(64, 64, image::Luma([1]));
            let map = found.bounds.map_to_photograph(&full).unwrap();
            assert!(map.as_raw().iter().all(|&class| class == 1), "{name}");
        }
    }
}

#[test]
fn a_second_size_is_resized_as_opencv_does() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ensembles/crop.png");
    let photograph = Photograph::open(path).unwrap();
    for (side, off_by_one) in [(32, 0.0), (150, 0.01)] {
        let found = preprocess(&photograph, PreprocessMode::Crop, side, false);
        assert_like_the_reference(&format!("resized_{side}"), &found.rgb, off_by_one);
    }
}

#[test]
fn a_photograph_is_prepared_as_its_model_was_trained() {
    let preprocessing = |transform, contrast_enhance| Preprocessing {
        transform,
        square_size: 64,
        resize: None,
        contrast_enhance,
        normalisation: Normalisation::IMAGENET,
    };
    for contrast_enhance in [false, true] {
        let fundus = preprocessing(Transform::Fundus, contrast_enhance);
        assert_eq!(PreprocessMode::auto(&fundus), PreprocessMode::Full);
    }
    let pad = Some([100, 90]);
    let basic = preprocessing(Transform::Basic { pad }, false);
    let mode = PreprocessMode::Basic { pad: [100, 90] };
    assert_eq!(PreprocessMode::auto(&basic), mode);
}
