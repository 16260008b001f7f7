//! Counting the arithmetic of a forward pass and timing its layers, for benchmarks.

use std::cell::{Cell, RefCell};
use std::time::Instant;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Layers so far, while they are measured.
    static LAYERS: RefCell<Option<Vec<Layer>>> = const { RefCell::new(None) };
}

/// One run of a kernel within a forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The kernel, such as `winograd`.
    pub kernel: &'static str,
    /// Sizes of the result, `[N, C, H, W]` for maps.
    pub shape: Vec<usize>,
    /// Products per value of the result, if it is a convolution or matrix product.
    pub depth: usize,
    /// Bytes of maps and weights that must be read or written at least once.
    pub bytes: usize,
    /// From call to result.
    pub seconds: f64,
}

impl Layer {
    /// Floating-point operations of the plain sum, as [`count_operations`] counts them.
    pub fn operations(&self) -> usize {
        2 * self.depth * self.shape.iter().product::<usize>()
    }
}

/// Runs `pass` and lists what this crate's own CPU kernels did; empty where other backends compute.
pub fn measure_layers<R>(pass: impl FnOnce() -> R) -> (R, Vec<Layer>) {
    with_layers(Some(Vec::new()), pass)
}

/// Runs `pass` with these layers so far, apart from what this thread measures otherwise.
fn with_layers<R>(layers: Option<Vec<Layer>>, pass: impl FnOnce() -> R) -> (R, Vec<Layer>) {
    let before = LAYERS.replace(layers);
    let result = pass();
    (result, LAYERS.replace(before).unwrap_or_default())
}

/// What the machine can do at most, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Peak multiply-add throughput.
    pub operations_per_second: f64,
    /// Read and written when large memory is copied.
    pub bytes_per_second: f64,
}

impl Peak {
    /// Takes a fraction of a second.
    pub fn measure() -> Self {
        Self {
            operations_per_second: vascx_kernels::peak_operations(),
            bytes_per_second: vascx_kernels::peak_bytes(),
        }
    }
}

/// Runs a kernel; what it did is noted if layers are being measured.
pub(crate) fn layer<R>(layer: Layer, run: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = run();
    let seconds = start.elapsed().as_secs_f64();
    LAYERS.with_borrow_mut(|layers| {
        if let Some(layers) = layers {
            layers.push(Layer { seconds, ..layer });
        }
    });
    result
}

/// Runs `pass` and counts the floating-point operations of its convolutions and matrix products: a
/// multiplication and an addition per weight and position, however a kernel gets the result. What
/// `pass` does on other threads is not seen; networks launch their layers on the calling thread.
pub fn count_operations<R>(pass: impl FnOnce() -> R) -> (R, u64) {
    let before = COUNT.replace(0);
    let result = pass();
    (result, COUNT.replace(before))
}

/// Runs `pass` where kernels share all cores, and notes what it did there as if it had run here.
pub(crate) fn on_all_cores<R: Send>(pass: impl FnOnce() -> R + Send) -> R {
    let layers = LAYERS.with_borrow(|layers| layers.as_ref().map(|_| Vec::new()));
    // The thread may be in the midst of a pass that is measured, and take this one while it waits.
    let ((result, seen), operations) =
        vascx_kernels::on_all_cores(|| count_operations(|| with_layers(layers, pass)));
    COUNT.set(COUNT.get().saturating_add(operations));
    LAYERS.with_borrow_mut(|layers| {
        if let Some(layers) = layers {
            layers.extend(seen);
        }
    });
    result
}

/// Notes `positions` results of `depth` products each.
pub(crate) fn note(positions: usize, depth: usize) {
    let operations = 2 * (positions as u64).saturating_mul(depth as u64);
    COUNT.set(COUNT.get().saturating_add(operations));
}
