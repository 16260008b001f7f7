//! `vascx report`: the page on a folder of results.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vascx::pipeline::Report;

use super::{Done, Result, print};
use crate::arguments::ReportArguments;
use crate::terminal::{Kind, says_objects, tell};

pub(crate) fn run(arguments: &ReportArguments) -> Result {
    let mut report = Report::new(&arguments.folder);
    report.biomarkers.clone_from(&arguments.biomarkers);
    let target = if arguments.quiet || says_objects() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} small pictures, {eta} left")
    {
        bar.set_style(style);
    }
    let summary = report.write(|_, all| {
        bar.set_length(all as u64);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    if summary.unreadable > 0 {
        tell(
            Kind::Warning,
            format_args!(
                "pictures of {} photographs cannot be read; the report names them",
                summary.unreadable
            ),
        );
    }
    if !arguments.quiet {
        let ignored = match summary.ignored {
            0 => String::new(),
            count => format!(", {count} other files among the pictures ignored"),
        };
        print(format_args!(
            "{} photographs, {} with something to look at{ignored}; open {}",
            summary.photographs,
            summary.flagged,
            arguments.folder.join("report.html").display()
        ))?;
    }
    Ok(Done::All)
}
