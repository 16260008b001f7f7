//! Every value of the reference's sets, compared with the reference package's tables.

mod common;

use vascx_biomarkers::{Analysis, FeatureSet, Naming, Rules};

/// The same formulas in the same precision; the rest is the order of sums.
const TOLERANCE: f64 = 1e-6;
/// Sharpness comes out of another optimiser.
const OPTIMISED: f64 = 1e-3;
/// Where the two optimisers end in different minima of the same profile, beside the disc, so that the
/// median of a vessel's profiles is another one; by at most 3 %.
const OTHER_MINIMA: [(&str, &str); 6] = [
    ("CHASEDB1_08L", "od_centered"),
    ("CHASEDB1_08L", "od_centered_rs"),
    ("CHASEDB1_08L", "od_centered_narrow"),
    ("CHASEDB1_08L", "od_centered_narrow_rs"),
    ("DRIVE_22", "od_centered_narrow_rs"),
    ("HRF_04_g", "od_centered_narrow"),
];

#[test]
fn values_equal_the_references() {
    let Some(folder) = common::fundus() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut compared = 0;
    let mut worst: (f64, String) = Default::default();
    for name in common::NAMES {
        let photograph = common::Photograph::open(&folder, name);
        let eye = photograph.eye();
        let analysis = Analysis::new(&eye, Rules::Reference).unwrap();
        for set in FeatureSet::ALL
            .into_iter()
            .filter(|set| *set != FeatureSet::VascxRs)
        {
            let path = folder.join(format!("biomarkers/biomarkers_{set}.csv"));
            let mut table = csv::Reader::from_path(path).unwrap();
            let header = table.headers().unwrap().clone();
            let rows: Vec<csv::StringRecord> = table.records().collect::<Result<_, _>>().unwrap();
            let row = rows.iter().find(|row| &row[0] == name).unwrap();
            let names = set.names(Naming::Resolved);
            let values = analysis.measure(set);
            assert_eq!(header.iter().skip(1).collect::<Vec<_>>(), names);
            for ((variable, found), expected) in names.iter().zip(values).zip(row.iter().skip(1)) {
                compared += 1;
                let expected: Option<f64> = expected.parse().ok();
                let tolerance = if variable.starts_with("sharpness") {
                    if OTHER_MINIMA.contains(&(name, set.name())) {
                        0.03
                    } else {
                        OPTIMISED
                    }
                } else {
                    TOLERANCE
                };
                let far = match (&found.value, expected) {
                    (Ok(found), Some(expected)) => {
                        let far = (found - expected).abs() / expected.abs();
                        if far > worst.0 && tolerance == TOLERANCE && far < 1e-3 {
                            worst = (far, variable.clone());
                        }
                        far > tolerance
                    }
                    (Err(_), None) => false,
                    _ => true,
                };
                if far {
                    wrong.push(format!(
                        "{name} {set} {variable}: {:?} for {expected:?}",
                        found.value
                    ));
                }
            }
        }
    }
    eprintln!("{compared} values, the farthest within 1e-3: {worst:?}");
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
