//! Which kernels layers run on, and what they give.

use burn::backend::Flex;
use burn::module::Module;
use burn::nn::conv::{Conv2dConfig, ConvTranspose2dConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::tensor::Distribution;

use super::*;
use crate::Activation;
use crate::engine;
use crate::weights::Cast;
use crate::work::measure_layers;

/// The kernels that a convolution of an 8 × 8 map ran on.
fn kernels(config: Conv2dConfig, channels: usize) -> Vec<&'static str> {
    let device = Default::default();
    let conv = config.init::<Flex>(&device);
    let map = Tensor::random([1, channels, 8, 8], Distribution::Default, &device);
    let packed = engine::Packed::default();
    let run = || engine::FusedConvolution::bare(&packed, &conv).forward(vec![map]);
    let (_, layers) = measure_layers(run);
    layers.into_iter().map(|layer| layer.kernel).collect()
}

fn square(channels: [usize; 2], side: usize) -> Conv2dConfig {
    let padding = (side - 1) / 2;
    Conv2dConfig::new(channels, [side; 2]).with_padding(PaddingConfig2d::Explicit(
        padding, padding, padding, padding,
    ))
}

#[test]
fn every_layer_runs_on_the_kernel_meant_for_it() {
    assert_eq!(kernels(square([16, 8], 3), 16), ["winograd"]);
    // Too few channels for the transforms to pay.
    assert_eq!(kernels(square([6, 8], 3), 6), ["product"]);
    let strided = square([16, 8], 3).with_stride([2, 2]);
    assert_eq!(kernels(strided, 16), ["product"]);
    let dilated = square([16, 8], 3).with_dilation([2, 2]);
    assert_eq!(kernels(dilated, 16), ["product"]);
    assert_eq!(kernels(square([16, 8], 1), 16), ["product"]);
    let depthwise = square([16, 16], 5).with_groups(16);
    assert_eq!(kernels(depthwise, 16), ["depthwise"]);
    // Groups of several channels are burn's.
    let grouped = square([16, 16], 3).with_groups(4);
    assert_eq!(kernels(grouped, 16), [""; 0]);
}

#[test]
fn a_convolution_pools_its_results_itself() {
    let device = Default::default();
    let run = |config: Conv2dConfig, side: usize, ceil_mode: bool| {
        let conv = config.init::<Flex>(&device);
        let pool = MaxPool2d {
            ceil_mode,
            ..MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init()
        };
        let packed = engine::Packed::default();
        let layer = engine::FusedConvolution {
            activation: Some(Activation::Relu),
            ..engine::FusedConvolution::bare(&packed, &conv)
        };
        let map = Tensor::random(
            [1, conv.weight.dims()[1], side, side],
            Distribution::Default,
            &device,
        );
        let (output, layers) =
            measure_layers(|| engine::convolve_pooled(&layer, &pool, map.clone()));
        let expected = pool.forward(layer.forward(vec![map]));
        output.into_data().assert_eq(&expected.into_data(), true);
        layers
            .into_iter()
            .map(|layer| layer.kernel)
            .collect::<Vec<_>>()
    };
    let stem = || square([3, 8], 7).with_stride([2, 2]);
    assert_eq!(run(stem(), 100, false), ["pooled"]);
    assert_eq!(
        run(stem(), 30, false),
        ["product", "max-pool"],
        "short rows"
    );
    assert_eq!(run(stem(), 100, true), ["product"], "a window of burn's");
    assert_eq!(run(square([16, 8], 3), 64, false), ["winograd", "max-pool"]);
}

#[test]
fn a_depthwise_layer_expands_its_input_itself() {
    let device = Default::default();
    let expand = square([8, 24], 1).init::<Flex>(&device);
    let depthwise = square([24, 24], 3).with_groups(24).init(&device);
    let kernels = |side: usize, averaged: bool| {
        let (first, second) = Default::default();
        let layer = |packed, conv| engine::FusedConvolution {
            activation: Some(Activation::Silu),
            ..engine::FusedConvolution::bare(packed, conv)
        };
        let map = Tensor::random([1, 8, side, side], Distribution::Default, &device);
        let (expansion, layer) = (layer(&first, &expand), layer(&second, &depthwise));
        let run = || engine::convolve_expanded(&expansion, &layer, map.clone(), averaged);
        let ((output, averages), layers) = measure_layers(run);
        let apart = layer.forward(vec![expansion.forward(vec![map.clone()])]);
        assert_eq!(averages.is_some(), averaged && side == 32);
        if let Some(averages) = averages {
            let apart = engine::global_average(apart.clone());
            averages.into_data().assert_eq(&apart.into_data(), true);
        }
        output.into_data().assert_eq(&apart.into_data(), true);
        let kernels: Vec<_> = layers.into_iter().map(|layer| layer.kernel).collect();
        kernels
    };
    assert_eq!(kernels(32, false), ["expanded"]);
    assert_eq!(kernels(32, true), ["expanded"]);
    // Too small: weights would be read for every few pixels.
    assert_eq!(kernels(8, true), ["product", "depthwise"]);
}

