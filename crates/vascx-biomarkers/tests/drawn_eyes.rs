//! Drawn eyes, compared with what the reference package measured on them. `tools/reference/
//! biomarkers.py` draws the eyes and runs the package.

#[path = "common/palette.rs"]
mod palette;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use palette::classes;
use serde_json::Value;
use vascx_biomarkers::{Analysis, Bounds, Eye, FeatureSet, Naming, Point, Rules};

const SIDE: usize = 1024;
/// The tables hold twelve digits; the rest is the order of sums.
const TOLERANCE: f64 = 1e-6;

struct Drawn {
    id: String,
    arteries_veins: Vec<u8>,
    vessels: Vec<u8>,
    disc: Vec<u8>,
    rgb: Option<Vec<u8>>,
    fovea: Option<Point>,
    bounds: Bounds,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eyes")
}

fn point(value: &Value) -> Point {
    Point::new(value[1].as_f64().unwrap(), value[0].as_f64().unwrap())
}

/// The printed dictionary, whose parentheses, quotes and NumPy's numbers JSON does not know.
fn bounds(text: &str) -> Option<Bounds> {
    let mut json = text.replace('\'', "\"");
    while let Some(start) = json.find("np.float64(") {
        let end = start + json[start..].find(')')?;
        let number = json[start + 11..end].to_owned();
        json.replace_range(start..=end, &number);
    }
    let json: Value = serde_json::from_str(&json.replace('(', "[").replace(')', "]")).ok()?;
    let line = |side: &str| {
        let ends = json["lines"].get(side)?;
        Some([point(&ends[0]), point(&ends[1])])
    };
    Some(Bounds {
        size: (
            json["hw"][0].as_u64()? as usize,
            json["hw"][1].as_u64()? as usize,
        ),
        center: point(json.get("center")?),
        radius: json["radius"].as_f64()?,
        top: line("top"),
        bottom: line("bottom"),
        left: line("left"),
        right: line("right"),
    })
}

fn rows(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut table = csv::Reader::from_path(path).unwrap();
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.unwrap();
        (
            record[0].to_owned(),
            record.iter().skip(1).map(str::to_owned).collect(),
        )
    };
    table.records().map(row).collect()
}

fn eyes() -> Vec<Drawn> {
    let folder = folder();
    let foveas = rows(&folder.join("fovea.csv"));
    let mut eyes = Vec::new();
    for (id, row) in rows(&folder.join("bounds.csv")) {
        let file = |kind: &str| folder.join(kind).join(format!("{id}.png"));
        let (Some(bounds), Some(arteries_veins)) = (bounds(&row[1]), classes(&file("artery_vein")))
        else {
            continue;
        };
        if arteries_veins.len() != SIDE * SIDE {
            continue;
        }
        let vessels = classes(&file("vessels")).unwrap_or_else(|| arteries_veins.clone());
        let disc = classes(&file("disc")).unwrap();
        let rgb = image::open(file("preprocessed_rgb"))
            .ok()
            .map(|p| p.into_rgb8().into_raw());
        // An empty cell is no number, as the reference reads it.
        let number = |text: &String| text.parse().unwrap_or(f64::NAN);
        let fovea = foveas
            .get(&id)
            .map(|fovea| Point::new(number(&fovea[1]), number(&fovea[0])));
        eyes.push(Drawn {
            id,
            arteries_veins,
            vessels,
            disc,
            rgb,
            fovea,
            bounds,
        });
    }
    eyes
}

#[test]
fn drawn_eyes_measure_as_in_the_reference() {
    let tables: Vec<_> = FeatureSet::ALL
        .into_iter()
        .map(|set| (set, folder().join(format!("reference/{set}.csv"))))
        .filter(|(_, path)| path.exists())
        .map(|(set, path)| {
            let header = csv::Reader::from_path(&path)
                .unwrap()
                .headers()
                .unwrap()
                .clone();
            let names: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
            (set, names, rows(&path))
        })
        .collect();
    assert!(
        !tables.is_empty(),
        "no tables in {}",
        folder().join("reference").display()
    );
    let (mut compared, mut measured_eyes, mut wrong) = (0, 0, Vec::new());
    for drawn in eyes() {
        let eye = Eye {
            side: SIDE,
            arteries_veins: &drawn.arteries_veins,
            vessels: Some(&drawn.vessels),
            disc: Some(&drawn.disc),
            rgb: drawn.rgb.as_deref(),
            fovea: drawn.fovea,
            field_of_view: drawn.bounds.in_crop(SIDE),
            mm_per_pixel: None,
        };
        let analysis = Analysis::new(&eye, Rules::Reference).unwrap();
        let mut present = false;
        for (set, header, rows) in &tables {
            let Some(row) = rows.get(&drawn.id) else {
                continue;
            };
            present = true;
            let values = analysis.measure(*set);
            for ((name, measured), biomarker) in set
                .names(Naming::Canonical)
                .iter()
                .zip(values)
                .zip(set.biomarkers())
            {
                let Some(column) = header.iter().position(|known| known == name) else {
                    continue;
                };
                if drawn.rgb.is_none() && biomarker.kind.needs_photograph() {
                    continue;
                }
                let expected: Option<f64> =
                    row[column].parse().ok().filter(|v: &f64| v.is_finite());
                compared += 1;
                let same = match (&measured.value, expected) {
                    (Ok(found), Some(expected)) => {
                        // Straight vessels have curvatures of rounding errors.
                        (found - expected).abs() <= TOLERANCE * expected.abs() + 1e-9
                    }
                    (Err(_), None) => true,
                    _ => false,
                };
                if same {
                    continue;
                }
                wrong.push(format!(
                    "{} {set} {name}: {:?} for {expected:?}",
                    drawn.id, measured.value
                ));
            }
        }
        measured_eyes += usize::from(present);
    }
    eprintln!("{compared} values of {measured_eyes} eyes compared");
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(measured_eyes >= 40);
}
