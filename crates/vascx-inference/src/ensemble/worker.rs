//! A chunk through a device: what could be prepared is computed, within the device's memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::backoff::Limits;
use super::engine::{Compute, Engine};
use super::plan::{Call, Plan};
use super::runner::Runner;
use super::stream::{Answered, Batch, Chunk, Computed, Queue};
use super::values::Values;
use crate::error::{Error, Result};
use crate::geometry::Size;
use crate::preprocess::Prepared;
use crate::source::Loaded;

/// What a call is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Answers alone.
    Answers,
    /// Answers with the maps they are made of.
    AnswersAndMaps,
    /// The numbers before any softmax.
    Logits,
}

impl Wanted {
    pub(crate) fn answers(keep_maps: bool) -> Self {
        if keep_maps {
            Self::AnswersAndMaps
        } else {
            Self::Answers
        }
    }
}

/// Computes chunks on one device, one after the other.
pub(super) struct Worker<'e> {
    networks: Vec<Network<'e>>,
}

/// One of the networks of a [`Plan`] on a device.
struct Network<'e> {
    runner: &'e Runner,
    engine: &'e dyn Engine,
    compute: Compute<'e>,
    limits: Limits,
}

impl<'e> Worker<'e> {
    /// On the device of this number.
    pub(super) fn new(plan: &'e Plan, device: usize) -> Self {
        let network = |call: &'e Call| {
            let engine = &*call.runner.engines[device];
            let settings = &call.run.settings;
            Network {
                runner: &call.runner,
                engine,
                compute: engine.begin(&call.runner, &call.run),
                limits: Limits {
                    images: settings.batch_size,
                    windows: settings.inference.window_batch_size,
                },
            }
        };
        Self {
            networks: plan.calls.iter().map(network).collect(),
        }
    }

    /// Computes what the queue holds, until it is empty for good. A panic, of preparing as of
    /// computing, goes to where the batch was promised.
    pub(super) fn work<T>(mut self, queue: &Queue<'_, T>) {
        while let Some((chunk, promised)) = queue.next() {
            let batch =
                chunk.and_then(|chunk| catch_unwind(AssertUnwindSafe(|| self.batch(chunk))));
            let failed = batch.is_err();
            // Nobody waits for it any more when the receiver is gone.
            let _ = promised.send(batch);
            if failed {
                return;
            }
        }
    }

    /// Inputs that could not be prepared keep their error; the others go through every network.
    fn batch<'a, T>(&mut self, chunk: Chunk<'a, T>) -> Batch<'a, T> {
        let started = Instant::now();
        let mut warnings = Vec::new();
        let mut networks = Vec::with_capacity(self.networks.len());
        let mut answers = Vec::with_capacity(self.networks.len());
        for (index, network) in self.networks.iter_mut().enumerate() {
            let begun = Instant::now();
            let loaded = chunk.iter().filter_map(|(_, loaded)| loaded.as_ref().ok());
            let inputs: Vec<&Prepared> = loaded.map(|loaded| &loaded.inputs[index]).collect();
            answers.push(network.answer(&inputs, &mut warnings).into_iter());
            networks.push(begun.elapsed());
        }
        let loaded = chunk.iter().filter(|(_, loaded)| loaded.is_ok()).count();
        let computing = started.elapsed() / u32::try_from(loaded.max(1)).unwrap_or(u32::MAX);
        let mut result = |Loaded { inputs, about }: Loaded<'a>| {
            // All are taken, so that they stay in step where one is an error.
            let values: Vec<Result<Values>> = answers
                .iter_mut()
                .map(|answers| answers.next().expect("as many answers as inputs"))
                .collect();
            let answered = |(values, input): (Result<Values>, Prepared)| {
                Ok(Answered {
                    values: values?,
                    geometry: input.geometry,
                    bounds: input.bounds,
                })
            };
            let answers: Result<_> = values.into_iter().zip(inputs).map(answered).collect();
            Ok(Computed {
                answers: answers?,
                about,
                computing,
            })
        };
        let results = chunk
            .into_iter()
            .map(|(tag, loaded)| (tag, loaded.and_then(&mut result)))
            .collect();
        Batch {
            results,
            warnings,
            elapsed: started.elapsed(),
            networks,
        }
    }
}

impl Network<'_> {
    /// One answer per input. They are computed together as far as their shapes agree. Inputs that do
    /// not fit into memory at all fail, and those behind them.
    fn answer(&mut self, inputs: &[&Prepared], warnings: &mut Vec<String>) -> Vec<Result<Values>> {
        let mut values = Vec::with_capacity(inputs.len());
        let mut failure = None;
        let alike = |a: &&Prepared, b: &&Prepared| {
            let kind = |input: &Prepared| std::mem::discriminant(&*input.pixels);
            a.geometry.input == b.geometry.input && kind(a) == kind(b)
        };
        let mut limits = self.limits;
        for images in inputs.chunk_by(alike) {
            let size = images[0].geometry.input;
            if let Some(reason) = self.refuses(size) {
                values.extend(images.iter().map(|_| Values::Refused(reason.clone())));
                continue;
            }
            let warn = |warning: &str| warnings.push(warning.to_owned());
            match limits.run(images, &mut self.compute, || self.engine.alarms(), warn) {
                Ok(computed) => values.extend(computed),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.limits = limits;
        let precision = self.runner.precision();
        let channels = self.runner.manifest.preprocessing.channels();
        let mut values = values.into_iter();
        let result = |input: &&Prepared| match (values.next(), &failure) {
            (Some(Values::NotFinite), _) => Err(Error::NotFinite(precision)),
            (Some(Values::Refused(reason)), _) => {
                let Size { width, height } = input.geometry.input;
                let shape = vec![channels, height, width];
                Err(Error::Tensor { shape, reason })
            }
            (Some(values), _) => Ok(values),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => unreachable!("as many results as inputs"),
        };
        inputs.iter().map(result).collect()
    }

    /// Why the network takes no images of a size, if it does not; windows always have theirs.
    fn refuses(&self, Size { width, height }: Size) -> Option<String> {
        let manifest = &self.runner.manifest;
        if manifest.task.is_spatial() {
            return None;
        }
        let image = [1, manifest.preprocessing.channels(), height, width];
        let refused = manifest.architecture.check_input(image);
        refused.err().map(|error| error.to_string())
    }
}
