//! A chunk through a device: what could be prepared is computed, within the device's memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::backoff::Limits;
use super::engine::{Compute, Engine};
use super::runner::{Run, Runner};
use super::stream::{Batch, Chunk, Computed, Queue};
use super::values::Values;
use crate::error::Error;
use crate::geometry::Size;
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
    runner: &'e Runner,
    engine: &'e dyn Engine,
    compute: Compute<'e>,
    limits: Limits,
}

impl<'e> Worker<'e> {
    pub(super) fn new(runner: &'e Runner, engine: &'e dyn Engine, run: &'e Run) -> Self {
        Self {
            runner,
            engine,
            compute: engine.begin(runner, run),
            limits: Limits {
                images: run.settings.batch_size,
                windows: run.settings.inference.window_batch_size,
            },
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

    /// Inputs that could not be prepared keep their error; the others are computed together as far
    /// as their shapes agree. A chunk that does not fit into memory at all fails as a whole.
    fn batch<'a, T>(&mut self, chunk: Chunk<'a, T>) -> Batch<'a, T> {
        let started = Instant::now();
        let mut values = Vec::with_capacity(chunk.len());
        let mut warnings = Vec::new();
        let mut failure = None;
        let loaded: Vec<&Loaded> = chunk.iter().filter_map(|(_, l)| l.as_ref().ok()).collect();
        let alike = |a: &&Loaded, b: &&Loaded| {
            let kind = |loaded: &Loaded| std::mem::discriminant(&loaded.pixels);
            a.geometry.input == b.geometry.input && kind(a) == kind(b)
        };
        let mut limits = self.limits;
        for images in loaded.chunk_by(alike) {
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
        let mut values = values.into_iter();
        let precision = self.runner.precision();
        let channels = self.runner.manifest.preprocessing.channels();
        let each = started.elapsed() / u32::try_from(values.len().max(1)).unwrap_or(u32::MAX);
        let mut result = |loaded: Loaded<'a>| match (values.next(), &failure) {
            (Some(Values::NotFinite), _) => Err(Error::NotFinite(precision)),
            (Some(Values::Refused(reason)), _) => {
                let Size { width, height } = loaded.geometry.input;
                let shape = vec![channels, height, width];
                Err(Error::Tensor { shape, reason })
            }
            (Some(values), _) => Ok(Computed {
                values,
                geometry: loaded.geometry,
                bounds: loaded.bounds,
                note: loaded.note,
                photograph: loaded.photograph,
                elapsed: loaded.elapsed + each,
            }),
            (None, Some(error)) => Err(error.clone().into()),
            (None, None) => unreachable!("as many results as inputs"),
        };
        let results = chunk
            .into_iter()
            .map(|(tag, loaded)| (tag, loaded.and_then(&mut result)))
            .collect();
        Batch {
            results,
            warnings,
            elapsed: started.elapsed(),
        }
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
