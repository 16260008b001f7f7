//! Threads: how many compute, and waiting for them such that ^C is heard.

use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;
use vascx::inference::Cancel;

use crate::errors::{InternalError, VascxError, guarded};

/// How often Python is asked for signals.
const PATIENCE: Duration = Duration::from_millis(50);

/// Sets the number of threads that compute; before anything is computed.
#[pyfunction]
pub(crate) fn set_threads(threads: usize) -> PyResult<()> {
    // 0 asks for as many as the process may use.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|_| {
        VascxError::new_err(
            "the threads have begun already; set their number before the first prediction, or in the \
             environment variable RAYON_NUM_THREADS",
        )
    })
}

/// Threads do not survive a fork; whatever waits for them would wait forever.
pub(crate) fn check_fork() -> PyResult<()> {
    static FIRST: OnceLock<u32> = OnceLock::new();
    if *FIRST.get_or_init(process::id) == process::id() {
        Ok(())
    } else {
        Err(VascxError::new_err(
            "this process was forked after vascx_rs had computed in its parent, and the threads are \
             there; start worker processes with multiprocessing.get_context(\"spawn\") or \
             \"forkserver\", or load models in the workers only",
        ))
    }
}

/// The next of what other threads send, or none after the last. Meanwhile other threads of Python run; at a
/// signal that raises an exception, the work is cancelled.
pub(crate) fn receive<T: Send>(
    py: Python<'_>,
    cancel: &Cancel,
    next: impl Fn(Duration) -> Result<T, RecvTimeoutError> + Sync,
) -> PyResult<Option<T>> {
    loop {
        match py.detach(|| next(PATIENCE)) {
            Ok(value) => return Ok(Some(value)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| cancel.cancel())?;
            }
        }
    }
}

/// What `work` gives, computed on a thread of its own. At ^C it is left to end by itself.
pub(crate) fn interruptible<T: Send + 'static>(
    py: Python<'_>,
    cancel: &Cancel,
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    check_fork()?;
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        // Nobody waits after ^C.
        let _ = sender.send(guarded(work));
    });
    let receiver = Waiting::new(receiver);
    receive(py, cancel, |patience| receiver.next(patience))?
        .unwrap_or_else(|| Err(InternalError::new_err("a thread ended without a result")))
}

/// A receiver that several threads may wait at.
pub(crate) struct Waiting<T>(Mutex<Receiver<T>>);

impl<T> Waiting<T> {
    pub(crate) fn new(receiver: Receiver<T>) -> Self {
        Self(Mutex::new(receiver))
    }

    pub(crate) fn next(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(patience)
    }
}
