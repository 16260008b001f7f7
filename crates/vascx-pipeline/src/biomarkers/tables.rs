//! The tables of a report, from the journal.

use std::collections::BTreeMap;

use vascx_biomarkers::Variable;

use crate::biomarkers::cohort::Cohort;
use crate::biomarkers::job::BiomarkerJob;
use crate::biomarkers::journal::{Journal, Record};
use crate::biomarkers::measure::{BIFURCATION_COLUMNS, SEGMENT_COLUMNS};
use crate::biomarkers::output::write_table;
use crate::error::Result;

/// What of the job is worth a warning, and how often it happened.
pub(crate) type Counts = BTreeMap<String, usize>;

/// Writes biomarkers.csv, reasons.csv, manifest.csv and, if asked for, segments.csv and
/// bifurcations.csv, reading the journal once for each.
pub(crate) fn write(
    job: &BiomarkerJob,
    cohort: &Cohort,
    journal: &Journal,
    variables: &[Variable],
) -> Result<Counts> {
    let file = |name: &str| job.report.join(name);
    let each = |row: &mut dyn FnMut(Record) -> csv::Result<()>| {
        journal.read(cohort.eyes.iter().map(|eye| eye.id.as_str()), row)
    };
    let names = variables.iter().map(|variable| variable.name.as_str());
    let header: Vec<&str> = std::iter::once("id").chain(names).collect();
    write_table(&file("biomarkers.csv"), &header, |table| {
        each(&mut |record| {
            table.write_field(&record.id)?;
            // An eye that could not be measured has a row without values.
            let values = (0..variables.len()).map(|index| record.values.get(index));
            table.write_record(values.map(|value| value.map_or("", String::as_str)))
        })
    })?;
    let mut counts = Counts::new();
    write_table(
        &file("reasons.csv"),
        &["id", "variable", "reason"],
        |table| {
            each(&mut |record| {
                for (index, reason) in &record.reasons {
                    let Some(variable) = variables.get(*index) else {
                        continue;
                    };
                    let variable = variable.name.as_str();
                    table.write_record([record.id.as_str(), variable, reason])?;
                    *counts
                        .entry(format!("{variable} is undefined"))
                        .or_default() += 1;
                }
                Ok(())
            })
        },
    )?;
    let header = ["id", "status", "reason", "warnings", "undefined", "seconds"];
    write_table(&file("manifest.csv"), &header, |table| {
        each(&mut |record| {
            let Record {
                id,
                failure,
                warnings,
                seconds,
                reasons,
                ..
            } = record;
            let status = if failure.is_some() { "failed" } else { "ok" };
            for warning in failure.iter().chain(&warnings) {
                *counts.entry(warning.clone()).or_default() += 1;
            }
            let undefined = reasons.len().to_string();
            let seconds = format!("{seconds:.3}");
            let failure = failure.unwrap_or_default();
            let warnings = warnings.join("; ");
            table.write_record([
                id.as_str(),
                status,
                failure.as_str(),
                warnings.as_str(),
                undefined.as_str(),
                seconds.as_str(),
            ])
        })?;
        for (id, reason) in &cohort.left_out {
            table.write_record([id, "left out", reason, "", "", ""])?;
        }
        Ok(())
    })?;
    if job.extras.segments {
        write_table(&file("segments.csv"), &SEGMENT_COLUMNS, |table| {
            each(&mut |record| {
                record
                    .segments
                    .iter()
                    .try_for_each(|row| table.write_record(row))
            })
        })?;
    }
    if job.extras.bifurcations {
        write_table(&file("bifurcations.csv"), &BIFURCATION_COLUMNS, |table| {
            each(&mut |record| {
                record
                    .bifurcations
                    .iter()
                    .try_for_each(|row| table.write_record(row))
            })
        })?;
    }
    Ok(counts)
}
