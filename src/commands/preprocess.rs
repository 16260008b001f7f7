//! `vascx preprocess`: photographs → squares, local contrast, bounds.

use vascx::inference::{Inputs, PreprocessJob};

use super::{Result, interrupt};
use crate::arguments::PreprocessArguments;
use crate::report::Reporter;

pub(crate) fn run(arguments: &PreprocessArguments) -> Result {
    let inputs = Inputs::resolve(&arguments.inputs, arguments.photographs.recursive)?;
    let job = PreprocessJob {
        inputs: inputs.photographs,
        out: arguments.out.clone(),
        mode: arguments.mode.into(),
        size: arguments.size,
        limits: arguments.photographs.limits(),
    };
    let reporter = Reporter::new(job.inputs.len(), arguments.quiet);
    reporter.left_out(&inputs.left_out);
    let summary = job.run(interrupt()?, |outcome| reporter.outcome(&outcome))?;
    reporter.finish(summary, &job.out, false)?;
    Ok(summary.into())
}
