//! Against retinalysis-fundusprep 1.3.0: on synthetic photographs and, where present, the three
//! public ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

/// What the reference found.
#[derive(Deserialize)]
struct Reference {
    center: [f64; 2],
    radius: f64,
    rect: [isize; 4],
}

impl Reference {
    /// Largest difference of centre and radius, relative to the radius.
    fn difference(&self, found: &FieldOfView) -> f64 {
        let [x, y] = [0, 1].map(|axis| found.center[axis] - self.center[axis]);
        x.hypot(y).max((found.radius - self.radius).abs()) / self.radius
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/field_of_view")
}

fn references(file: &str) -> BTreeMap<String, Reference> {
    let file = std::fs::File::open(fixtures().join(file)).unwrap();
    serde_json::from_reader(file).unwrap()
}

#[test]
fn every_kind_of_field_is_found_where_the_reference_finds_it() {
    let references = references("reference.json");
    assert_eq!(references.len(), 12);
    for (name, reference) in references {
        let photograph = Photograph::open(fixtures().join(format!("{name}.png"))).unwrap();
        let found = FieldOfView::find(&photograph);
        let difference = reference.difference(&found);
        println!("{name}: {difference:e}");
        assert!(difference <= 0.01, "{name}: {difference:.4}, {found:?}");
        let rect = [
            found.rect.min_x,
            found.rect.max_x,
            found.rect.min_y,
            found.rect.max_y,
        ];
        for (side, expected) in rect.iter().zip(reference.rect) {
            assert!(
                (side - expected).abs() as f64 <= 1.0 + 0.01 * reference.radius,
                "{name}: {rect:?}, expected {:?}",
                reference.rect
            );
        }
        assert_ne!(found.method, Method::NotFound, "{name}");
    }
}

/// The same thumbnail to the bit, the same rim and the same draws, so that only the least-squares fit
/// is computed in another way.
#[test]
fn circles_of_photographs_are_those_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/images");
    let references = references("bundled.json");
    assert_eq!(references.len(), 4);
    for (name, reference) in references {
        let found = FieldOfView::find(&Photograph::open(folder.join(&name)).unwrap());
        let difference = reference.difference(&found);
        println!("{name}: {difference:e}");
        assert!(difference <= 1e-9, "{name}: {difference:e}, {found:?}");
    }
}

#[test]
fn the_answer_is_always_the_same() {
    let photograph = Photograph::open(fixtures().join("noisy_surround.png")).unwrap();
    let first = FieldOfView::find(&photograph);
    assert_eq!(first, FieldOfView::find(&photograph));
    let saved = serde_json::to_string(&first).unwrap();
    assert_eq!(first, serde_json::from_str(&saved).unwrap());
}

#[test]
fn straight_edges_are_reported() {
    let find = |name| FieldOfView::find(&Photograph::open(fixtures().join(name)).unwrap());
    assert_eq!(find("round.png").method, Method::Circle);
    let cut = find("cut_inside.png");
    assert_eq!(cut.method, Method::CircleAndLines);
    // 8 % of 280 rows are dark above and below.
    assert!((21..=24).contains(&cut.rect.min_y) && (256..=259).contains(&cut.rect.max_y));
}

/// A photograph from a function of x and y.
fn draw(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Photograph {
    let bytes = (0..width * height)
        .flat_map(|i| pixel(i % width, i / width))
        .collect();
    Photograph::from_rgb(width, height, bytes).unwrap()
}

#[test]
fn degenerate_photographs_have_a_defined_and_reported_result() {
    let noise = |x: u32, y: u32| {
        let hash =
            (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
        [(hash >> 8) as u8, (hash >> 16) as u8, (hash >> 24) as u8]
    };
    assert_eq!(
        FieldOfView::find(&draw(300, 200, |_, _| [0; 3])).method,
        Method::NotFound
    );
    assert_eq!(
        FieldOfView::find(&draw(256, 256, |_, _| [255; 3])).method,
        Method::FullFrame
    );
    assert_eq!(
        FieldOfView::find(&draw(300, 300, noise)).method,
        Method::FullFrame
    );
    // A bright cat-like silhouette on black: ears, no circle to speak of.
    let cat = |x: u32, y: u32| {
        let (dx, dy) = (f64::from(x) - 150.0, f64::from(y) - 170.0);
        let ear = dy > -120.0 && dy < -20.0 && (dx.abs() - 60.0).abs() < (dy + 120.0) * 0.4;
        if dx.abs().powf(1.3) / 600.0 + dy * dy / 9000.0 < 1.0 || ear {
            [200, 120, 60]
        } else {
            [2; 3]
        }
    };
    for photograph in [
        draw(1, 1, |_, _| [9; 3]),
        draw(1, 5000, |_, y| [(y / 20) as u8; 3]),
        draw(5000, 1, |_, _| [255; 3]),
        draw(3, 2, |x, _| [x as u8 * 100; 3]),
        draw(300, 300, cat),
        draw(300, 300, |x, _| if x < 150 { [255; 3] } else { [0; 3] }),
        draw(300, 300, |x, y| {
            if x == 150 && y == 150 {
                [255; 3]
            } else {
                [0; 3]
            }
        }),
    ] {
        let found = FieldOfView::find(&photograph);
        assert!(found.radius.is_finite() && found.radius > 0.0, "{found:?}");
        assert!(
            found.rect.holds_middle_of(Size::of(&photograph)),
            "{found:?}"
        );
    }
}

#[test]
fn random_photographs_never_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..60 {
        let (width, height) = (random.u32(1..300), random.u32(1..300));
        let (blocks, levels) = (
            random.u32(1..40),
            [random.u8(..), random.u8(..), random.u8(..)],
        );
        let seed = random.u32(..);
        let photograph = draw(width, height, |x, y| {
            let hash =
                ((x / blocks) ^ (y / blocks).rotate_left(7) ^ seed).wrapping_mul(0x9e37_79b9);
            levels.map(|level| {
                if hash >> 31 == 0 {
                    level
                } else {
                    level.wrapping_add((hash >> 20) as u8)
                }
            })
        });
        let found = FieldOfView::find(&photograph);
        assert!(
            found.rect.holds_middle_of(Size::of(&photograph)),
            "{found:?}"
        );
    }
}

#[test]
fn public_photographs_agree_with_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fundus");
    let Ok(file) = std::fs::File::open(folder.join("reference.json")) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let references: serde_json::Value = serde_json::from_reader(file).unwrap();
    for (name, reference) in references.as_object().unwrap() {
        let full = &reference["full"];
        let reference_field = Reference {
            center: [0, 1].map(|axis| full["center"][axis].as_f64().unwrap()),
            radius: full["radius"].as_f64().unwrap(),
            rect: ["min_x", "max_x", "min_y", "max_y"]
                .map(|side| full[side].as_i64().unwrap() as isize),
        };
        let photograph =
            Photograph::open(folder.join(reference["file"].as_str().unwrap())).unwrap();
        let found = FieldOfView::find(&photograph);
        let difference = reference_field.difference(&found);
        println!(
            "{name}: {difference:.5} of the radius, {}",
            found.method.name()
        );
        assert!(difference <= 0.005, "{name}: {difference:.5}, {found:?}");
        let rect = [
            found.rect.min_x,
            found.rect.max_x,
            found.rect.min_y,
            found.rect.max_y,
        ];
        assert_eq!(rect, reference_field.rect, "{name}");
    }
}
