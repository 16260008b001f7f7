//! Names of the reference's sets, compared with lists that the reference package printed.

use std::path::Path;

use vascx_biomarkers::{FeatureSet, Naming};

#[test]
fn names_equal_the_references() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eyes/reference");
    for set in FeatureSet::ALL
        .into_iter()
        .filter(|set| *set != FeatureSet::VascxRs)
    {
        let mut table = csv::Reader::from_path(folder.join(format!("names_{set}.csv"))).unwrap();
        let rows: Vec<[String; 4]> = table.deserialize().collect::<Result<_, _>>().unwrap();
        let resolved = set.variables(Naming::Resolved);
        let canonical = set.variables(Naming::Canonical);
        assert_eq!(resolved.len(), rows.len(), "{set}");
        let ours = resolved
            .into_iter()
            .zip(canonical)
            .map(|(short, long)| [short.name, long.name, short.display_name, long.display_name]);
        let wrong: Vec<_> = ours.zip(rows).filter(|(ours, row)| ours != row).collect();
        assert!(wrong.is_empty(), "{set}: {wrong:#?}");
    }
}

#[test]
fn names_are_unique_and_described() {
    for set in FeatureSet::ALL {
        for naming in [Naming::Resolved, Naming::Canonical] {
            let variables = set.variables(naming);
            let mut names: Vec<_> = variables.iter().map(|variable| &variable.name).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), variables.len(), "{set}");
            assert!(
                variables
                    .iter()
                    .all(|variable| variable.description.ends_with('.'))
            );
            assert!(variables.is_empty() || variables.iter().any(|variable| variable.pictured));
        }
        assert_eq!(set.name().parse(), Ok(set));
    }
    assert!(
        "full_v9"
            .parse::<FeatureSet>()
            .unwrap_err()
            .to_string()
            .contains("full_v3")
    );
}
