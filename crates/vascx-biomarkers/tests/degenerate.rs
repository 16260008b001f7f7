//! Inputs that no photograph gives: every value is a number or has a reason, nothing panics, and
//! the slowest ends in seconds.

use std::sync::LazyLock;
use std::time::Instant;

use vascx_biomarkers::{
    Analysis, Bounds, Eye, FeatureSet, FieldOfView, InvalidEye, LayerName, Point, Reason,
};

const SIDE: usize = 1024;

/// Seconds that no map may take; the slowest of these takes one.
const LONGEST: f64 = 5.0;

/// Seconds that this thread has had a processor, whatever else the machine does; those of the clock
/// where the system does not say.
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let used = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let used = used.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    used.map_or_else(|| START.elapsed().as_secs_f64(), |used| used / 1e9)
}

type Pixel = fn(usize, usize) -> bool;

fn disc(y: usize, x: usize) -> bool {
    y.abs_diff(500).pow(2) + x.abs_diff(300).pow(2) < 70 * 70
}

fn map(side: usize, class: u8, set: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    (0..side * side)
        .map(|at| if set(at / side, at % side) { class } else { 0 })
        .collect()
}

/// Sets that between them hold every kind of value.
const SETS: [FeatureSet; 4] = [
    FeatureSet::FullV3,
    FeatureSet::FullV2,
    FeatureSet::OdCenteredNarrow,
    FeatureSet::VascxRs,
];

/// Measures these sets and all tables; each value must be a number or have a reason.
fn measure(what: &str, eye: &Eye) -> Vec<(String, Result<f64, Reason>)> {
    let start = Instant::now();
    let mut all = Vec::new();
    for set in SETS {
        let analysis = Analysis::new(eye, set.rules()).unwrap();
        let names = set.names(Default::default());
        let values = analysis.measure(set);
        assert_eq!(names.len(), values.len(), "{set}");
        for (name, measured) in names.into_iter().zip(values) {
            assert!(
                measured.value.as_ref().is_ok_and(|v| v.is_finite()) || measured.value.is_err()
            );
            all.push((format!("{set}/{name}"), measured.value));
        }
        for layer in [LayerName::Arteries, LayerName::Veins, LayerName::Vessels] {
            let _ = (
                analysis.segment_table(layer),
                analysis.bifurcation_table(layer),
            );
        }
    }
    eprintln!(
        "{what}: {:.2} s for four sets",
        start.elapsed().as_secs_f64()
    );
    all
}

fn value(values: &[(String, Result<f64, Reason>)], name: &str) -> Result<f64, Reason> {
    values
        .iter()
        .find(|(known, _)| known == name)
        .unwrap()
        .1
        .clone()
}

#[test]
fn masks_that_no_eye_has_are_measured_or_explained() {
    let shapes: [(&str, Pixel); 12] = [
        ("nothing", |_, _| false),
        ("one pixel", |y, x| y == 512 && x == 512),
        ("everything", |_, _| true),
        ("a checkerboard", |y, x| (y + x) % 2 == 0),
        ("rows", |y, _| y % 2 == 0),
        ("rows far apart", |y, _| y % 5 == 0),
        ("a lattice", |y, x| y % 4 == 0 || x % 4 == 0),
        ("a net of diagonals", |y, x| {
            (y + x) % 7 == 0 || (y + 7 * 1024 - x) % 7 == 0
        }),
        ("dots", |y, x| y % 3 == 0 && x % 3 == 0),
        ("a comb", |y, x| y == 512 || x % 2 == 0 && y > 512),
        ("rings", |y, x| {
            ((y.abs_diff(512).pow(2) + x.abs_diff(512).pow(2)).isqrt()) % 9 == 0
        }),
        ("a bar of two pixels", |y, x| {
            y == 500 && (400..402).contains(&x)
        }),
    ];
    let disc = map(SIDE, 1, disc);
    for (what, shape) in shapes {
        let arteries_veins = map(SIDE, 3, shape);
        let eye = Eye {
            side: SIDE,
            arteries_veins: &arteries_veins,
            vessels: Some(&arteries_veins),
            disc: Some(&disc),
            rgb: None,
            fovea: Some(Point::new(520.0, 620.0)),
            field_of_view: FieldOfView::circle(SIDE),
            mm_per_pixel: None,
        };
        let start = seconds();
        let analysis = Analysis::new(&eye, FeatureSet::FullV3.rules()).unwrap();
        assert_eq!(analysis.measure(FeatureSet::FullV3).len(), 75);
        let seconds = seconds() - start;
        eprintln!("{what}: {seconds:.2} s for full_v3");
        assert!(seconds < LONGEST, "{what}");
        let all = measure(what, &eye);
        match what {
            "nothing" => {
                assert_eq!(value(&all, "full_v3/vd_disc_full_arteries"), Ok(0.0));
                assert_eq!(value(&all, "full_v3/mean_sparsity"), Err(Reason::NoVessels));
                assert!(value(&all, "vascx_rs/total_length_arteries_px").is_err());
            }
            "everything" => assert_eq!(value(&all, "full_v3/vd_disc_full_veins"), Ok(1.0)),
            _ => {}
        }
    }
}

