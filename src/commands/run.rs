//! `vascx run`: photographs to a table of biomarkers and a report.

use std::sync::OnceLock;

use vascx::inference::{Models, Role};
use vascx::pipeline::{Exclusions, Step, WholeJob, WholeSummary};

use super::run_models::prepare;
use super::{Done, Result, calc_biomarkers, print_result};
use crate::arguments::RunArguments;
use crate::report::Reporter;
use crate::terminal::{self, Kind, escaped, tell};

pub(crate) fn run(arguments: &RunArguments) -> Result {
    // Before the long part.
    let exclude = arguments.exclude.as_ref();
    let exclude = exclude.map(Exclusions::read).transpose()?;
    let (mut job, models, reporter) = prepare(&arguments.cohort, false)?;
    job.keep.extend(arguments.exclude.clone());
    let mut job = WholeJob::new(job);
    job.set = arguments.feature_set;
    job.exclude = exclude.unwrap_or_default();
    job.exclude_quality.clone_from(&arguments.exclude_quality);
    let on_gpu = arguments.cohort.computing.device.first().is_gpu();
    whole(&job, &models, &reporter, on_gpu)
}

/// Runs a whole job and says how it went.
pub(super) fn whole(job: &WholeJob, models: &Models, reporter: &Reporter, on_gpu: bool) -> Result {
    let quiet = reporter.is_quiet();
    let eyes = OnceLock::new();
    let summary = job.run(models, |step| match step {
        Step::Photograph(outcome) => reporter.outcome(outcome),
        Step::Eyes(count) => {
            terminal::end_bar();
            drop(eyes.set(Reporter::new(count, quiet)));
        }
        Step::Eye(outcome) => {
            if let Some(reporter) = eyes.get() {
                reporter.eye(outcome);
            }
        }
        _ => {}
    })?;
    let WholeSummary {
        photographs,
        biomarkers,
        no_biomarkers,
        report,
        times,
        ..
    } = &summary;
    let out = &job.photographs.out;
    reporter.finish(photographs, out, on_gpu);
    reporter.stages(photographs, models.roles().map(Role::name).collect());
    if let Some(reason) = no_biomarkers {
        tell(Kind::Warning, format_args!("no biomarkers: {reason}"));
    }
    if let Some(measured) = biomarkers.filter(|_| !quiet) {
        calc_biomarkers::tell(&job.biomarkers_folder(), measured);
    }
    if let Some(report) = report.as_ref().filter(|_| !quiet) {
        let page = out.join("report.html");
        print_result(format_args!(
            "{} photographs, {} to look at; open {}",
            report.photographs,
            report.flagged,
            escaped(&page.to_string_lossy())
        ));
        let [models, biomarkers, report] = times.map(|time| time.as_secs_f64());
        print_result(format_args!(
            "{models:.1} s for the models, {biomarkers:.1} s for the biomarkers, {report:.1} s for the report"
        ));
    }
    let all = Done::from(photographs);
    // Biomarkers that nobody asked for are not missing; those of a job that was stopped are.
    let measured = biomarkers.map_or(no_biomarkers.is_some(), |measured| {
        measured.failed + measured.not_begun == 0
    });
    Ok(match all {
        Done::All if !measured => Done::Some,
        all => all,
    })
}