#[test]
fn gates_multiply_the_weights_where_those_are_fewer() {
    let device = Default::default();
    let conv = square([16, 24], 1).init::<Flex>(&device);
    let kernels = |side: usize| {
        let packed = engine::Packed::default();
        let layer = engine::FusedConvolution {
            activation: Some(Activation::Relu),
            ..engine::FusedConvolution::bare(&packed, &conv)
        };
        let random =
            |shape: [usize; 4]| Tensor::<Flex, 4>::random(shape, Distribution::Default, &device);
        let map = engine::laid_out(random([2, 16, side, side]), false);
        let gates = random([2, 16, 1, 1]);
        let residual = random([2, 24, side, side]);
        let product = conv.forward(map.clone() * gates.clone()) + residual.clone();
        let expected = Activation::Relu.forward(product).into_data();
        let run = || engine::convolve_scaled(&layer, map, gates, Some(residual));
        let (output, layers) = measure_layers(run);
        let tolerance = burn::tensor::Tolerance::<f32>::rel_abs(1e-5, 1e-6);
        output.into_data().assert_approx_eq(&expected, tolerance);
        let kernels: Vec<_> = layers.into_iter().map(|layer| layer.kernel).collect();
        kernels
    };
    assert_eq!(kernels(8), ["product"]);
    assert_eq!(kernels(4), ["arithmetic", "product"]);
}

#[test]
fn sums_take_the_place_of_residuals_that_nobody_else_holds() {
    let device = Default::default();
    let start = |map: &Tensor<Flex, 4>| f32::storage(&flex_of(map).unwrap()).as_ptr();
    for config in [square([16, 16], 3), square([16, 16], 1)] {
        let conv = config.init::<Flex>(&device);
        let packed = engine::Packed::default();
        let layer = engine::FusedConvolution {
            activation: Some(Activation::Silu),
            ..engine::FusedConvolution::bare(&packed, &conv)
        };
        let random = || Tensor::random([2, 16, 9, 9], Distribution::Default, &device);
        let map: Tensor<Flex, 4> = engine::laid_out(random(), false);
        let expected = |residual: &Tensor<Flex, 4>| {
            let sum = conv.forward(map.clone()) + residual.clone();
            Activation::Silu.forward(sum).into_data()
        };
        let run = |residual| layer.forward_onto(vec![map.clone()], Some(residual));
        let tolerance = burn::tensor::Tolerance::<f32>::rel_abs(1e-5, 1e-5);

        let residual = engine::laid_out(random(), false);
        let (before, sum, held) = (residual.to_data(), expected(&residual), start(&residual));
        let output = run(residual.clone());
        assert_ne!(start(&output), held, "held here");
        output.into_data().assert_approx_eq(&sum, tolerance);
        residual.to_data().assert_eq(&before, true);

        let output = run(residual);
        assert_eq!(start(&output), held, "given away");
        output.into_data().assert_approx_eq(&sum, tolerance);

        let sum = expected(&map);
        let output = run(map.clone());
        output.into_data().assert_approx_eq(&sum, tolerance);
        // A part of a map is not all that its memory holds.
        let both = Tensor::cat(vec![random(), random()], 0);
        let part = engine::laid_out(both, false).narrow(0, 2, 2);
        let sum = expected(&part);
        run(part).into_data().assert_approx_eq(&sum, tolerance);
    }
}

/// On tiles where the machine has some, else on kernels of f32, and close to those either way.
#[test]
fn bf16_has_its_own_road() {
    let device = Default::default();
    let tiles = TileSet::current().is_some();
    let close = burn::tensor::Tolerance::<f32>::rel_abs(2e-2, 2e-2);
    let map = Tensor::<Flex, 4>::random([1, 16, 8, 8], Distribution::Default, &device);
    let run = |conv: &Conv2d<Flex>, map: Tensor<Flex, 4>| {
        let packed = engine::Packed::default();
        measure_layers(|| engine::FusedConvolution::bare(&packed, conv).forward(vec![map]))
    };
    for (config, in_f32) in [
        (square([16, 8], 3), "winograd"),
        (square([16, 8], 1), "product"),
        (square([16, 16], 3).with_groups(16), "depthwise"),
    ] {
        let conv = config.init::<Flex>(&device);
        let (expected, _) = run(&conv, map.clone());
        let conv = conv.map(&mut Cast(FloatDType::BF16));
        let (output, layers) = run(&conv, engine::cast(map.clone(), FloatDType::BF16));
        let on_tiles = tiles && in_f32 != "depthwise";
        assert_eq!(layers[0].kernel, if on_tiles { "tiles" } else { in_f32 });
        assert_eq!(output.dtype(), DType::BF16);
        let output = engine::cast(output, FloatDType::F32).into_data();
        output.assert_approx_eq(&expected.into_data(), close);
    }
    let config = ConvTranspose2dConfig::new([16, 4], [2, 2]).with_stride([2, 2]);
    let conv = config.init::<Flex>(&device);
    let run = |conv: &ConvTranspose2d<Flex>, map: Tensor<Flex, 4>| {
        measure_layers(|| engine::convolve_transposed(&engine::Packed::default(), conv, map))
    };
    let (expected, _) = run(&conv, map.clone());
    let conv = conv.map(&mut Cast(FloatDType::BF16));
    let (output, layers) = run(&conv, engine::cast(map, FloatDType::BF16));
    let kernel = if tiles {
        "transposed tiles"
    } else {
        "transposed"
    };
    assert_eq!(layers[0].kernel, kernel);
    let output = engine::cast(output, FloatDType::F32).into_data();
    output.assert_approx_eq(&expected.into_data(), close);
}

#[test]
fn doubling_the_resolution_runs_on_its_kernel() {
    let device = Default::default();
    let config = ConvTranspose2dConfig::new([8, 4], [2, 2]).with_stride([2, 2]);
    let conv = config.init::<Flex>(&device);
    let map = Tensor::random([1, 8, 4, 4], Distribution::Default, &device);
    let run = || engine::convolve_transposed(&engine::Packed::default(), &conv, map);
    let (_, layers) = measure_layers(run);
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0].kernel, "transposed");
    assert_eq!(layers[0].shape, [1, 4, 8, 8]);
    assert_eq!(layers[0].operations(), 2 * 64 * 4 * 8);
}
