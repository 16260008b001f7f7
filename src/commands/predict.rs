//! `vascx predict`: the main job.

use burn::tensor::backend::Backend;
use vascx::convert::Model;
use vascx::inference::{
    AnyEnsemble, DeviceWork, EnsembleOptions, Error, Job, Outcome, Summary, resolve_inputs,
};

use super::{Done, Result};
use crate::arguments::PredictArguments;
use crate::report::Reporter;

pub(crate) fn run(arguments: &PredictArguments) -> Result {
    let job = Job {
        inputs: resolve_inputs(&arguments.inputs)?,
        out: arguments.out.clone(),
        save_probabilities: arguments.save_probabilities,
        overlay: arguments.overlay,
    };
    let model = Model::open(&arguments.model)?;
    let options = EnsembleOptions {
        batch_size: arguments.batch_size,
        preprocess: arguments.preprocess.into(),
    };
    let reporter = Reporter::new(job.inputs.len(), arguments.quiet);
    for note in model.notes() {
        reporter.note(note);
    }
    let device = arguments.device.to_string();
    let each = |outcome: Outcome| reporter.outcome(&outcome);
    let prediction = Predict {
        model: &model,
        options,
        job: &job,
        device,
        each,
    };
    let summary = arguments.device.run(prediction)??;
    reporter.finish(summary, &job.out);
    Ok(if summary.failed == 0 {
        Done::All
    } else {
        Done::Some
    })
}

/// A job on whichever backend the device has.
pub(super) struct Predict<'a, F> {
    pub(super) model: &'a Model,
    pub(super) options: EnsembleOptions,
    pub(super) job: &'a Job,
    pub(super) device: String,
    pub(super) each: F,
}

impl<F: FnMut(Outcome)> DeviceWork for Predict<'_, F> {
    type Output = std::result::Result<Summary, Error>;

    fn run<B: Backend>(self, device: &B::Device) -> Self::Output {
        let ensemble = AnyEnsemble::<B>::load(self.model, device, self.options)?;
        self.job.run(&ensemble, &self.device, self.each)
    }
}
