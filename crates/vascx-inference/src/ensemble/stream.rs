//! The way of every input: prepared ahead of time on other threads, computed in chunks by workers,
//! handed on in order.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::values::Values;
use crate::control::{Cancel, Warnings};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::preprocess::Bounds;
use crate::source::{About, Loaded, Recipe, Source};

/// A chunk of prepared inputs with whatever travels along with each of them.
pub(super) type Chunk<'a, T> = Vec<(T, Result<Loaded<'a>>)>;

/// Chunks that may wait for a device while it computes another one. With the one in preparation
/// and those being computed, that is all that is in memory.
const WAITING_CHUNKS: usize = 1;

/// What the devices computed for one input.
#[derive(Debug)]
pub(crate) struct Computed<'a> {
    /// One for each network.
    pub(crate) answers: Vec<Answered>,
    pub(crate) about: About<'a>,
    /// Its part of its chunk's time on the device.
    pub(crate) computing: Duration,
}

/// What one network answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) values: Values,
    pub(crate) geometry: Geometry,
    pub(crate) bounds: Option<Bounds>,
}

impl Computed<'_> {
    /// The answer of the only network.
    pub(crate) fn into_answer(self) -> Answered {
        let answer = self.answers.into_iter().next();
        answer.expect("at least one network")
    }
}

/// A computed chunk.
pub(crate) struct Batch<'a, T> {
    pub(super) results: Vec<(T, Result<Computed<'a>>)>,
    pub(super) warnings: Vec<String>,
    pub(super) elapsed: Duration,
    /// Of each network.
    pub(super) networks: Vec<Duration>,
}

/// Where a batch, or the panic it ended in, will arrive.
pub(crate) type Promise<'a, T> = Receiver<thread::Result<Batch<'a, T>>>;

/// A chunk, or the panic that preparing it ended in.
type Prepared<'a, T> = thread::Result<Chunk<'a, T>>;

/// A chunk to compute and where its batch is waited for.
pub(super) type Order<'a, T> = (Prepared<'a, T>, SyncSender<thread::Result<Batch<'a, T>>>);

/// The sending end for [`prepare_ahead`] and the receiving one for a [`Queue`].
pub(super) fn channel<'a, T>() -> (SyncSender<Prepared<'a, T>>, Receiver<Prepared<'a, T>>) {
    sync_channel(WAITING_CHUNKS)
}

/// Inputs that are to be computed together, with whatever travels along with each of them. One that
/// is known to be impossible has its error.
pub(crate) type Together<'a, T> = Vec<(T, Result<Source<'a>>)>;

/// Inputs in chunks of one size, but for the last; each has its error from when somebody cancels.
pub(super) fn chunked<'a, T>(
    inputs: impl Iterator<Item = (T, Source<'a>)>,
    size: usize,
    cancel: Cancel,
) -> impl Iterator<Item = Together<'a, T>> {
    let mut inputs = inputs.fuse().map(move |(tag, source)| {
        let cancelled = cancel.is_cancelled();
        (
            tag,
            if cancelled {
                Err(Error::Cancelled)
            } else {
                Ok(source)
            },
        )
    });
    std::iter::from_fn(move || {
        let chunk: Together<_> = inputs.by_ref().take(size).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Prepares inputs chunk by chunk, until they or the receiver are gone, or the caller's iterator or a
/// decoder panics. The inputs of a chunk are decoded in parallel; to be run on a thread of its own.
pub(super) fn prepare_ahead<'a, T: Send>(
    mut inputs: impl Iterator<Item = Together<'a, T>>,
    recipe: &Recipe,
    chunks: &SyncSender<Prepared<'a, T>>,
) {
    let load = |(tag, source): (T, Result<Source<'a>>)| {
        (tag, source.and_then(|source| source.load(recipe)))
    };
    let mut next = || {
        let sources = inputs.next()?;
        Some(sources.into_par_iter().map(load).collect())
    };
    while let Some(chunk) = catch_unwind(AssertUnwindSafe(&mut next)).transpose() {
        let failed = chunk.is_err();
        if chunks.send(chunk).is_err() || failed {
            return;
        }
    }
}

/// Chunks for workers to take. Whoever takes one promises its batch in the same moment, so that
/// batches arrive in order, however many workers there are.
pub(super) struct Queue<'a, T>(Arc<Mutex<Ends<'a, T>>>);

