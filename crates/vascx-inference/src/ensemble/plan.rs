//! One or several networks that answer the same inputs.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, Scope};

use super::PredictOptions;
use super::runner::{Run, Runner};
use super::stream::{Computed, Promise, Queue, Stream, Together, channel, chunked, prepare_ahead};
use super::worker::{Wanted, Worker};
use crate::decode::DecodeLimits;
use crate::error::{Error, Result};
use crate::source::{Recipe, Sources};

/// A model on its devices and how it is called.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) runner: Arc<Runner>,
    pub(crate) run: Run,
}

/// Models that answer the same inputs, one after the other on each device.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// At least one; all on the same devices.
    pub(crate) calls: Vec<Call>,
    pub(super) recipe: Recipe,
    /// Inputs per chunk; a model that takes fewer at a time takes them in parts.
    pub(crate) batch_size: usize,
}

impl Plan {
    /// Of one model.
    ///
    /// # Errors
    /// When a batch size is 0.
    pub(crate) fn of(
        runner: &Arc<Runner>,
        options: &PredictOptions,
        wanted: Wanted,
        keep_photographs: bool,
    ) -> Result<Self> {
        let calls = vec![Call::new(runner, options, wanted)?];
        let limits = options.limits;
        Ok(Self::of_several(calls, limits, None, keep_photographs))
    }

    /// Of several models, which see photographs, or their crops to the field of view.
    pub(crate) fn of_several(
        calls: Vec<Call>,
        limits: DecodeLimits,
        crop: Option<usize>,
        keep_photographs: bool,
    ) -> Self {
        let batch_sizes = calls.iter().map(|call| call.run.settings.batch_size);
        // Maps are large: many photographs at a time only where there are none.
        let gives_maps = |call: &&Call| call.runner.manifest.task.is_spatial();
        let with_maps = calls.iter().filter(gives_maps);
        let with_maps = with_maps.map(|call| call.run.settings.batch_size).max();
        let batch_size = with_maps.or_else(|| batch_sizes.max()).unwrap_or(1);
        let inputs = calls.iter().map(|call| call.run.input.clone()).collect();
        Self {
            calls,
            recipe: Recipe {
                inputs,
                crop,
                keep_photographs,
                limits,
            },
            batch_size,
        }
    }

    /// Chunks that are computed at a time.
    pub(crate) fn workers(&self) -> usize {
        self.calls[0].runner.workers()
    }

    /// Prepares and computes inputs on threads of `scope`; batches are promised to `order` in input
    /// order. Stops early when the receiving end is gone.
    pub(crate) fn start<'scope, 'a: 'scope, T: Send + 'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        inputs: impl Iterator<Item = Together<'a, T>> + Send + 'scope,
        order: SyncSender<Promise<'a, T>>,
    ) {
        let (sender, chunks) = channel();
        scope.spawn(move || prepare_ahead(inputs, &self.recipe, &sender));
        let queue = Queue::new(chunks, order);
        let runner = &self.calls[0].runner;
        for device in 0..runner.engines.len() {
            for _ in 0..runner.placement.chunks_under_way() {
                let queue = queue.clone();
                scope.spawn(move || Worker::new(self, device).work(&queue));
            }
        }
    }

    /// All results, in input order.
    ///
    /// # Errors
    /// When there are no inputs.
    pub(super) fn collect<R>(
        &self,
        inputs: Sources,
        options: &PredictOptions,
        finish: impl Fn(Computed) -> R,
    ) -> Result<Vec<Result<R>>> {
        if inputs.is_empty() {
            return Err(Error::NoPhotographs);
        }
        let (order, stream) = Stream::new(self.workers(), options.warnings.clone());
        Ok(thread::scope(|scope| {
            let inputs = inputs.into_iter().map(|input| ((), input));
            let inputs = chunked(inputs, self.batch_size, options.cancel.clone());
            self.start(scope, inputs, order);
            stream.map(|((), computed)| computed.map(&finish)).collect()
        }))
    }
}

impl Call {
    /// # Errors
    /// When a batch size is 0.
    pub(crate) fn new(
        runner: &Arc<Runner>,
        options: &PredictOptions,
        wanted: Wanted,
    ) -> Result<Self> {
        Ok(Self {
            run: runner.run(options, wanted)?,
            runner: runner.clone(),
        })
    }
}
