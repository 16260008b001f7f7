//! Numbers of `vascx_rs` that the reference lacks, beside those of PVBM, an independent package, on
//! drawn eyes. `tools/reference/outside.py` runs the package.

#[path = "common/palette.rs"]
mod palette;

use std::path::Path;

use vascx_biomarkers::{Analysis, Eye, FeatureSet, FieldOfView, Point};

const SIDE: usize = 1024;

/// Holes below 25 px count as vessel in ours, and what is outside the visible retina does not: of
/// `crossings` 5 %, else 1 %.
const AREA: f64 = 0.05;
/// Ours runs along smooth curves, theirs along pixels, diagonals as √2, which is up to 8 % longer, and
/// without pieces up to 10 px; and the two thin differently.
const LENGTH: f64 = 0.12;
/// Ours averages 16 positions of the boxes, theirs is the first.
const DIMENSION: f64 = 0.10;

#[test]
fn areas_lengths_and_dimensions_are_near_those_of_another_package() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut table = csv::Reader::from_path(fixtures.join("outside/shapes.csv")).unwrap();
    let names = FeatureSet::VascxRs.names(Default::default());
    let mut worst = [0.0_f64; 3];
    let mut rows = 0;
    for row in table.deserialize() {
        let (eye, layer, theirs): (String, String, [f64; 5]) = row.unwrap();
        let map = |kind: &str| {
            palette::classes(&fixtures.join(format!("eyes/{kind}/{eye}.png"))).unwrap()
        };
        let (arteries_veins, disc) = (map("artery_vein"), map("disc"));
        let eye = Eye {
            side: SIDE,
            arteries_veins: &arteries_veins,
            vessels: None,
            disc: Some(&disc),
            rgb: None,
            fovea: Some(Point::new(535.0, 610.0)),
            field_of_view: FieldOfView::circle(SIDE),
            mm_per_pixel: None,
        };
        let analysis = Analysis::new(&eye, FeatureSet::VascxRs.rules()).unwrap();
        let values = analysis.measure(FeatureSet::VascxRs);
        let ours = [
            format!("total_area_{layer}_px2"),
            format!("total_length_{layer}_px"),
            format!("fractal_d0_{layer}"),
            format!("fractal_d1_{layer}"),
            format!("fractal_d2_{layer}"),
        ]
        .map(|name| {
            let column = names.iter().position(|known| *known == name).unwrap();
            values[column].value.clone().unwrap()
        });
        eprintln!("{layer}: {ours:.4?} for {theirs:.4?}");
        let [area, length, dimensions @ ..] = [0, 1, 2, 3, 4].map(|i| {
            let difference = (ours[i] - theirs[i]).abs();
            if i < 2 {
                difference / theirs[i]
            } else {
                difference
            }
        });
        let dimension = dimensions.into_iter().fold(0.0, f64::max);
        for (worst, far) in worst.iter_mut().zip([area, length, dimension]) {
            *worst = worst.max(far);
        }
        rows += 1;
    }
    eprintln!("farthest area, length (shares) and dimension: {worst:.4?}");
    assert_eq!(rows, 16);
    assert!(worst[0] < AREA && worst[1] < LENGTH && worst[2] < DIMENSION);
}