struct Ends<'a, T> {
    chunks: Receiver<Prepared<'a, T>>,
    order: SyncSender<Promise<'a, T>>,
}

impl<T> Clone for Queue<'_, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, T> Queue<'a, T> {
    pub(super) fn new(
        chunks: Receiver<Prepared<'a, T>>,
        order: SyncSender<Promise<'a, T>>,
    ) -> Self {
        Self(Arc::new(Mutex::new(Ends { chunks, order })))
    }

    /// The next chunk; none when there are no more or nobody waits.
    pub(super) fn next(&self) -> Option<Order<'a, T>> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = ends.chunks.recv().ok()?;
        let (promised, promise) = sync_channel(1);
        ends.order.send(promise).ok()?;
        Some((chunk, promised))
    }
}

/// One result per input, in input order.
pub(crate) struct Stream<'a, T> {
    order: Receiver<Promise<'a, T>>,
    ready: VecDeque<(T, Result<Computed<'a>>)>,
    warnings: Warnings,
    pace: Pace,
}

/// How long computing took.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Of each network, all chunks together.
    pub(crate) networks: Vec<Duration>,
    /// The first chunk on its device, with whatever had to be compiled and tuned.
    pub(crate) first_chunk: Option<Duration>,
    /// Chunks still to arrive of those that were begun together. Part of the work on the others is
    /// done when the first one arrives, so that counting from there would flatter.
    beginning: usize,
    /// When the last of them arrived.
    arrived: Option<Instant>,
    /// From then to the last chunk.
    rest: Duration,
    /// Inputs of the chunks from then on.
    inputs: usize,
}

impl Pace {
    fn new(workers: usize) -> Self {
        Self {
            networks: Vec::new(),
            first_chunk: None,
            beginning: workers,
            arrived: None,
            rest: Duration::ZERO,
            inputs: 0,
        }
    }

    /// Time per input after the chunks that were begun first; none when there were no more.
    pub(crate) fn per_input(&self) -> Option<Duration> {
        let inputs = u32::try_from(self.inputs).ok()?;
        self.rest.checked_div(inputs)
    }

    fn count(&mut self, inputs: usize, elapsed: Duration) {
        self.first_chunk.get_or_insert(elapsed);
        if let Some(arrived) = self.arrived {
            self.inputs += inputs;
            self.rest = arrived.elapsed();
        } else {
            self.beginning -= 1;
            if self.beginning == 0 {
                self.arrived = Some(Instant::now());
            }
        }
    }
}

impl<'a, T> Stream<'a, T> {
    /// What `workers` workers promise to the sending end. Warnings go to `warnings`.
    pub(crate) fn new(workers: usize, warnings: Warnings) -> (SyncSender<Promise<'a, T>>, Self) {
        // One worker waits until its batch is asked for: finished batches do not pile up.
        let (sender, order) = sync_channel(workers - 1);
        let stream = Self {
            order,
            ready: VecDeque::new(),
            warnings,
            pace: Pace::new(workers),
        };
        (sender, stream)
    }

    /// How long computing took so far.
    pub(crate) fn pace(&self) -> Pace {
        self.pace.clone()
    }
}

impl<'a, T> Iterator for Stream<'a, T> {
    type Item = (T, Result<Computed<'a>>);

    /// # Panics
    /// When preparing or computing panicked, with that panic.
    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let batch = self.order.recv().ok()?.recv();
            let Batch {
                results,
                warnings,
                elapsed,
                networks,
            } = batch
                .expect("a worker keeps its promise")
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for warning in warnings {
                self.warnings.warn(&warning);
            }
            self.pace.count(results.len(), elapsed);
            self.pace.networks.resize(networks.len(), Duration::ZERO);
            for (sum, network) in self.pace.networks.iter_mut().zip(networks) {
                *sum += network;
            }
            self.ready.extend(results);
        }
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_were_begun_with_the_first_do_not_count() {
        let mut pace = Pace::new(2);
        let seconds = Duration::from_secs;
        for chunk in 1..=2 {
            pace.count(8, seconds(chunk));
            assert_eq!(pace.first_chunk, Some(seconds(1)));
            assert_eq!(pace.per_input(), None);
        }
        for (inputs, so_far) in [(8, 8), (3, 11)] {
            pace.count(inputs, seconds(9));
            assert_eq!(pace.per_input(), Some(pace.rest / so_far));
        }
        assert_eq!(pace.first_chunk, Some(seconds(1)));
    }
}