#[test]
fn eyes_without_disc_or_fovea_give_what_needs_neither() {
    let arteries_veins = map(SIDE, 1, |y, x| (y / 3) % 40 == 0 && (200..900).contains(&x));
    let disc = map(SIDE, 1, disc);
    let whole = Eye {
        side: SIDE,
        arteries_veins: &arteries_veins,
        vessels: Some(&arteries_veins),
        disc: Some(&disc),
        rgb: None,
        fovea: Some(Point::new(520.0, 620.0)),
        field_of_view: FieldOfView::circle(SIDE),
        mm_per_pixel: Some(0.01),
    };
    let values = measure("whole", &whole);
    let calibre = value(&values, "vascx_rs/calibre_median_arteries_px").unwrap();
    assert!((calibre - 3.0).abs() < 1e-6, "{calibre}");
    let um = value(&values, "vascx_rs/calibre_median_arteries_um").unwrap();
    assert!((um - 30.0).abs() < 1e-5, "{um}");
    for (what, fovea, reason) in [
        ("no fovea", None, Reason::NoFovea),
        (
            "fovea NaN",
            Some(Point::new(f64::NAN, 3.0)),
            Reason::NoFovea,
        ),
        (
            "fovea outside",
            Some(Point::new(-40.0, 9e9)),
            Reason::FoveaOutside,
        ),
        (
            "fovea in the disc",
            Some(Point::new(500.0, 310.0)),
            Reason::FoveaInDisc,
        ),
    ] {
        let values = measure(what, &Eye { fovea, ..whole });
        let name = "vascx_rs/tortuosity_curvature_segments_mean_arteries";
        assert_eq!(value(&values, name), Err(reason), "{what}");
        assert!(value(&values, "vascx_rs/calibre_median_arteries_px").is_ok());
    }
    let no_disc = measure(
        "no disc",
        &Eye {
            disc: None,
            ..whole
        },
    );
    let reference = no_disc
        .iter()
        .filter(|(name, _)| name.starts_with("full_v3/"));
    assert!(
        reference
            .into_iter()
            .all(|(_, value)| value == &Err(Reason::NoDisc))
    );
    assert!(value(&no_disc, "vascx_rs/calibre_median_arteries_px").is_ok());
    assert!(value(&no_disc, "vascx_rs/gap_mean_vessels_px").is_ok());
    assert_eq!(
        value(&no_disc, "vascx_rs/avr_knudtson_zone_b"),
        Err(Reason::NoDisc)
    );
    let dot = map(SIDE, 1, |y, x| y == 500 && x == 300);
    let small = measure(
        "a disc of one pixel",
        &Eye {
            disc: Some(&dot),
            ..whole
        },
    );
    let reason = value(&small, "vascx_rs/disc_radius_px").unwrap_err();
    assert_eq!(
        reason.to_string(),
        "optic disc of 1 px, at least 500 needed"
    );
}

#[test]
fn maps_that_do_not_fit_are_refused() {
    let map = [0; 16];
    let eye = Eye {
        side: 4,
        arteries_veins: &map,
        vessels: Some(&map),
        disc: Some(&map[..15]),
        rgb: None,
        fovea: None,
        field_of_view: FieldOfView::circle(4),
        mm_per_pixel: None,
    };
    let refused = |eye: &Eye| {
        Analysis::new(eye, FeatureSet::VascxRs.rules())
            .err()
            .unwrap()
    };
    let size = InvalidEye::Size {
        map: "disc map",
        found: 15,
        expected: 16,
    };
    assert_eq!(refused(&eye), size);
    assert_eq!(refused(&Eye { side: 0, ..eye }), InvalidEye::Side(0));
    let scale = Eye {
        disc: None,
        mm_per_pixel: Some(-1.0),
        ..eye
    };
    assert_eq!(refused(&scale), InvalidEye::Scale(-1.0));
}

#[test]
fn any_maps_and_landmarks_end_without_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..300 {
        let side = random.usize(1..80);
        let density = random.f64();
        let classes: Vec<u8> = (0..side * side)
            .map(|_| {
                if random.f64() < density {
                    random.u8(0..5)
                } else {
                    0
                }
            })
            .collect();
        let disc: Vec<u8> = (0..side * side)
            .map(|_| u8::from(random.f64() < density))
            .collect();
        let rgb: Vec<u8> = (0..3 * side * side).map(|_| random.u8(..)).collect();
        let wild = |random: &mut fastrand::Rng| match random.u8(0..6) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -1e300,
            _ => random.f64() * 2.0 * side as f64 - 0.5 * side as f64,
        };
        let mut point = || Point::new(wild(&mut random), wild(&mut random));
        let (fovea, line) = (point(), [point(), point()]);
        let bounds = Bounds {
            size: (side, side),
            center: point(),
            radius: point().x,
            top: Some(line),
            left: Some([point(), point()]),
            ..Bounds::default()
        };
        let field_of_view = match random.u8(0..3) {
            0 => bounds.in_crop(side),
            1 => FieldOfView {
                top: random.usize(..),
                bottom: 0,
                left: 3,
                right: random.usize(..),
            },
            _ => FieldOfView::circle(side),
        };
        let eye = Eye {
            side,
            arteries_veins: &classes,
            vessels: Some(&classes).filter(|_| random.bool()).map(Vec::as_slice),
            disc: Some(&disc).filter(|_| random.bool()).map(Vec::as_slice),
            rgb: Some(&rgb).filter(|_| random.bool()).map(Vec::as_slice),
            fovea: Some(fovea).filter(|_| random.bool()),
            field_of_view,
            mm_per_pixel: Some(0.02).filter(|_| random.bool()),
        };
        for set in SETS {
            let analysis = Analysis::new(&eye, set.rules()).unwrap();
            for measured in analysis.measure(set) {
                assert!(measured.value.is_err() || measured.value.is_ok_and(f64::is_finite));
            }
            for layer in [LayerName::Arteries, LayerName::Veins, LayerName::Vessels] {
                let _ = (
                    analysis.segment_table(layer),
                    analysis.bifurcation_table(layer),
                );
            }
        }
    }
}
