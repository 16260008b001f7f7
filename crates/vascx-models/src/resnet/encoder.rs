//! The stem and the four stages of a ResNet: of the classifier, and of the U-Nets that start with
//! one.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::{Tensor, backend::Backend};

use super::ResNetDepth;
use crate::Activation;
use crate::conv_layer::padded_conv;
use crate::fused::{FusedConvolution, Packed, max_pool};

/// What [`ResNetEncoder`] is built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResNetEncoderConfig {
    pub(crate) depth: ResNetDepth,
    pub(crate) in_channels: usize,
    /// Channels after the stem.
    pub(crate) width: usize,
    /// Added to the variance by batch normalisation.
    pub(crate) epsilon: f64,
}

impl ResNetEncoderConfig {
    /// Channels at 1/2 (stem), 1/4, 1/8, 1/16 and 1/32 (stages) of the resolution.
    pub(crate) fn channels(&self) -> [usize; 5] {
        let stage = |index: usize| (self.width << index) * self.depth.expansion();
        [self.width, stage(0), stage(1), stage(2), stage(3)]
    }

    pub(crate) fn init<B: Backend>(&self, device: &B::Device) -> ResNetEncoder<B> {
        let blocks = self.depth.blocks_per_stage();
        let channels = self.channels();
        let stage = |stage: usize| {
            let blocks = (0..blocks[stage]).map(|index| {
                let first = index == 0;
                let inputs = channels[if first { stage } else { stage + 1 }];
                let stride = if first && stage > 0 { 2 } else { 1 };
                Block::new(self, inputs, self.width << stage, stride, device)
            });
            blocks.collect()
        };
        ResNetEncoder {
            conv1: conv(self.in_channels, self.width, 7, 2, device),
            bn1: self.batch_norm(self.width, device),
            packed: Packed::default(),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }

    fn batch_norm<B: Backend>(&self, channels: usize, device: &B::Device) -> BatchNorm<B> {
        BatchNormConfig::new(channels)
            .with_epsilon(self.epsilon)
            .init(device)
    }
}

/// Stem and stages, input `[N, C, H, W]`.
#[derive(Module, Debug)]
pub(crate) struct ResNetEncoder<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    #[module(skip)]
    packed: Packed,
    maxpool: MaxPool2d,
    layer1: Vec<Block<B>>,
    layer2: Vec<Block<B>>,
    layer3: Vec<Block<B>>,
    layer4: Vec<Block<B>>,
}

impl<B: Backend> ResNetEncoder<B> {
    /// The features of the last stage, at 1/32 of the resolution.
    pub(crate) fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let stages = [&self.layer1, &self.layer2, &self.layer3, &self.layer4];
        let stem = max_pool(&self.maxpool, self.stem(image));
        let stages = stages.into_iter();
        stages.fold(stem, |features, stage| run(features, stage))
    }

    /// The features of the stem and of every stage, highest resolution first.
    pub(crate) fn pyramid(&self, image: Tensor<B, 4>) -> [Tensor<B, 4>; 5] {
        let stem = self.stem(image);
        let first = run(max_pool(&self.maxpool, stem.clone()), &self.layer1);
        let second = run(first.clone(), &self.layer2);
        let third = run(second.clone(), &self.layer3);
        let fourth = run(third.clone(), &self.layer4);
        [stem, first, second, third, fourth]
    }

    fn stem(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let layer = FusedConvolution {
            packed: &self.packed,
            conv: &self.conv1,
            norm: Some(&self.bn1),
            activation: Some(Activation::Relu),
        };
        layer.forward(vec![image])
    }
}

fn run<B: Backend>(features: Tensor<B, 4>, stage: &[Block<B>]) -> Tensor<B, 4> {
    stage
        .iter()
        .fold(features, |features, block| block.forward(features))
}

/// Basic block (two convolutions) or bottleneck (three).
#[derive(Module, Debug)]
struct Block<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    conv2: Conv2d<B>,
    bn2: BatchNorm<B>,
    conv3: Option<Conv2d<B>>,
    bn3: Option<BatchNorm<B>>,
    downsample: Option<Downsample<B>>,
    /// Of the three convolutions.
    #[module(skip)]
    packed: [Packed; 3],
}

impl<B: Backend> Block<B> {
    fn new(
        config: &ResNetEncoderConfig,
        inputs: usize,
        width: usize,
        stride: usize,
        device: &B::Device,
    ) -> Self {
        let outputs = width * config.depth.expansion();
        let bottleneck = config.depth.has_bottlenecks();
        let (conv1, conv2) = if bottleneck {
            (
                conv(inputs, width, 1, 1, device),
                conv(width, width, 3, stride, device),
            )
        } else {
            (
                conv(inputs, width, 3, stride, device),
                conv(width, width, 3, 1, device),
            )
        };
        Self {
            conv1,
            bn1: config.batch_norm(width, device),
            conv2,
            bn2: config.batch_norm(width, device),
            conv3: bottleneck.then(|| conv(width, outputs, 1, 1, device)),
            bn3: bottleneck.then(|| config.batch_norm(outputs, device)),
            downsample: (stride != 1 || inputs != outputs).then(|| Downsample {
                conv: conv(inputs, outputs, 1, stride, device),
                bn: config.batch_norm(outputs, device),
                packed: Packed::default(),
            }),
            packed: Default::default(),
        }
    }

    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = match &self.downsample {
            Some(Downsample { conv, bn, packed }) => {
                let layer = FusedConvolution {
                    norm: Some(bn),
                    ..FusedConvolution::bare(packed, conv)
                };
                layer.forward(vec![input.clone()])
            }
            None => input.clone(),
        };
        let [packed1, packed2, packed3] = &self.packed;
        let run = |packed, conv, bn, input, residual| {
            let layer = FusedConvolution {
                packed,
                conv,
                norm: Some(bn),
                activation: Some(Activation::Relu),
            };
            layer.forward_onto(vec![input], residual)
        };
        let features = run(packed1, &self.conv1, &self.bn1, input, None);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let features = run(packed2, &self.conv2, &self.bn2, features, None);
                run(packed3, conv3, bn3, features, Some(shortcut))
            }
            _ => run(packed2, &self.conv2, &self.bn2, features, Some(shortcut)),
        }
    }
}

/// Projection of the shortcut where a block changes shape.
#[derive(Module, Debug)]
struct Downsample<B: Backend> {
    conv: Conv2d<B>,
    bn: BatchNorm<B>,
    #[module(skip)]
    packed: Packed,
}

/// A convolution without bias: a norm follows.
fn conv<B: Backend>(
    inputs: usize,
    outputs: usize,
    kernel_size: usize,
    stride: usize,
    device: &B::Device,
) -> Conv2d<B> {
    padded_conv(inputs, outputs, kernel_size, stride)
        .with_bias(false)
        .init(device)
}
