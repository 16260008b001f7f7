//! `vascx predict`: the main job.

use vascx::convert::Model;
use vascx::inference::{AnyEnsemble, Job, Outcome, PredictOptions};

use super::names::{self, Named};
use super::pull::locate;
use super::{BUILD, Result, keep_kernels, model_files, warnings};
use crate::arguments::PredictArguments;
use crate::report::Reporter;
use crate::signals::interrupt;

pub(crate) fn run(arguments: &PredictArguments) -> Result {
    let Named { inputs, files } = names::resolve(&arguments.photographs)?;
    let model = locate(&arguments.model)?;
    let computing = &arguments.computing;
    let mut options = PredictOptions::default();
    options.batch_size = computing.batch_size;
    options.window_batch_size = arguments.window_batch_size;
    options.tta = arguments.tta;
    options.preprocess = arguments.preprocess;
    options.keep_maps = arguments.save_probabilities;
    options.limits = arguments.photographs.limits();
    options.keypoints = arguments.keypoints;
    options.warnings = warnings();
    let mut job = Job {
        inputs: inputs.photographs,
        left_out: inputs.left_out,
        out: arguments.out.clone(),
        options,
        overlay: arguments.overlay,
        existing: arguments.output.existing(),
        durability: arguments.output.durability,
        memory: arguments.output.memory,
        keep: [files, model_files(&model)].concat(),
        build: BUILD.to_owned(),
    };
    let device = computing.device.first();
    keep_kernels(&computing.kernels, device)?;
    let reporter = Reporter::new(job.inputs.len(), arguments.verbosity.quiet)
        .verbose(arguments.verbosity.verbose);
    let model = Model::open(model)?;
    reporter.left_out(&job.left_out);
    for note in model.notes().iter().chain(&model.manifest().notice) {
        reporter.note(note);
    }
    let each = |outcome: Outcome| reporter.outcome(&outcome);
    let ensemble = AnyEnsemble::load(&model, computing.device.clone())?;
    let ensemble = ensemble.with_precision(computing.dtype.on(device))?;
    // Until here ^C ends the program.
    job.options.cancel = interrupt()?;
    let summary = job.run(&ensemble, each)?;
    reporter.finish(&summary, &job.out, device.is_gpu());
    Ok((&summary).into())
}
