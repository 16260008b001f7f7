//! Every value of the reference's sets, compared with the reference package's tables.

mod common;

use vascx_biomarkers::{Analysis, FeatureSet, Naming, Rules};

/// The same formulas in the same precision; the rest is the order of sums, and, of sharpness, the
/// optimiser's own tolerance of 1e-8.
const TOLERANCE: f64 = 1e-6;
#[test]
fn values_equal_the_references() {
    let Some(folder) = common::fundus() else {
        return;
    };
    let mut wrong = Vec::new();
    let mut compared = 0;
    let mut worst: [(f64, String); 2] = Default::default();
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
                let far = match (&found.value, expected) {
                    (Ok(found), Some(expected)) => {
                        let far = (found - expected).abs() / expected.abs();
                        let worst = &mut worst[usize::from(variable.starts_with("sharpness"))];
                        if far > worst.0 {
                            *worst = (far, format!("{name} {set} {variable}"));
                        }
                        far > TOLERANCE
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
    eprintln!("{compared} values, the farthest, and the farthest sharpness: {worst:?}");
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
