//! The networks train: a few optimiser steps on one batch reduce the loss.

use burn::backend::{Flex, NdArray};
use burn::module::AutodiffModule;
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, ElementConversion, Int, Tensor, backend::Backend};
use burn_autodiff::Autodiff;
use vascx_models::{Activation, Norm, ResNetConfig, ResNetDepth, UNetConfig, Upsampling};

/// Tests on both backends for the CPU.
macro_rules! on_both_backends {
    ($($test:ident),*) => {
        mod on_flex {
            $(#[test] fn $test() { super::$test::<super::Flex>(); })*
        }
        mod on_ndarray {
            $(#[test] fn $test() { super::$test::<super::NdArray>(); })*
        }
    };
}

on_both_backends!(
    unet_with_deep_supervision_learns_to_segment,
    instance_norm_unet_learns_a_heatmap,
    resnet_learns_to_regress
);

/// Runs `steps` of Adam and returns the loss before the first and after the last.
fn train<B: Backend, M: AutodiffModule<Autodiff<B>>>(
    mut model: M,
    steps: usize,
    loss_of: impl Fn(&M) -> Tensor<Autodiff<B>, 1>,
) -> (f32, f32) {
    let mut optimizer = AdamConfig::new().init();
    let first = loss_of(&model).into_scalar().elem();
    for _ in 0..steps {
        let gradients = loss_of(&model).backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        model = optimizer.step(1e-2, model, gradients);
    }
    (first, loss_of(&model).into_scalar().elem())
}

fn random_image<B: Backend>(shape: [usize; 4]) -> Tensor<Autodiff<B>, 4> {
    let device = Default::default();
    B::seed(&device, 7);
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)
}

fn unet_with_deep_supervision_learns_to_segment<B: Backend>() {
    let device = Default::default();
    let image = random_image::<B>([2, 3, 16, 16]);
    // Learnable from one pixel: the sign of the first channel.
    let truth: Tensor<Autodiff<B>, 1, Int> = image
        .clone()
        .narrow(1, 0, 1)
        .greater_elem(0.0)
        .int()
        .flatten(0, 3);
    let config = UNetConfig {
        deep_supervision: true,
        dropout: 0.1,
        ..UNetConfig::new(3, 2, [8, 8, 8])
    };
    let unet = config.init::<Autodiff<B>>(&device).unwrap();
    let (before, after) = train(unet, 30, |unet| {
        let mut levels = unet.forward_supervised(image.clone());
        assert_eq!(
            levels.iter().map(|l| l.dims()[2]).collect::<Vec<_>>(),
            [16, 8]
        );
        let logits = levels.remove(0).permute([0, 2, 3, 1]).reshape([-1, 2]);
        CrossEntropyLossConfig::new()
            .init(&device)
            .forward(logits, truth.clone())
            + levels.remove(0).powf_scalar(2.0).mean() * 0.01
    });
    assert!(after < 0.6 * before, "cross entropy {before} → {after}");
}

fn instance_norm_unet_learns_a_heatmap<B: Backend>() {
    let device = Default::default();
    let image = random_image::<B>([2, 1, 16, 16]);
    let target = image.clone().clamp(0.0, 1.0);
    let config = UNetConfig {
        norm: Norm::Instance {
            epsilon: 1e-5,
            affine: true,
        },
        activation: Activation::LeakyRelu {
            negative_slope: 0.01,
        },
        // NdArray has no backward pass for bilinear interpolation.
        upsampling: Upsampling::Nearest { kernel_size: 1 },
        ..UNetConfig::new(1, 1, [8, 8])
    };
    let unet = config.init::<Autodiff<B>>(&device).unwrap();
    let (before, after) = train(unet, 30, |unet| {
        MseLoss::new().forward(unet.forward(image.clone()), target.clone(), Reduction::Mean)
    });
    assert!(
        after < 0.6 * before,
        "mean squared error {before} → {after}"
    );
}

fn resnet_learns_to_regress<B: Backend>() {
    let device = Default::default();
    let image = random_image::<B>([4, 3, 32, 32]);
    let target = Tensor::<Autodiff<B>, 2>::from_floats([[0.0], [1.0], [2.0], [3.0]], &device);
    let config = ResNetConfig {
        width: 4,
        ..ResNetConfig::new(ResNetDepth::D18, 3, 1)
    };
    let resnet = config.init::<Autodiff<B>>(&device).unwrap();
    let (before, after) = train(resnet, 20, |resnet| {
        MseLoss::new().forward(
            resnet.forward(image.clone()),
            target.clone(),
            Reduction::Mean,
        )
    });
    assert!(
        after < 0.5 * before,
        "mean squared error {before} → {after}"
    );
}
