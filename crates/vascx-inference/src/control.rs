//! What callers steer a call by while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks work to stop. Clones belong together: one is kept, another goes into
/// [`PredictOptions::cancel`](crate::PredictOptions::cancel) or to a job.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Work that this or a clone was given to stops after what it has begun.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A function that hears of them.
type Listener = dyn Fn(&str) + Send + Sync;

/// Where warnings go, such as that memory ran out and smaller chunks are tried; nowhere by default.
#[derive(Clone, Default)]
pub struct Warnings(Option<Arc<Listener>>);

impl Warnings {
    /// To a function.
    pub fn to(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    pub(crate) fn warn(&self, warning: &str) {
        if let Some(sink) = &self.0 {
            sink(warning);
        }
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Warnings(to a function)"
        } else {
            "Warnings(nowhere)"
        })
    }
}
