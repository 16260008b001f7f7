//! The way of every input: prepared ahead of time on other threads, computed in chunks, handed on in
//! order.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use burn::tensor::backend::Backend;
use rayon::prelude::*;

use super::backoff::Limits;
use super::{Numbers, Runner, Settings, Values};
use crate::error::Result;
use crate::geometry::Geometry;
use crate::photograph::Photograph;
use crate::preprocess::Bounds;
use crate::source::{Loaded, Recipe, Source};

/// A chunk of prepared inputs with whatever travels along with each of them.
pub(crate) type Chunk<'a, T> = Vec<(T, Result<Loaded<'a>>)>;

/// Chunks that may wait for the device while it computes another one. With the one in preparation
/// and the one being computed, at most three chunks are in memory.
const WAITING_CHUNKS: usize = 1;

/// What the device computed for one input, before it is brought back to the photograph's pixels.
#[derive(Debug)]
pub(crate) struct Computed<'a> {
    pub(crate) values: Values,
    pub(crate) geometry: Geometry,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) photograph: Option<Cow<'a, Photograph>>,
}

/// The sending end for [`prepare_ahead`] and the receiving one for [`Stream`].
pub(crate) fn channel<'a, T>() -> (SyncSender<Chunk<'a, T>>, Receiver<Chunk<'a, T>>) {
    sync_channel(WAITING_CHUNKS)
}

/// Prepares inputs chunk by chunk, until they or the receiver are gone. The inputs of a chunk are
/// decoded in parallel; to be run on a thread of its own.
pub(crate) fn prepare_ahead<'a, T: Send>(
    inputs: impl Iterator<Item = (T, Source<'a>)>,
    recipe: &Recipe,
    chunk_size: usize,
    chunks: &SyncSender<Chunk<'a, T>>,
) {
    let mut inputs = inputs.fuse();
    loop {
        let sources: Vec<_> = inputs.by_ref().take(chunk_size).collect();
        if sources.is_empty() {
            return;
        }
        let load = |(tag, source): (T, Source<'a>)| (tag, source.load(recipe));
        if chunks
            .send(sources.into_par_iter().map(load).collect())
            .is_err()
        {
            return;
        }
    }
}

/// Computes the prepared chunks; yields one result per input, in input order.
pub(crate) struct Stream<'e, 'a, B: Backend, T> {
    runner: &'e Runner<B>,
    settings: Settings,
    numbers: Numbers,
    limits: Limits,
    chunks: Receiver<Chunk<'a, T>>,
    ready: VecDeque<(T, Result<Computed<'a>>)>,
    warn: Box<dyn FnMut(&str) + 'e>,
}

impl<'e, 'a, B: Backend, T> Stream<'e, 'a, B, T> {
    pub(crate) fn new(
        runner: &'e Runner<B>,
        settings: Settings,
        numbers: Numbers,
        chunks: Receiver<Chunk<'a, T>>,
        warn: impl FnMut(&str) + 'e,
    ) -> Self {
        let limits = Limits {
            images: settings.batch_size,
            windows: settings.inference.window_batch_size,
        };
        let ready = VecDeque::new();
        Self {
            runner,
            settings,
            numbers,
            limits,
            chunks,
            ready,
            warn: Box::new(warn),
        }
    }

    /// Inputs that could not be prepared keep their error; the others are computed together as far
    /// as their shapes agree. A chunk that does not fit into memory at all fails as a whole.
    fn compute(&mut self, chunk: Chunk<'a, T>) {
        let mut values = Vec::with_capacity(chunk.len());
        let mut failure = None;
        let loaded: Vec<&Loaded> = chunk.iter().filter_map(|(_, l)| l.as_ref().ok()).collect();
        for images in loaded.chunk_by(|a, b| a.geometry.input == b.geometry.input) {
            let compute = |images: &[&Loaded], windows: usize| {
                self.runner
                    .compute(images, &self.settings, windows, self.numbers)
            };
            match self.limits.run(images, compute, &mut self.warn) {
                Ok(computed) => values.extend(computed),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let mut values = values.into_iter();
        for (tag, loaded) in chunk {
            let result = loaded.and_then(
                |Loaded {
                     geometry,
                     bounds,
                     photograph,
                     ..
                 }| {
                    match (values.next(), &failure) {
                        (Some(values), _) => Ok(Computed {
                            values,
                            geometry,
                            bounds,
                            photograph,
                        }),
                        (None, Some(error)) => Err(error.clone().into()),
                        (None, None) => unreachable!("as many results as inputs"),
                    }
                },
            );
            self.ready.push_back((tag, result));
        }
    }
}

impl<'a, B: Backend, T> Iterator for Stream<'_, 'a, B, T> {
    type Item = (T, Result<Computed<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let chunk = self.chunks.recv().ok()?;
            self.compute(chunk);
        }
        self.ready.pop_front()
    }
}
