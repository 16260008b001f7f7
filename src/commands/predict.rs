//! `vascx predict`: the main job.

use burn::tensor::backend::Backend;
use vascx::convert::Model;
use vascx::inference::{AnyEnsemble, DeviceWork, Job, Outcome, PredictOptions, Summary};
use vascx::models::Precision;

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
        device: arguments.device.to_string(),
        build: BUILD.to_owned(),
    };
    keep_kernels(&arguments.kernels, arguments.device.first())?;
    let reporter = Reporter::new(job.inputs.len(), arguments.verbosity.quiet)
        .verbose(arguments.verbosity.verbose);
    let model = Model::open(model)?;
    reporter.left_out(&job.left_out);
    for note in model.notes().iter().chain(&model.manifest().notice) {
        reporter.note(note);
    }
    let each = |outcome: Outcome| reporter.outcome(&outcome);
    let work = Predict {
        model: &model,
        job: &job,
        precision: arguments.dtype.on(arguments.device.first()),
        reporter: &reporter,
        each,
    };
    let summary = arguments.device.run(work)??;
    reporter.finish(summary, &job.out, arguments.device.first().is_gpu());
    Ok(summary.into())
}

/// A job on whichever backend the device has.
pub(super) struct Predict<'a, F> {
    pub(super) model: &'a Model,
    pub(super) job: &'a Job,
    pub(super) precision: Precision,
    pub(super) reporter: &'a Reporter,
    pub(super) each: F,
}

impl<F: FnMut(Outcome) + Send> DeviceWork for Predict<'_, F> {
    type Output = Result<Summary>;

    fn run<B: Backend>(self, devices: &[B::Device]) -> Self::Output {
        let ensemble =
            AnyEnsemble::<B>::load_on(self.model, devices)?.with_precision(self.precision)?;
        let warn = |warning: &str| self.reporter.warn(warning);
        Ok(self.job.run(&ensemble, interrupt()?, self.each, warn)?)
    }
}
