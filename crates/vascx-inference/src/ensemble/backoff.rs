//! Working within a device's memory: when it runs out, less is done at once.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

use burn::tensor::backend::DeviceId;

use crate::decode::is_decoding;
use crate::error::Error;

/// How much is computed at once; shrinks when memory runs out and stays so for the rest of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Images per chunk.
    pub(super) images: usize,
    /// Windows per forward pass.
    pub(super) windows: usize,
}

/// The device's memory does not suffice for one window of one photograph.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the device's memory does not hold one window of one photograph ({0}); use a device with more \
     memory, stop what else runs on it, or use the CPU"
)]
pub struct OutOfMemory(String);

/// Why a chunk could not be computed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Something else, as the device says.
    #[error("the device failed: {0}")]
    Device(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::OutOfMemory(error) => error.into(),
            Failure::Device(_) => Self::Device(failure.to_string()),
        }
    }
}

/// What backends say when memory runs out; there is no typed error for it. CubeCL allocates on a
/// thread of its own, where a failure stays: what arrives are its consequences, a buffer that is not
/// there, a call without an answer, or nothing at all and wrong numbers. Hence [`notice_panic`].
const EXHAUSTED: [&str; 8] = [
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "can't allocate",
    "buffer too big",
    "couldn't find resource",
    "callerror",
    "in an error state",
];

/// How many panics of a device's threads were noticed so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarms {
    /// Memory ran out.
    exhaustions: usize,
    /// Anything else.
    failures: usize,
}

impl Alarms {
    /// Those of one device.
    pub(super) fn of(device: DeviceId) -> Self {
        let noticed = NOTICED.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{}-{}", device.type_id, device.index_id);
        noticed.get(&name).copied().unwrap_or_default()
    }
}

/// Alarms per device, by which names of its threads end.
static NOTICED: Mutex<BTreeMap<String, Alarms>> = Mutex::new(BTreeMap::new());

/// Notes a panic on a thread of a GPU, from the panic hook of a program. CubeCL goes on after it, with
/// numbers that may be wrong; ensembles compute again what it concerns, or say that it failed. Without
/// such a hook they cannot tell. True for what need not be printed, because it is handled: exhausted
/// memory, and the panic of a decoder, which is the failure of its photograph.
///
/// ```
/// let before = std::panic::take_hook();
/// std::panic::set_hook(Box::new(move |panic| {
///     if !vascx_inference::notice_panic(panic) {
///         before(panic);
///     }
/// }));
/// ```
pub fn notice_panic(panic: &PanicHookInfo) -> bool {
    let exhausted = message(panic.payload()).is_some_and(|reason| is_exhaustion(&reason));
    note(thread::current().name(), exhausted);
    exhausted || is_decoding()
}

/// burn's and CubeCL's threads are called `DSU-` or `DSD-` (device service, upstream or downstream) and
/// their device.
fn note(thread: Option<&str>, exhausted: bool) {
    let device = thread.and_then(|name| {
        let upstream = name.strip_prefix("DSU-");
        upstream.or_else(|| name.strip_prefix("DSD-"))
    });
    if let Some(device) = device {
        let mut noticed = NOTICED.lock().unwrap_or_else(PoisonError::into_inner);
        let alarms = noticed.entry(device.to_owned()).or_default();
        alarms.exhaustions += usize::from(exhausted);
        alarms.failures += usize::from(!exhausted);
    }
}

impl Limits {
    /// Applies `compute` to all of `items`, at most `images` at a time, and returns what it gives
    /// per item. When that fails or panics because the device's memory is exhausted (backends do
    /// either), or `alarms` meanwhile tells of it, the images per chunk, then the windows per pass,
    /// are halved and it is called again; `warn` is told. Whatever else `alarms` tells of makes the
    /// chunk fail, for its numbers may be wrong.
    pub(super) fn run<T, R>(
        &mut self,
        items: &[T],
        mut compute: impl FnMut(&[T], Self) -> Result<Vec<R>, String>,
        alarms: impl Fn() -> Alarms,
        mut warn: impl FnMut(&str),
    ) -> Result<Vec<R>, Failure> {
        let mut results = Vec::with_capacity(items.len());
        while results.len() < items.len() {
            let rest = &items[results.len()..];
            let chunk = &rest[..rest.len().min(self.images)];
            let before = alarms();
            let computed = catch_unwind(AssertUnwindSafe(|| compute(chunk, *self)));
            let since = alarms();
            let reason = if since.exhaustions > before.exhaustions {
                // Whatever came of it is a consequence.
                "it could not be allocated".to_owned()
            } else {
                match computed {
                    Ok(Ok(_)) if since.failures > before.failures => {
                        return Err(Failure::Device("one of its threads panicked".into()));
                    }
                    Ok(Ok(computed)) => {
                        results.extend(computed);
                        continue;
                    }
                    Ok(Err(reason)) if is_exhaustion(&reason) => reason,
                    Ok(Err(reason)) => return Err(Failure::Device(reason)),
                    Err(panic) => match message(panic.as_ref()) {
                        Some(reason) if is_exhaustion(&reason) => reason,
                        _ => resume_unwind(panic),
                    },
                }
            };
            self.shrink(chunk.len(), &reason)?;
            let Self { images, windows } = self;
            warn(&format!(
                "the device ran out of memory; going on with {images} photographs per chunk and \
                 {windows} windows per pass"
            ));
        }
        Ok(results)
    }

