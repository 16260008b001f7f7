//! The networks train: a few optimiser steps on one batch reduce the loss.

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::nn::loss::{CrossEntropyLossConfig, MseLoss, Reduction};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, Int, Tensor, backend::Backend};
use vascx_models::{Activation, Norm, ResNetConfig, ResNetDepth, UNetConfig, Upsampling};

/// NdArray when that feature is on, else Flex.
#[cfg(feature = "ndarray")]
type TestBackend = burn::backend::NdArray;
#[cfg(not(feature = "ndarray"))]
type TestBackend = burn::backend::Flex;

type Training = Autodiff<TestBackend>;

/// Runs `steps` of Adam and returns the loss before the first and after the last.
fn train<M: AutodiffModule<Training>>(
    mut model: M,
    steps: usize,
    loss_of: impl Fn(&M) -> Tensor<Training, 1>,
) -> (f32, f32) {
    let mut optimizer = AdamConfig::new().init();
    let first = loss_of(&model).into_scalar();
    for _ in 0..steps {
        let gradients = loss_of(&model).backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        model = optimizer.step(1e-2, model, gradients);
    }
    (first, loss_of(&model).into_scalar())
}

fn random_image(shape: [usize; 4]) -> Tensor<Training, 4> {
    let device = Default::default();
    TestBackend::seed(&device, 7);
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device)
}

#[test]
fn unet_with_deep_supervision_learns_to_segment() {
    let device = Default::default();
    let image = random_image([2, 3, 16, 16]);
    // Learnable from one pixel: the sign of the first channel.
    let truth: Tensor<Training, 1, Int> = image
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
    let unet = config.init::<Training>(&device).unwrap();
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

#[test]
fn instance_norm_unet_learns_a_heatmap() {
    let device = Default::default();
    let image = random_image([2, 1, 16, 16]);
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
    let unet = config.init::<Training>(&device).unwrap();
    let (before, after) = train(unet, 30, |unet| {
        MseLoss::new().forward(unet.forward(image.clone()), target.clone(), Reduction::Mean)
    });
    assert!(
        after < 0.6 * before,
        "mean squared error {before} → {after}"
    );
}

#[test]
fn resnet_learns_to_regress() {
    let device = Default::default();
    let image = random_image([4, 3, 32, 32]);
    let target = Tensor::<Training, 2>::from_floats([[0.0], [1.0], [2.0], [3.0]], &device);
    let config = ResNetConfig {
        width: 4,
        ..ResNetConfig::new(ResNetDepth::D18, 3, 1)
    };
    let resnet = config.init::<Training>(&device).unwrap();
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
