//! Working within a device's memory: when it runs out, less is done at once.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

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
     memory, stop what else runs on it, or use --device cpu"
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
/// there or a call without an answer.
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

impl Limits {
    /// Applies `compute` to all of `items`, at most `images` at a time, and returns what it gives
    /// per item. When that fails or panics because the device's memory is exhausted (backends do
    /// either), the images per chunk, then the windows per pass, are halved and it is called again.
    /// `warn` is told.
    pub(super) fn run<T, R>(
        &mut self,
        items: &[T],
        mut compute: impl FnMut(&[T], usize) -> Result<Vec<R>, String>,
        mut warn: impl FnMut(&str),
    ) -> Result<Vec<R>, Failure> {
        let mut results = Vec::with_capacity(items.len());
        while results.len() < items.len() {
            let rest = &items[results.len()..];
            let chunk = &rest[..rest.len().min(self.images)];
            let reason = match catch_unwind(AssertUnwindSafe(|| compute(chunk, self.windows))) {
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
    fn device(capacity: usize) -> impl FnMut(&[u32], usize) -> Result<Vec<u32>, String> {
        let mut calls = 0;
        move |images, windows| {
            calls += 1;
            let at_once = windows.min(9 * images.len()) + images.len();
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
        let results = limits.run(&items, device(capacity), |_| *warnings += 1);
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

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn other_panics_go_on() {
        let compute =
            |_: &[u32], _: usize| -> Result<Vec<u32>, String> { panic!("index out of bounds") };
        let _ = Limits {
            images: 4,
            windows: 16,
        }
        .run(&[1], compute, |_| {});
    }

    #[test]
    fn other_failures_are_told_as_they_are() {
        let mut limits = Limits {
            images: 4,
            windows: 16,
        };
        let compute = |_: &[u32], _: usize| -> Result<Vec<u32>, String> { Err("no kernel".into()) };
        let error: Error = limits.run(&[1], compute, |_| {}).unwrap_err().into();
        assert_eq!(error.to_string(), "the device failed: no kernel");
    }
}
