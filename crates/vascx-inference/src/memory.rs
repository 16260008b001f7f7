//! How much of a model a device's memory holds at a time.

use burn::tensor::backend::Backend;
use vascx_format::{InferenceSettings, ModelManifest};
use vascx_models::Ensemble;

/// What is computed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Batch {
    /// Windows per forward pass.
    pub(crate) windows: usize,
    /// Images per chunk.
    pub(crate) images: usize,
}

/// Pixels of a pass that keep a large card busy: on an H100, 16 windows of 512² at a time were faster
/// than 64.
const MOST_PIXELS: usize = 16 * 512 * 512;
/// However small they are.
const MOST_WINDOWS: usize = 64;
/// Passes that a chunk of windows fills: several, since the last one may be nearly empty. Images that
/// are no windows are one pass per chunk.
const PASSES: usize = 4;
/// Share of a card's memory that is planned with; the rest is for kernels, other programs and
/// fragments.
const PLANNED: f64 = 0.8;

/// A device's memory in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gauge {
    total: u64,
    /// What this process has reserved.
    reserved: u64,
}

/// The largest batch that fits, found by running passes of one and of two windows; none where the
/// device does not tell its memory. Exhaustion that happens all the same is handled where it
/// happens.
pub(crate) fn fitting_batch<B: Backend>(
    ensemble: &Ensemble<B>,
    manifest: &ModelManifest,
    inference: &InferenceSettings,
    device: &B::Device,
    under_way: usize,
) -> Option<Batch> {
    read_gauge::<B>(device)?;
    let side = manifest.preprocessing.input_size();
    let channels = manifest.preprocessing.channels();
    let spatial = manifest.task.is_spatial();
    let [height, width] = if spatial {
        inference.window
    } else {
        [side, side]
    };
    let reserved = |windows: usize| {
        let zeros = burn::tensor::Tensor::<B, 4>::zeros([windows, channels, height, width], device);
        let _ = ensemble.forward_each(zeros);
        B::sync(device).ok()?;
        read_gauge::<B>(device)
    };
    let (one, two) = (reserved(1)?, reserved(2)?);
    // Input and, for every output, the sum of the windows and what becomes of it.
    let maps = channels + 4 * manifest.architecture.outputs();
    let per_image = (maps * side * side * size_of::<f32>()) as u64;
    let starts = |axis: usize| crate::window::starts_along(side, axis, inference).max(1);
    let chunk = if spatial {
        Chunk {
            windows_per_image: starts(0) * starts(1),
            passes: PASSES,
            per_image,
        }
    } else {
        Chunk {
            windows_per_image: 1,
            passes: 1,
            per_image,
        }
    };
    let most_windows = (MOST_PIXELS / (height * width).max(1)).clamp(1, MOST_WINDOWS);
    Some(fit([one, two], most_windows, chunk, under_way as u64))
}

/// What a chunk is made of.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    windows_per_image: usize,
    passes: usize,
    /// Bytes, besides those of passes.
    per_image: u64,
}

/// Passes grow with their windows as they did from one to two, chunks with their images.
fn fit([one, two]: [Gauge; 2], most_windows: usize, chunk: Chunk, under_way: u64) -> Batch {
    let planned = (one.total as f64 * PLANNED) as u64;
    let per_window = two.reserved.saturating_sub(one.reserved).max(1);
    let fixed = one.reserved.saturating_sub(per_window);
    let free = planned.saturating_sub(fixed) / under_way;
    // In powers of two, for which kernels are tuned once.
    let images_for = |windows: usize| (chunk.passes * windows).div_ceil(chunk.windows_per_image);
    let fits = |windows: &usize| {
        let bytes = (*windows as u64).saturating_mul(per_window);
        bytes.saturating_add(images_for(*windows) as u64 * chunk.per_image) <= free
    };
    let sizes = (0..).map(|power| 1_usize << power);
    let windows = sizes
        .take_while(|&windows| windows <= most_windows)
        .take_while(fits)
        .last();
    Batch {
        windows: windows.unwrap_or(1),
        images: windows.map_or(1, images_for),
    }
}

/// What a device tells of its memory; only NVIDIA cards do.
fn read_gauge<B: Backend>(device: &B::Device) -> Option<Gauge> {
    #[cfg(feature = "cuda")]
    {
        use cubecl::Runtime;
        use cubecl::cuda::{CudaDevice, CudaRuntime};
        let device: &dyn std::any::Any = device;
        let client = CudaRuntime::client(device.downcast_ref::<CudaDevice>()?);
        Some(Gauge {
            // A page may be as large as a quarter of the memory.
            total: 4 * client.properties().memory.max_page_size,
            reserved: client.memory_usage().ok()?.bytes_reserved,
        })
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = device;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    const NINE_WINDOWS: Chunk = Chunk {
        windows_per_image: 9,
        passes: 4,
        per_image: 0,
    };

    /// A card of `total` GiB on which weights take one GiB and a window `per_window` bytes.
    fn batch(total: u64, per_window: u64, chunk: Chunk, under_way: u64) -> [usize; 2] {
        let gauge = |windows: u64| Gauge {
            total: total * GIB,
            reserved: GIB + windows * per_window,
        };
        let Batch { windows, images } = fit([gauge(1), gauge(2)], 16, chunk, under_way);
        [windows, images]
    }

    #[test]
    fn the_largest_power_of_two_that_fits_is_taken() {
        // 0.8 · 10 − 1 = 7 GiB for windows of 0.5 GiB: 14, so 8, and four times as many in images of
        // nine windows.
        assert_eq!(batch(10, GIB / 2, NINE_WINDOWS, 1), [8, 4]);
        // Two chunks under way have half each.
        assert_eq!(batch(10, GIB / 2, NINE_WINDOWS, 2), [4, 2]);
        // Whole images count as well.
        let large = Chunk {
            per_image: 4 * GIB,
            ..NINE_WINDOWS
        };
        assert_eq!(batch(10, GIB / 2, large, 1), [2, 1]);
        // Images that are computed whole are one pass.
        let whole = Chunk {
            windows_per_image: 1,
            passes: 1,
            per_image: 0,
        };
        assert_eq!(batch(10, GIB / 2, whole, 1), [8, 8]);
    }

    #[test]
    fn a_large_card_is_not_filled_and_a_small_one_tries_the_least() {
        assert_eq!(batch(1000, GIB / 2, NINE_WINDOWS, 1), [16, 8]);
        let one_window = Chunk {
            windows_per_image: 1,
            ..NINE_WINDOWS
        };
        assert_eq!(batch(1, GIB, one_window, 1), [1, 1]);
    }
}
