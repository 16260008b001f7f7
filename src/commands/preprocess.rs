//! `vascx preprocess`: photographs → squares, local contrast, bounds.

use vascx::inference::{PreprocessJob, resolve_inputs};

use super::{Result, interrupt};
use crate::arguments::PreprocessArguments;
use crate::report::Reporter;

pub(crate) fn run(arguments: &PreprocessArguments) -> Result {
    let job = PreprocessJob {
        inputs: resolve_inputs(&arguments.inputs)?,
        out: arguments.out.clone(),
        mode: arguments.mode.into(),
        size: arguments.size,
    };
    let reporter = Reporter::new(job.inputs.len(), arguments.quiet);
    let summary = job.run(interrupt()?, |outcome| reporter.outcome(&outcome))?;
    reporter.finish(summary, &job.out, false)?;
    Ok(summary.into())
}
