//! One eye, from files to a record of the journal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use vascx_biomarkers::{Analysis, BifurcationRow, FeatureSet, Kind, LayerName, SegmentRow};

use crate::biomarkers::cohort::{Cohort, CohortEye};
use crate::biomarkers::eye_files::EyeFiles;
use crate::biomarkers::job::BiomarkerJob;
use crate::biomarkers::journal::Record;
use crate::biomarkers::output::number;

/// Columns of segments.csv.
pub(crate) const SEGMENT_COLUMNS: [&str; 20] = [
    "id",
    "layer",
    "segment",
    "tree",
    "order",
    "closes_loop",
    "start_x",
    "start_y",
    "end_x",
    "end_y",
    "centre_x",
    "centre_y",
    "length_px",
    "chord_px",
    "tortuosity",
    "mean_curvature_per_px",
    "diameters",
    "median_diameter_px",
    "mean_diameter_px",
    "diameter_deviation_px",
];

/// Columns of bifurcations.csv.
pub(crate) const BIFURCATION_COLUMNS: [&str; 13] = [
    "id",
    "layer",
    "bifurcation",
    "tree",
    "x",
    "y",
    "parent_segment",
    "child_segments",
    "parent_diameter_px",
    "child_diameters_px",
    "angle_deg",
    "branching_coefficient",
    "branching_exponent",
];

/// Whether a set measures anything on the photograph itself.
fn needs_photograph(set: FeatureSet) -> bool {
    let photographic = |kind| matches!(kind, Kind::Laplacian | Kind::Sharpness | Kind::Luminance);
    set.biomarkers()
        .iter()
        .any(|biomarker| photographic(biomarker.kind))
}

/// Measures an eye; what goes wrong stands in the record.
pub(crate) fn measure(cohort: &Cohort, eye: &CohortEye, job: &BiomarkerJob) -> Record {
    let started = Instant::now();
    let mut record = Record {
        id: eye.id.clone(),
        ..Record::default()
    };
    // A fault of ours costs this eye, not the cohort.
    let filled = catch_unwind(AssertUnwindSafe(|| fill(&mut record, cohort, eye, job)));
    match filled {
        Ok(filled) => record.failure = filled.err(),
        Err(_) => {
            record = Record {
                id: eye.id.clone(),
                failure: Some("the program failed on it; please report this with its maps".into()),
                ..Record::default()
            };
        }
    }
    record.maps = cohort.stamp(eye);
    record.seconds = started.elapsed().as_secs_f64();
    record
}

fn fill(
    record: &mut Record,
    cohort: &Cohort,
    eye: &CohortEye,
    job: &BiomarkerJob,
) -> Result<(), String> {
    let files = EyeFiles::read(cohort, eye, needs_photograph(job.set))?;
    record.warnings.clone_from(&files.warnings);
    let maps = files.eye(eye);
    let analysis = Analysis::new(&maps, job.set.rules()).map_err(|error| error.to_string())?;
    for (index, measurement) in analysis.measure(job.set).into_iter().enumerate() {
        record.values.push(match measurement.value {
            Ok(value) => number(value),
            Err(reason) => {
                record.reasons.push((index, reason.to_string()));
                String::new()
            }
        });
    }
    for name in [LayerName::Arteries, LayerName::Veins] {
        // A layer that cannot be measured has its reasons in reasons.csv.
        if job.extras.segments {
            let rows = analysis.segment_table(name).unwrap_or_default();
            let rows = rows.iter().map(|row| segment_cells(&eye.id, name, row));
            record.segments.extend(rows);
        }
        if job.extras.bifurcations {
            let rows = analysis.bifurcation_table(name).unwrap_or_default();
            let rows = rows.iter().enumerate();
            let rows = rows.map(|(index, row)| bifurcation_cells(&eye.id, name, index, row));
            record.bifurcations.extend(rows);
        }
    }
    Ok(())
}

fn segment_cells(id: &str, name: LayerName, row: &SegmentRow) -> Vec<String> {
    let mut cells = vec![
        id.to_owned(),
        name.name().to_owned(),
        row.segment.to_string(),
        row.tree.to_string(),
        row.order.to_string(),
        row.closes_loop.to_string(),
    ];
    let lengths = [
        row.start.x,
        row.start.y,
        row.end.x,
        row.end.y,
        row.center.x,
        row.center.y,
        row.length,
        row.chord,
        row.distance_tortuosity,
        row.mean_curvature,
    ];
    cells.extend(lengths.map(number));
    cells.push(row.diameters.to_string());
    let diameters = [
        row.median_diameter,
        row.mean_diameter,
        row.diameter_deviation,
    ];
    cells.extend(diameters.map(number));
    cells
}

fn bifurcation_cells(id: &str, name: LayerName, index: usize, row: &BifurcationRow) -> Vec<String> {
    let children = row.children.iter().map(ToString::to_string);
    let diameters = row.child_diameters.iter().copied().map(number);
    vec![
        id.to_owned(),
        name.name().to_owned(),
        index.to_string(),
        row.tree.to_string(),
        number(row.position.x),
        number(row.position.y),
        row.parent.to_string(),
        children.collect::<Vec<_>>().join(" "),
        number(row.parent_diameter),
        diameters.collect::<Vec<_>>().join(" "),
        number(row.degrees),
        number(row.branching_coefficient),
        number(row.branching_exponent),
    ]
}
