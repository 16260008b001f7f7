//! What explains a table: data_dictionary.csv, README.md, report.json.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vascx_biomarkers::{FeatureSet, Naming};
use vascx_inference::{Durability, write_whole};

use crate::biomarkers::cohort::CohortEye;
use crate::biomarkers::job::BiomarkerJob;
use crate::biomarkers::output::write_table;
use crate::error::{Error, Result};

/// Layout of a mapping of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// CSV: `variable,display_name,description`.
    Table,
    /// One JSON object, display names by variable.
    Json,
}

/// The pictures of each variable: what they show, and their paths in the report.
pub(crate) type PlotPaths = BTreeMap<String, Vec<(String, String)>>;

/// Writes names and descriptions of a set's variables.
///
/// # Errors
/// The file cannot be written.
pub fn write_mapping(path: &Path, set: FeatureSet, naming: Naming, mapping: Mapping) -> Result<()> {
    make_folder(path)?;
    let variables = set.variables(naming);
    match mapping {
        Mapping::Table => {
            let header = ["variable", "display_name", "description"];
            write_table(path, &header, |table| {
                let mut rows = variables.iter();
                rows.try_for_each(|v| {
                    table.write_record([&v.name, &v.display_name, &v.description])
                })
            })
        }
        Mapping::Json => {
            let names = variables.into_iter().map(|v| (v.name, v.display_name));
            write_json(path, &InOrder(names.collect()))
        }
    }
}

/// Writes a page on the biomarkers of a set.
///
/// # Errors
/// The file cannot be written.
pub fn write_readme(path: &Path, set: FeatureSet, naming: Naming) -> Result<()> {
    make_folder(path)?;
    write_page(path, &page(set, naming, None, &PlotPaths::new()))
}

/// Writes README.md and report.json of a job.
pub(crate) fn write_report(
    job: &BiomarkerJob,
    rows: usize,
    pictured: &[&CohortEye],
    plots: &PlotPaths,
) -> Result<()> {
    let ids: Vec<&str> = pictured.iter().map(|eye| eye.id.as_str()).collect();
    let page = page(job.set, job.naming, Some((job, rows, &ids)), plots);
    write_page(&job.report.join("README.md"), &page)?;
    let pictures: std::collections::BTreeSet<_> =
        plots.values().flatten().map(|plot| &plot.1).collect();
    let created = OffsetDateTime::now_utc().format(&Rfc3339);
    let created = created.unwrap_or_default();
    let mut report = json!({
        "schema_version": 1,
        "created_utc": created.replace('Z', "+00:00"),
        "vascx_version": env!("CARGO_PKG_VERSION"),
        "feature_set": job.set.name(),
        "feature_set_description": description(job.set),
        "naming": job.naming.name(),
        "dataset": { "image_count": rows, "report_sample_ids": ids },
        "biomarker_count": job.set.variables(job.naming).len(),
        "plot_count": pictures.len(),
        "files": {
            "biomarkers": "biomarkers.csv",
            "data_dictionary": "data_dictionary.csv",
            "readme": "README.md",
            "plots": "plots",
            "sheets": "sheets",
            "manifest": "manifest.csv",
            "reasons": "reasons.csv",
        },
    });
    for (table, wanted) in [
        ("segments", job.extras.segments),
        ("bifurcations", job.extras.bifurcations),
    ] {
        if wanted {
            report["files"][table] = format!("{table}.csv").into();
        }
    }
    write_json(&job.report.join("report.json"), &report)
}

/// What a set is for.
fn description(set: FeatureSet) -> &'static str {
    match set {
        FeatureSet::FullV3 => {
            "Recommended set of the reference for photographs that show disc and macula."
        }
        FeatureSet::FullV2 => "Forerunner of full_v3.",
        FeatureSet::Full => "First set of the reference.",
        FeatureSet::Bergmann => {
            "Vessel phenotypes that were studied genetically by Ortín Vela et al. (2024)."
        }
        FeatureSet::Sparsity => "Distance to the nearest vessel in several fields.",
        FeatureSet::MaculaCentered => "For photographs centred on the macula.",
        FeatureSet::MaculaCenteredRs => {
            "For photographs centred on the macula, in a smaller field."
        }
        FeatureSet::OdCentered => "For photographs centred on the optic disc.",
        FeatureSet::OdCenteredRs => {
            "For photographs centred on the optic disc, without the bands at the rim."
        }
        FeatureSet::OdCenteredNarrow => "For narrow photographs of the optic disc; needs no fovea.",
        FeatureSet::OdCenteredNarrowRs => "For narrow photographs of the optic disc.",
        FeatureSet::VascxRs => "Corrected definitions with units, counts and reasons.",
    }
}

fn page(
    set: FeatureSet,
    naming: Naming,
    report: Option<(&BiomarkerJob, usize, &[&str])>,
    plots: &PlotPaths,
) -> String {
    let variables = set.variables(naming);
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(text);
        page.push('\n');
    };
    line(&format!("# Biomarkers: `{}`\n", set.name()));
    line(description(set));
    line("");
    line(&format!("- Feature set: `{}`", set.name()));
    line(&format!("- Naming: `{}`", naming.name()));
    line(&format!("- Biomarkers: {}", variables.len()));
    if let Some((job, rows, ids)) = report {
        line(&format!("- Photographs: {rows}"));
        line(concat!("- Program: vascx-rs ", env!("CARGO_PKG_VERSION")));
        line("\n## Files\n");
        line(
            "- `biomarkers.csv`: a row per photograph, a column per biomarker; an empty cell is undefined.",
        );
        line("- `reasons.csv`: why cells are empty.");
        line("- `manifest.csv`: what became of each photograph.");
        line("- `data_dictionary.csv`: names and descriptions of the columns.");
        if job.extras.segments {
            line("- `segments.csv`: a row per vessel segment.");
        }
        if job.extras.bifurcations {
            line("- `bifurcations.csv`: a row per bifurcation.");
        }
        if !plots.is_empty() {
            line("- `plots/`: pictures of some biomarkers in the photographs below, a row each.");
        }
        if !ids.is_empty() {
            line("- `sheets/`: a picture of all stages per photograph:");
            for id in ids {
                line(&format!("  - [{}](<sheets/{id}.png>)", cell(id)));
            }
        }
    }
    line("\n## Columns\n");
    line("| variable | name | unit | description | pictures |");
    line("|---|---|---|---|---|");
    for variable in &variables {
        let mut links = String::new();
        for (label, path) in plots.get(&variable.name).into_iter().flatten() {
            let comma = if links.is_empty() { "" } else { ", " };
            let _ = write!(links, "{comma}[{}]({path})", cell(label));
        }
        line(&format!(
            "| `{}` | {} | {} | {} | {links} |",
            cell(&variable.name),
            cell(&variable.display_name),
            cell(variable.unit),
            cell(&variable.description),
        ));
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn write_page(path: &Path, page: &str) -> Result<()> {
    write_whole(path, Durability::Full, |file| {
        file.write_all(page.as_bytes())
    })?;
    Ok(())
}

/// An object whose keys keep their order.
struct InOrder(Vec<(String, String)>);

impl Serialize for InOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_whole(path, Durability::Full, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        writeln!(file)
    })?;
    Ok(())
}

fn make_folder(path: &Path) -> Result<()> {
    // The parent of a bare name is the empty path, which is there.
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|error| Error::output(folder, error))
}
