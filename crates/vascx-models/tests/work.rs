//! The arithmetic of a pass is counted and timed layer by layer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::Flex;
use burn::tensor::Tensor;
use vascx_graph::{count_operations, measure_layers};
use vascx_models::{Architecture, Ensemble, Norm, UNetConfig};

/// One test at a time: a thread of the pool that waits may take up what another test begins there.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes run on a thread of the pool, and may be called from one.
#[test]
fn layers_are_seen_wherever_a_pass_runs() {
    let _alone = alone();
    let device = Default::default();
    let architecture = Architecture::UNet(UNetConfig::new(3, 2, [4, 8]));
    let ensemble = Ensemble::<Flex>::new(&architecture, 1, &device).unwrap();
    let image = Tensor::zeros([1, 3, 8, 8], &device);
    let twice = || {
        let ((), layers) = measure_layers(|| {
            ensemble.forward(image.clone());
            ensemble.forward(image.clone());
        });
        layers.len()
    };
    let (_, once) = measure_layers(|| ensemble.forward(image.clone()));
    assert!(once.len() > 6, "{once:?}");
    assert_eq!(twice(), 2 * once.len());
    assert_eq!(vascx_kernels::on_all_cores(twice), 2 * once.len());
}

/// A thread that waits in a pass may take up another pass meanwhile.
#[test]
fn layers_of_passes_that_nobody_measures_are_left_out() {
    let _alone = alone();
    let device = Default::default();
    let architecture = Architecture::UNet(UNetConfig::new(3, 2, [4, 8]));
    let ensemble = Ensemble::<Flex>::new(&architecture, 1, &device).unwrap();
    let image = Tensor::zeros([1, 3, 32, 32], &device);
    let (_, alone) = measure_layers(|| ensemble.forward(image.clone()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..400).for_each(|_| drop(ensemble.forward(image.clone()))));
        }
        for _ in 0..400 {
            let (_, layers) = measure_layers(|| ensemble.forward(image.clone()));
            assert_eq!(layers.len(), alone.len());
        }
    });
}

/// Two levels of two 3 × 3 convolutions, one transposed, one 1 × 1, counted by hand.
#[test]
fn every_layer_counts_once_per_member_and_image() {
    let _alone = alone();
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
