//! `vascx preprocess`: photographs → squares, local contrast, bounds.

use vascx::inference::PreprocessJob;

use super::names::{self, Named};
use super::{BUILD, Result, warnings};
use crate::arguments::PreprocessArguments;
use crate::report::Reporter;
use crate::signals::interrupt;

pub(crate) fn run(arguments: &PreprocessArguments) -> Result {
    let Named { inputs, files } = names::resolve(&arguments.photographs)?;
    let job = PreprocessJob {
        inputs: inputs.photographs,
        out: arguments.out.clone(),
        mode: arguments.mode,
        size: arguments.size,
        limits: arguments.photographs.limits(),
        existing: arguments.output.existing(),
        durability: arguments.output.durability,
        memory: arguments.output.memory,
        keep: files,
        build: BUILD.to_owned(),
        cancel: interrupt()?,
        warnings: warnings(),
    };
    let reporter = Reporter::new(job.inputs.len(), arguments.verbosity.quiet)
        .verbose(arguments.verbosity.verbose);
    reporter.left_out(&inputs.left_out);
    let summary = job.run(|outcome| reporter.outcome(&outcome))?;
    reporter.finish(&summary, &job.out, false);
    Ok((&summary).into())
}
