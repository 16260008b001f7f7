//! `vascx predict`: the main job.

use vascx::convert::Model;
use vascx::inference::{AnyEnsemble, Job, Outcome, PredictOptions};

use super::names::{self, Named};
use super::pull::locate;
use super::{BUILD, Result, keep_kernels, model_files};
use crate::arguments::{PredictArguments, Switch};
use crate::report::Reporter;
use crate::signals::interrupt;

pub(crate) fn run(arguments: &PredictArguments) -> Result {
    let Named { inputs, files } = names::resolve(&arguments.photographs)?;
    let model = locate(&arguments.model)?;
    let job = Job {
        inputs: inputs.photographs,
        left_out: inputs.left_out,
        out: arguments.out.clone(),
        options: PredictOptions {
            batch_size: arguments.batch_size,
            window_batch_size: arguments.window_batch_size,
            tta: arguments.tta.map(|switch| switch == Switch::On),
            preprocess: arguments.preprocess.into(),
            keep_maps: arguments.save_probabilities,
            limits: arguments.photographs.limits(),
            keypoints: arguments.keypoints.into(),
        },
        overlay: arguments.overlay,
        existing: arguments.output.existing(),
        durability: arguments.output.durability.into(),
        memory: arguments.output.memory,
        keep: [files, model_files(&model)].concat(),
        build: BUILD.to_owned(),
    };
    keep_kernels(&arguments.kernels, arguments.device.first())?;
    let reporter = Reporter::new(job.inputs.len(), arguments.quiet);
    let model = Model::open(model)?;
    reporter.left_out(&job.left_out);
    for note in model.notes().iter().chain(&model.manifest().notice) {
        reporter.note(note);
    }
    let each = |outcome: Outcome| reporter.outcome(&outcome);
    let warn = |warning: &str| reporter.warn(warning);
    let precision = arguments.dtype.on(arguments.device.first());
    let ensemble =
        AnyEnsemble::load(&model, arguments.device.clone())?.with_precision(precision)?;
    let summary = job.run(&ensemble, interrupt()?, each, warn)?;
    reporter.finish(summary, &job.out, arguments.device.first().is_gpu());
    Ok(summary.into())
}
