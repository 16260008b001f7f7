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
    let header = ["id", "variable", "reason"];
    write_table(&file("reasons.csv"), &header, |table| {
        each(&mut |record| {
            for (index, reason) in &record.reasons {
                let Some(variable) = variables.get(*index) else {
                    continue;
                };
                let variable = variable.name.as_str();
                table.write_record([record.id.as_str(), variable, reason])?;
                let undefined = format!("{variable} is undefined");
                *counts.entry(undefined).or_default() += 1;
            }
            Ok(())
        })
    })?;
    let header = ["id", "status", "reason", "warnings", "undefined", "seconds"];
    write_table(&file("manifest.csv"), &header, |table| {
        each(&mut |record| {
            let failure = &record.failure;
            let status = if failure.is_some() { "failed" } else { "ok" };
            for warning in failure.iter().chain(&record.warnings) {
                *counts.entry(warning.clone()).or_default() += 1;
            }
            let undefined = record.reasons.len().to_string();
            let seconds = format!("{:.3}", record.seconds);
            let failure = failure.as_deref().unwrap_or_default();
            let warnings = record.warnings.join("; ");
            table.write_record([&record.id, status, failure, &warnings, &undefined, &seconds])
        })?;
        for (id, reason) in &cohort.left_out {
            table.write_record([id, "left out", reason, "", "", ""])?;
        }
        Ok(())
    })?;
    let rows = |name: &str, header: &[&str], of: fn(Record) -> Vec<Vec<String>>| {
        write_table(&file(name), header, |table| {
            each(&mut |record| {
                let mut rows = of(record).into_iter();
                rows.try_for_each(|row| table.write_record(row))
            })
        })
    };
    if job.extras.segments {
        rows("segments.csv", &SEGMENT_COLUMNS, |record| record.segments)?;
    }
    if job.extras.bifurcations {
        rows("bifurcations.csv", &BIFURCATION_COLUMNS, |record| {
            record.bifurcations
        })?;
    }
    Ok(counts)
}
