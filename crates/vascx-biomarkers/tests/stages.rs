//! Every stage between maps and biomarkers, compared with what the reference package has there.

mod common;

use std::path::Path;
use std::rc::Rc;

use serde_json::Value;
use vascx_biomarkers::{Analysis, Layer, LayerName, Point, Rules, Segment};

/// Sums of some hundred rounded terms, and iterations that end where the reference's end.
const TOLERANCE: f64 = 1e-8;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn point(value: &Value) -> Point {
    Point::new(number(&value[0]), number(&value[1]))
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
        || found.is_nan() && expected.is_nan()
}

fn same(what: &str, found: f64, expected: f64) {
    assert!(
        close(found, expected),
        "{what}: {found} instead of {expected}"
    );
}

#[test]
fn stages_equal_the_references() {
    let Some(folder) = common::fundus() else {
        return;
    };
    for name in common::NAMES {
        let photograph = common::Photograph::open(&folder, name);
        let eye = photograph.eye();
        let analysis = Analysis::new(&eye, Rules::Reference).unwrap();
        let text =
            std::fs::read_to_string(folder.join(format!("biomarkers/intermediate_{name}.json")));
        let expected: Value = serde_json::from_str(&text.unwrap()).unwrap();
        landmarks(&analysis, &expected);
        let file = |what: &str| folder.join(format!("biomarkers/{what}_{name}.png"));
        pixels("region", analysis.region(), &file("roi"));
        for (layer, key) in [
            (LayerName::Arteries, "arteries"),
            (LayerName::Veins, "veins"),
            (LayerName::Vessels, "vessels"),
        ] {
            let found = analysis.layer(layer).unwrap();
            pixels(key, found.skeleton(), &file(&format!("skeleton_{key}")));
            let expected = &expected["layers"][key];
            assert_eq!(
                found.mask().count(),
                number(&expected["mask_pixels"]) as usize
            );
            assert_eq!(
                found.filled().count(),
                number(&expected["binary_pixels"]) as usize
            );
            if layer != LayerName::Vessels {
                trees(found, expected);
            }
            segments(
                &format!("{name} {key}"),
                found,
                found.segments(),
                &expected["segments"],
            );
            if layer != LayerName::Vessels {
                let what = format!("{name} {key}, whole vessels");
                segments(&what, found, found.vessels(), &expected["resolved"]);
            }
        }
    }
}

fn landmarks(analysis: &Analysis, expected: &Value) {
    let landmarks = analysis.landmarks().unwrap();
    let (disc, fovea) = (&landmarks.disc, landmarks.fovea.clone().unwrap());
    assert_eq!(
        disc.mask.count(),
        number(&expected["disc"]["pixels"]) as usize
    );
    let center = point(&expected["disc"]["center_of_mass_yx"]);
    same("disc", disc.center.y, center.y);
    same("disc", disc.center.x, center.x);
    assert_eq!(
        disc.circle_center,
        point(&expected["disc"]["circle_center_yx"])
    );
    same(
        "radius",
        disc.radius,
        number(&expected["disc"]["circle_radius"]),
    );
    // Sums of single precision there; it is only compared with 15 and 25 pixels.
    let margin = number(&expected["disc"]["distance_to_visible_bounds"]);
    assert!(
        (disc.margin - margin).abs() < 1e-3,
        "margin {} instead of {margin}",
        disc.margin
    );
    same(
        "distance",
        fovea.distance,
        number(&expected["disc_fovea_distance"]),
    );
}

fn pixels(what: &str, found: &vascx_biomarkers::Mask, path: &Path) {
    let expected = common::grey(path);
    let differing = found
        .pixels()
        .iter()
        .zip(&expected)
        .filter(|(found, expected)| (**found > 0) != (**expected > 0))
        .count();
    assert_eq!(differing, 0, "{what}: pixels unlike {}", path.display());
}

fn trees(layer: &Layer, expected: &Value) {
    let roots: Vec<Point> = layer
        .roots()
        .iter()
        .map(|&root| layer.nodes()[root].position)
        .collect();
    let expected_roots: Vec<Point> = expected["roots"]
        .as_array()
        .unwrap()
        .iter()
        .map(point)
        .collect();
    assert_eq!(roots, expected_roots);
    let bifurcations: Vec<Point> = layer.bifurcations().map(|node| node.position).collect();
    let expected: Vec<Point> = expected["bifurcations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| point(&b["yx"]))
        .collect();
    assert_eq!(bifurcations, expected);
}

fn segments(what: &str, layer: &Layer, found: &[Rc<Segment>], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    // The reference lists whole vessels by the nodes they begin at.
    let key =
        |start: Point, end: Point, count: usize| [start.y, start.x, end.y, end.x, count as f64];
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by(|a, b| {
        let [a, b] = [a, b].map(|s| key(s.start(), s.end(), s.points().len()));
        a.partial_cmp(&b).unwrap()
    });
    let mut expected: Vec<_> = expected.iter().collect();
    expected.sort_by(|a, b| {
        let [a, b] = [a, b].map(|s| {
            key(
                point(&s["start"]),
                point(&s["end"]),
                number(&s["n"]) as usize,
            )
        });
        a.partial_cmp(&b).unwrap()
    });
    let mut wrong = Vec::new();
    for (index, (segment, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(
            segment.points().len(),
            number(&expected["n"]) as usize,
            "{what} {index}"
        );
        assert_eq!(segment.start(), point(&expected["start"]), "{what} {index}");
        assert_eq!(segment.end(), point(&expected["end"]), "{what} {index}");
        let mut pairs = vec![
            ("length", segment.length(), number(&expected["length"])),
            ("chord", segment.chord(), number(&expected["chord"])),
        ];
        if let Some(curve) = segment.curve() {
            let (middle, wanted) = (curve.position(0.5), point(&expected["mid_yx"]));
            // A constant coordinate is interpolated there with many knots, here with none.
            let points = segment.points();
            if points.iter().any(|point| point.x != points[0].x) {
                pairs.push((
                    "knots of x",
                    curve.x.knots() as f64,
                    number(&expected["knots_x"]),
                ));
            }
            if points.iter().any(|point| point.y != points[0].y) {
                pairs.push((
                    "knots of y",
                    curve.y.knots() as f64,
                    number(&expected["knots_y"]),
                ));
            }
            pairs.extend([
                ("spline", curve.length, number(&expected["spline_length"])),
                ("middle", middle.y, wanted.y),
                ("middle", middle.x, wanted.x),
                (
                    "curvature",
                    curve.mean_curvature(),
                    number(&expected["mean_curvature"]),
                ),
            ]);
        }
        // In a vessel of one pixel along an axis a width of 1 or 2 hangs on the last bit of a
        // derivative.
        let points = segment.points();
        let along_axis = points.iter().all(|point| point.x == points[0].x)
            || points.iter().all(|point| point.y == points[0].y);
        if !along_axis {
            let calibre = layer.calibre(segment);
            // Where widths of pixel rows stand in, the reference lists the rays before that.
            if !calibre.strokes.is_empty() {
                let count = calibre.diameters.len() as f64;
                pairs.push(("diameters", count, number(&expected["n_diam"])));
            }
            let (median, mean) = (calibre.median(), calibre.mean());
            pairs.push(("median", median, number(&expected["median_diameter"])));
            pairs.push(("mean", mean, number(&expected["mean_diameter"])));
        }
        for (part, found, expected) in pairs {
            if !close(found, expected) {
                wrong.push(format!(
                    "{what}, segment {index} of {} points, {part}: {found} instead of {expected}",
                    segment.points().len()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
