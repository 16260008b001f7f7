//! Counting the arithmetic of a forward pass, for benchmarks.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Runs `pass` and counts the floating-point operations of its convolutions and matrix products: a
/// multiplication and an addition per weight and position, however a kernel gets the result. The last
/// linear layer of a typed classifier, a few thousand weights, is not counted. What
/// `pass` does on other threads is not seen; networks launch their layers on the calling thread.
pub fn count_operations<R>(pass: impl FnOnce() -> R) -> (R, u64) {
    let before = COUNT.replace(0);
    let result = pass();
    (result, COUNT.replace(before))
}

/// Notes `positions` results of `depth` products each.
pub(crate) fn note(positions: usize, depth: usize) {
    let operations = 2 * (positions as u64).saturating_mul(depth as u64);
    COUNT.set(COUNT.get().saturating_add(operations));
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Tensor;

    use super::*;
    use crate::{Architecture, Ensemble, Norm, UNetConfig};

    /// Two levels of two 3 × 3 convolutions, one transposed, one 1 × 1, counted by hand.
    #[test]
    fn every_layer_counts_once_per_member_and_image() {
        let architecture = Architecture::UNet(UNetConfig {
            norm: Norm::None,
            ..UNetConfig::new(3, 2, [4, 8])
        });
        let device = Default::default();
        let ensemble = Ensemble::<Flex>::new(&architecture, 2, &device).unwrap();
        let image = Tensor::zeros([3, 3, 8, 8], &device);
        let (_, counted) = count_operations(|| ensemble.forward(image));
        let encoder = 64 * 9 * (3 * 4 + 4 * 4) + 16 * 9 * (4 * 8 + 8 * 8);
        // Every pixel of the transposed convolution's answer sees one pixel of its input.
        let decoder = 64 * 8 * 4 + 64 * 9 * (8 * 4 + 4 * 4) + 64 * 4 * 2;
        assert_eq!(counted, 2 * 3 * 2 * (encoder + decoder));
        assert_eq!(count_operations(|| ()).1, 0);
    }
}
