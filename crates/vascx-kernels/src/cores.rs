//! Sharing the layers of a pass between all cores.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

/// Pauses between two looks for work: one to four microseconds.
const PAUSES: usize = 64;
/// Looks in vain after which a thread sleeps between them: half a millisecond, longer than one waits
/// for another at the end of a layer or while a chunk is cut and blended (with a fifth of that, photographs
/// through a small network took a tenth longer). A thread that another program has put off its processor
/// can then go on here.
const AWAKE: usize = 256;
/// Looks in vain after which a thread may do something else: some ten milliseconds. Looking without end
/// could last forever: beneath it may lie work, begun before, that the pass waits for.
const LOOKS: usize = AWAKE + 128;
/// How long a thread sleeps between two looks.
const NAP: Duration = Duration::from_micros(50);

thread_local! {
    /// Whether this thread runs a pass or stays awake for one. Then it does not for another on top,
    /// which would hold up the first.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which calls kernels one after the other, on one of rayon's threads, while the others
/// stay awake. Called from any other thread, every kernel would first have to wake rayon's, and at the
/// end the caller's (a tenth of the time of a network of many small kernels); and between kernels
/// rayon's threads would fall asleep (a twentieth).
///
/// Where rayon has more threads than this process has processors, by affinity and quota, as many threads
/// as processors share the work: the others would only take turns with them.
pub fn on_all_cores<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    static FEWER: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let count = || available_parallelism().map_or(usize::MAX, usize::from);
    let processors = *PROCESSORS.get_or_init(count);
    if rayon::current_num_threads() > processors {
        let few = || {
            ThreadPoolBuilder::new()
                .num_threads(processors)
                .build()
                .ok()
        };
        if let Some(pool) = FEWER.get_or_init(few) {
            return pool.install(|| share(work));
        }
    }
    share(work)
}

fn share<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let pass = Pass::default();
        let finished = pass.finished.clone();
        let _taken = Taken::new();
        rayon::spawn_broadcast(move |_| {
            if !TAKEN.get() {
                let _taken = Taken::new();
                stay_awake(&finished);
            }
        });
        work()
    })
}

/// While it lives the thread is taken.
struct Taken {
    before: bool,
}

impl Taken {
    fn new() -> Self {
        Self {
            before: TAKEN.replace(true),
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        TAKEN.set(self.before);
    }
}

/// Finished when it is dropped, so also when it panics.
#[derive(Default)]
struct Pass {
    finished: Arc<AtomicBool>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

/// Does whatever work there is until the pass has finished.
fn stay_awake(finished: &AtomicBool) {
    let mut looks = 0;
    while looks < LOOKS && !finished.load(Ordering::Relaxed) {
        if rayon::yield_now() == Some(Yield::Executed) {
            looks = 0;
        } else {
            looks += 1;
            if looks < AWAKE {
                (0..PAUSES).for_each(|_| spin_loop());
            } else {
                sleep(NAP);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Work within work within work, all of it waiting for other threads.
    #[test]
    fn passes_within_passes_finish() {
        let sum = |count: u64| (0..count).into_par_iter().map(|i| i % 7).sum::<u64>();
        let expected: u64 = (0..1000_u64).map(|i| i % 7).sum();
        for _ in 0..20 {
            let sums: Vec<u64> = (0..16)
                .into_par_iter()
                .map(|_| on_all_cores(|| (0..4).map(|_| on_all_cores(|| sum(1000))).sum()))
                .collect();
            assert_eq!(sums, vec![4 * expected; 16]);
        }
    }

    /// A pool of more threads than processors hands its passes to one of fewer.
    #[test]
    fn no_more_threads_than_processors_share_a_pass() {
        let processors = available_parallelism().unwrap().get();
        let pool = ThreadPoolBuilder::new().num_threads(processors + 3);
        let pool = pool.build().unwrap();
        let threads = pool.install(|| on_all_cores(rayon::current_num_threads));
        assert_eq!(threads, processors);
        let pool = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| on_all_cores(rayon::current_num_threads)), 1);
    }

    /// Two callers whose passes always overlap.
    #[test]
    fn passes_side_by_side_finish() {
        let sum = |count: u64| (0..count).into_par_iter().sum::<u64>();
        let passes = || (0..3000).for_each(|_| assert_eq!(on_all_cores(|| sum(100)), 4950));
        std::thread::scope(|scope| {
            scope.spawn(passes);
            scope.spawn(passes);
        });
    }

    /// Also where nothing ever sets it free.
    #[test]
    fn looking_for_work_has_an_end() {
        rayon::scope(|_| stay_awake(&AtomicBool::new(false)));
    }

    #[test]
    fn a_panic_ends_the_pass_and_frees_its_thread() {
        rayon::scope(|_| {
            let pass = || on_all_cores(|| -> u32 { panic!("on purpose") });
            assert!(std::panic::catch_unwind(pass).is_err());
            assert!(!TAKEN.get());
        });
    }
}
