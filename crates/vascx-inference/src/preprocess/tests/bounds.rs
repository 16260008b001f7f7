//! The way from the crop back to the photograph, by bounds that were saved.

use super::*;

#[test]
fn a_crop_of_known_bounds_is_the_references_to_the_bit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/field_of_view");
    let file = std::fs::File::open(folder.join("reference.json")).unwrap();
    let references: serde_json::Value = serde_json::from_reader(file).unwrap();
    for name in ["cut_inside", "cut_top_bottom"] {
        let photograph = Photograph::open(folder.join(format!("{name}.png"))).unwrap();
        let mut field = FieldOfView::find(&photograph);
        let reference = &references[name];
        field.center = [0, 1].map(|axis| reference["center"][axis].as_f64().unwrap());
        field.radius = reference["radius"].as_f64().unwrap();
        let rgb = crop(&photograph, &field, 128);
        let expected = read_image(folder.join(format!("{name}_rgb.png")));
        assert_eq!(rgb, expected, "{name}");
        let enhanced = full::enhance(&rgb, &field, Disc::in_crop(&field, rgb.width() as usize));
        let expected = read_image(folder.join(format!("{name}_ce.png")));
        let found = image_difference(&enhanced, &expected);
        // The reference blurs in f64: f32 may truncate to the neighbouring level. The straight
        // edges are fitted by other draws.
        assert!(
            found.mean <= 0.02 && found.beyond_one <= 0.001,
            "{name}: {found:?}"
        );
    }
}

/// A photograph of `size` with a lit circle.
fn lit_circle(width: u32, height: u32, centre: (f64, f64), radius: f64) -> Photograph {
    let pixels = (0..width * height).flat_map(|i| {
        let (dx, dy) = (
            f64::from(i % width) - centre.0,
            f64::from(i / width) - centre.1,
        );
        if dx.hypot(dy) < radius {
            [180, 90, 40]
        } else {
            [2, 2, 2]
        }
    });
    Photograph::from_rgb(width, height, pixels.collect()).unwrap()
}

#[test]
fn what_is_drawn_on_the_crop_returns_to_its_place() {
    // The crop of 1024² is a little finer than the photograph, so nothing may be lost.
    let (width, height) = (1300, 1060);
    let photograph = lit_circle(width, height, (660.0, 520.0), 500.0);
    // A vessel tree in the photograph's pixels: branches 2 to 18 pixels wide.
    let on_tree = |x: f64, y: f64| {
        (0..9).any(|branch| {
            let angle = f64::from(branch) * 0.7;
            let (dx, dy) = (x - 660.0, y - 520.0);
            let along = dx * angle.cos() + dy * angle.sin();
            let across = dy * angle.cos() - dx * angle.sin() - 0.0004 * along * along;
            along > 0.0 && along < 470.0 && across.abs() < 1.0 + f64::from(branch)
        })
    };
    let bounds = preprocess(&photograph, PreprocessMode::Full, 1024, false).bounds;
    assert_eq!(
        bounds.field_of_view().unwrap().method(),
        crate::Method::Circle
    );
    let geometry = bounds.geometry(1024, 1024);
    let crop: Vec<u8> = (0..1024 * 1024)
        .map(|i| {
            let at = InputPoint {
                x: f64::from(i % 1024),
                y: f64::from(i / 1024),
            };
            let at = geometry.point_to_photograph(at);
            u8::from(on_tree(at.x.round(), at.y.round()))
        })
        .collect();
    let map = image::GrayImage::from_raw(1024, 1024, crop.clone()).unwrap();
    let undone = bounds.map_to_photograph(&map).unwrap();
    let (mut both, mut either) = (0, 0);
    for (x, y, class) in undone.enumerate_pixels() {
        let (found, expected) = (class.0[0] == 1, on_tree(f64::from(x), f64::from(y)));
        both += u32::from(found && expected);
        either += u32::from(found || expected);
    }
    let overlap = f64::from(both) / f64::from(either);
    assert!(overlap >= 0.99, "{overlap}");
    // Maps of probabilities go the same way as maps of classes.
    let again = geometry.maps_to_photograph(
        &crop
            .iter()
            .map(|&class| f32::from(class))
            .collect::<Vec<_>>(),
        |values| values[0] as u8,
    );
    assert_eq!(&again, undone.as_raw());
    for point in [(660.0, 520.0), (300.5, 411.25), (1099.0, 800.0)] {
        let there = geometry.point_to_input(Point {
            x: point.0,
            y: point.1,
        });
        let back = bounds.point_to_photograph(there.x, there.y, 1024);
        assert!(
            (back.x - point.0).abs() < 1e-9 && (back.y - point.1).abs() < 1e-9,
            "{back:?}"
        );
    }
}

#[test]
fn saved_bounds_undo_as_the_run_did() {
    let photograph = lit_circle(300, 200, (150.0, 100.0), 90.0);
    for mode in [
        PreprocessMode::Full,
        PreprocessMode::Simple,
        PreprocessMode::Resize,
    ] {
        let bounds = preprocess(&photograph, mode, 64, true).bounds;
        let saved: Bounds = serde_json::from_str(&serde_json::to_string(&bounds).unwrap()).unwrap();
        assert_eq!(saved, bounds);
        let map = image::GrayImage::from_pixel(64, 64, image::Luma([3]));
        let undone = saved.map_to_photograph(&map).unwrap();
        assert_eq!(undone.dimensions(), (300, 200));
        assert_eq!(undone.get_pixel(150, 100).0[0], 3);
        let outside = if mode == PreprocessMode::Full { 0 } else { 3 };
        assert_eq!(undone.get_pixel(1, 1).0[0], outside, "{mode:?}");
        assert!(
            saved
                .map_to_photograph(&image::GrayImage::new(3, 2))
                .is_err()
        );
    }
}
