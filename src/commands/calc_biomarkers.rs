//! `vascx calc-biomarkers`: a folder of maps → tables of biomarkers; `write-mapping`,
//! `write-readme`: what they mean.

use std::fmt::Write;
use std::path::Path;
use std::sync::OnceLock;

use vascx::pipeline::{
    self, BiomarkerJob, BiomarkerSummary, Existing, Extras, Mapping, Outcome, Pictures,
};

use super::{Done, Failure, Result, print_result};
use crate::arguments::{CalcBiomarkersArguments, DocumentArguments, WriteMappingArguments};
use crate::report::Reporter;
use crate::signals::interrupt;
use crate::terminal::{self, Kind};

pub(crate) fn run(arguments: &CalcBiomarkersArguments) -> Result {
    if !arguments.input.is_dir() {
        return Err(Failure::file(&arguments.input, "no such folder"));
    }
    if !arguments.quiet && !arguments.input.join("vessels").is_dir() {
        let input = terminal::escaped(&arguments.input.to_string_lossy());
        let text = "has no vessels/; biomarkers that need a vessel map stay empty (reasons.csv)";
        terminal::tell(Kind::Note, format_args!("{input} {text}"));
    }
    let pictures = if arguments.report_images.is_empty() {
        Pictures::First(arguments.report_samples)
    } else {
        Pictures::Of(arguments.report_images.clone())
    };
    let mut job = BiomarkerJob::new(&arguments.input, &arguments.report, arguments.feature_set);
    job.naming = arguments.naming;
    job.threads = arguments.n_jobs;
    job.sample = arguments.sample;
    job.scale = arguments.mm_per_pixel.clone().unwrap_or_default();
    job.extras = Extras {
        segments: arguments.segments,
        bifurcations: arguments.bifurcations,
        report: (arguments.with_report || !arguments.no_report).then_some(pictures),
    };
    job.log.clone_from(&arguments.logfile);
    job.existing = match (arguments.overwrite, arguments.resume) {
        (true, _) => Existing::Overwrite,
        (false, true) => Existing::Resume,
        (false, false) => Existing::Refuse,
    };
    let reporter = OnceLock::new();
    let begin = |eyes| drop(reporter.set(Reporter::new(eyes, arguments.quiet)));
    let each = |outcome: Outcome| {
        if let Some(reporter) = reporter.get() {
            reporter.eye(&outcome);
        }
    };
    let summary = job
        .run(&interrupt()?, begin, each)
        .map_err(Failure::Biomarkers)?;
    terminal::end_bar();
    terminal::flush();
    if !arguments.quiet {
        tell(&job.report, summary);
    }
    Ok(if summary.failed + summary.not_begun == 0 {
        Done::All
    } else if summary.measured == 0 && summary.not_begun == 0 {
        Done::Nothing
    } else {
        Done::Some
    })
}

/// Says what became of the eyes of a folder of tables.
pub(super) fn tell(report: &Path, summary: BiomarkerSummary) {
    let BiomarkerSummary {
        measured,
        failed,
        resumed,
        left_out,
        not_begun,
    } = summary;
    let mut line = format!("{measured} measured, {failed} failed");
    for (count, what) in [
        (resumed, "of them by an earlier run"),
        (left_out, "left out (see manifest.csv)"),
        (not_begun, "not begun (--resume goes on)"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {count} {what}");
        }
    }
    let table = report.join("biomarkers.csv");
    let table = terminal::escaped(&table.to_string_lossy());
    print_result(format_args!("{line}; {table}"));
}

pub(crate) fn write_mapping(arguments: &WriteMappingArguments) -> Result {
    let document = &arguments.document;
    check_new(document)?;
    let mapping = if arguments.json {
        Mapping::Json
    } else {
        Mapping::Table
    };
    let (set, naming) = (document.feature_set, document.naming);
    pipeline::write_mapping(&document.output, set, naming, mapping).map_err(Failure::Biomarkers)?;
    Ok(Done::All)
}

pub(crate) fn write_readme(document: &DocumentArguments) -> Result {
    check_new(document)?;
    let (set, naming) = (document.feature_set, document.naming);
    pipeline::write_readme(&document.output, set, naming).map_err(Failure::Biomarkers)?;
    Ok(Done::All)
}

fn check_new(document: &DocumentArguments) -> Result<()> {
    let output = &document.output;
    if document.overwrite || output.symlink_metadata().is_err() {
        return Ok(());
    }
    let reason = "it exists; name another file, or --overwrite to replace it";
    Err(Failure::file(output, reason))
}
