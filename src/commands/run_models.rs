//! `vascx run-models`: photographs through all models, into the folder that retinalysis-vascx writes.

use vascx::inference::{CohortJob, InputOptions, Inputs, Models, Role};
use vascx::pipeline::ModelCache;

use super::pull::fetched;
use super::{BUILD, Failure, Result, keep_kernels, model_files, warnings};
use crate::arguments::{CohortArguments, RunModelsArguments};
use crate::report::Reporter;
use crate::signals::interrupt;

pub(crate) fn run(arguments: &RunModelsArguments) -> Result {
    let (job, models, reporter) = prepare(&arguments.cohort, arguments.crops.are_there())?;
    let summary = job.run(&models, |outcome| reporter.outcome(&outcome))?;
    let on_gpu = arguments.cohort.computing.device.first().is_gpu();
    reporter.finish(&summary, &job.out, on_gpu);
    reporter.stages(&summary, models.roles().map(Role::name).collect());
    Ok((&summary).into())
}

/// Finds photographs and models and loads the latter.
pub(super) fn prepare(
    arguments: &CohortArguments,
    crops: bool,
) -> Result<(CohortJob, Models, Reporter)> {
    let mut job = arguments.job();
    BUILD.clone_into(&mut job.build);
    job.warnings = warnings();
    let data = std::slice::from_ref(&arguments.data);
    let mut inputs = if crops {
        if !arguments.data.exists() {
            return Err(Failure::file(&arguments.data, "no such file or folder"));
        }
        let folder = arguments.out.join("preprocessed_rgb");
        job.crops = true;
        job.keeps_bounds = arguments.out.join("bounds.csv").exists();
        Inputs::resolve(&[folder], InputOptions::default())?
    } else {
        Inputs::resolve(data, arguments.inputs.options())?
    };
    if let Some(shard) = arguments.shard {
        inputs.keep_shard(shard);
        if inputs.photographs.is_empty() {
            return Err(Failure::Other(format!(
                "no photograph is in part {shard}; use fewer parts"
            )));
        }
    }
    job.inputs = inputs.photographs;
    job.left_out = inputs.left_out;

    let located = fetched(|progress| arguments.choice().locate(progress))?;
    let model_files = located.found.values().flat_map(|model| model_files(model));
    job.keep = data.iter().cloned().chain(model_files).collect();
    let (computing, verbosity) = (&arguments.computing, &arguments.verbosity);
    let device = computing.device.first();
    keep_kernels(&computing.kernels, device)?;
    let cache = ModelCache::of_user(BUILD);
    let precision = computing.dtype.on(device);
    let loaded = located.load(computing.device.clone(), precision, &cache)?;
    let reporter = Reporter::new(job.inputs.len(), verbosity.quiet).verbose(verbosity.verbose);
    reporter.left_out(&job.left_out);
    reporter.models(&loaded);
    // Until here ^C ends the program.
    job.cancel = interrupt()?;
    Ok((job, loaded.models, reporter))
}