    fn shrink(&mut self, tried: usize, reason: &str) -> Result<(), OutOfMemory> {
        if tried > 1 {
            self.images = tried / 2;
        } else if self.windows > 1 {
            self.images = 1;
            self.windows /= 2;
        } else {
            return Err(OutOfMemory(reason.to_owned()));
        }
        Ok(())
    }
}

fn message(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

fn is_exhaustion(message: &str) -> bool {
    let lower = message.to_lowercase();
    EXHAUSTED.iter().any(|phrase| lower.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that holds `capacity` windows; every image has nine. It panics or fails by turns.
    fn device(capacity: usize) -> impl FnMut(&[u32], Limits) -> Result<Vec<u32>, String> {
        let mut calls = 0;
        move |images, limits| {
            calls += 1;
            let at_once = limits.windows.min(9 * images.len()) + images.len();
            if at_once > capacity && calls % 2 == 0 {
                return Err("Couldn't find resource for that handle".into());
            }
            assert!(at_once <= capacity, "CUDA_ERROR_OUT_OF_MEMORY: {at_once}");
            Ok(images.iter().map(|image| image * 10).collect())
        }
    }

    fn run(capacity: usize, warnings: &mut usize) -> (Result<Vec<u32>, Failure>, Limits) {
        let mut limits = Limits {
            images: 4,
            windows: 16,
        };
        let items: Vec<u32> = (0..7).collect();
        let results = limits.run(&items, device(capacity), Alarms::default, |_| {
            *warnings += 1;
        });
        (results, limits)
    }

    #[test]
    fn nothing_shrinks_while_memory_suffices() {
        let mut warnings = 0;
        let (results, limits) = run(100, &mut warnings);
        assert_eq!(results.unwrap(), [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(
            (limits, warnings),
            (
                Limits {
                    images: 4,
                    windows: 16
                },
                0
            )
        );
    }

    #[test]
    fn chunks_then_passes_are_halved_until_they_fit() {
        let mut warnings = 0;
        let (results, limits) = run(18, &mut warnings);
        assert_eq!(results.unwrap(), [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!((limits.images, warnings), (2, 1));
        let mut warnings = 0;
        let (results, limits) = run(6, &mut warnings);
        assert_eq!(results.unwrap(), [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(
            (limits, warnings),
            (
                Limits {
                    images: 1,
                    windows: 4
                },
                4
            )
        );
    }

    #[test]
    fn what_never_fits_fails_with_advice() {
        let (results, _) = run(1, &mut 0);
        let message = results.unwrap_err().to_string();
        assert!(
            message.contains("one window") && message.contains("OUT_OF_MEMORY"),
            "{message}"
        );
    }

    /// A device that fails behind the caller's back gives numbers, but wrong ones.
    #[test]
    fn results_of_exhausted_memory_are_not_believed() {
        let counted = std::cell::Cell::new(Alarms::default());
        let compute = |images: &[u32], _| -> Result<Vec<u32>, String> {
            if images.len() > 2 {
                let exhaustions = counted.get().exhaustions + 1;
                counted.set(Alarms {
                    exhaustions,
                    ..counted.get()
                });
                return Ok(vec![666; images.len()]);
            }
            Ok(images.to_vec())
        };
        let mut limits = Limits {
            images: 8,
            windows: 1,
        };
        let items: Vec<u32> = (0..9).collect();
        let results = limits.run(&items, compute, || counted.get(), |_| {});
        assert_eq!(results.unwrap(), items);
        assert_eq!((limits.images, counted.get().exhaustions), (2, 2));
    }

    #[test]
    fn results_beside_a_panic_of_the_device_are_not_believed() {
        let failures = std::cell::Cell::new(0);
        let compute = |images: &[u32], _| -> Result<Vec<u32>, String> {
            failures.set(failures.get() + 1);
            Ok(images.to_vec())
        };
        let alarms = || Alarms {
            failures: failures.get(),
            ..Alarms::default()
        };
        let mut limits = Limits {
            images: 1,
            windows: 1,
        };
        let results = limits.run(&[1], compute, alarms, |_| {});
        assert!(matches!(results, Err(Failure::Device(_))), "{results:?}");
    }

    #[test]
    fn a_panic_concerns_the_device_of_its_thread() {
        let alarms = |index_id| {
            let alarms = Alarms::of(DeviceId::new(77, index_id));
            (alarms.exhaustions, alarms.failures)
        };
        note(Some("DSU-77-1"), true);
        note(Some("DSD-77-1"), false);
        note(Some("DSD-77-11"), false);
        note(Some("main"), true);
        note(None, false);
        assert_eq!([alarms(0), alarms(1), alarms(11)], [(0, 0), (1, 1), (0, 1)]);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn other_panics_go_on() {
        let compute = |_: &[u32], _| -> Result<Vec<u32>, String> { panic!("index out of bounds") };
        let _ = Limits {
            images: 4,
            windows: 16,
        }
        .run(&[1], compute, Alarms::default, |_| {});
    }

    #[test]
    fn other_failures_are_told_as_they_are() {
        let mut limits = Limits {
            images: 4,
            windows: 16,
        };
        let compute = |_: &[u32], _| -> Result<Vec<u32>, String> { Err("no kernel".into()) };
        let error: Error = limits
            .run(&[1], compute, Alarms::default, |_| {})
            .unwrap_err()
            .into();
        assert_eq!(error.to_string(), "the device failed: no kernel");
    }
}
