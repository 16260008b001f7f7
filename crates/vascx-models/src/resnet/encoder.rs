//! The stem and the four stages of a ResNet: of the classifier, and of the U-Nets that start with
//! one.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, backend::Backend};
use vascx_graph::Arg;

use super::ResNetDepth;
use crate::conv_layer::ConvLayerConfig;
use crate::writer::{GraphWriter, Written};
use crate::{Activation, Norm};

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

    /// The blocks of a stage.
    fn stage(&self, stage: usize) -> impl Iterator<Item = BlockConfig> {
        let channels = self.channels();
        (0..self.depth.blocks_per_stage()[stage]).map(move |index| {
            let first = index == 0;
            BlockConfig {
                inputs: channels[if first { stage } else { stage + 1 }],
                width: self.width << stage,
                outputs: channels[stage + 1],
                stride: if first && stage > 0 { 2 } else { 1 },
                bottleneck: self.depth.has_bottlenecks(),
                epsilon: self.epsilon,
            }
        })
    }

    fn stem(&self) -> ConvLayerConfig {
        conv(self.in_channels, self.width, 7, 2)
    }

    pub(crate) fn init<B: Backend>(&self, device: &B::Device) -> ResNetEncoder<B> {
        let stage = |stage| self.stage(stage).map(|block| block.init(device)).collect();
        ResNetEncoder {
            conv1: self.stem().init_conv(device),
            bn1: batch_norm(self.width, self.epsilon, device),
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

    /// The features of the stem and of every stage, highest resolution first.
    pub(crate) fn write(&self, net: &mut GraphWriter, name: &str, image: Arg) -> Written<[Arg; 5]> {
        let epsilon = self.epsilon;
        let stem = net.conv(&format!("{name}.conv1"), image, &self.stem())?;
        let stem = net.norm(&format!("{name}.bn1"), stem, Norm::Batch { epsilon })?;
        let stem = net.activation(stem, Activation::Relu)?;
        let mut map = net.max_pool(stem, 3, 2, 1)?;
        let mut pyramid = [stem; 5];
        for stage in 0..4 {
            for (index, block) in self.stage(stage).enumerate() {
                map = block.write(net, &format!("{name}.layer{}.{index}", stage + 1), map)?;
            }
            pyramid[stage + 1] = map;
        }
        Ok(pyramid)
    }
}

/// Stem and stages, input `[N, C, H, W]`.
#[derive(Module, Debug)]
pub(crate) struct ResNetEncoder<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    maxpool: MaxPool2d,
    layer1: Vec<Block<B>>,
    layer2: Vec<Block<B>>,
    layer3: Vec<Block<B>>,
    layer4: Vec<Block<B>>,
}

impl<B: Backend> ResNetEncoder<B> {
    /// The features of the stem and of every stage, highest resolution first.
    pub(crate) fn pyramid(&self, image: Tensor<B, 4>) -> [Tensor<B, 4>; 5] {
        let stem = relu(self.bn1.forward(self.conv1.forward(image)));
        let first = run(self.maxpool.forward(stem.clone()), &self.layer1);
        let second = run(first.clone(), &self.layer2);
        let third = run(second.clone(), &self.layer3);
        let fourth = run(third.clone(), &self.layer4);
        [stem, first, second, third, fourth]
    }
}

fn run<B: Backend>(features: Tensor<B, 4>, stage: &[Block<B>]) -> Tensor<B, 4> {
    stage
        .iter()
        .fold(features, |features, block| block.forward(features))
}

/// What a [`Block`] is built from.
#[derive(Clone, Copy, Debug)]
struct BlockConfig {
    inputs: usize,
    /// Between the convolutions.
    width: usize,
    outputs: usize,
    stride: usize,
    bottleneck: bool,
    epsilon: f64,
}

impl BlockConfig {
    /// The convolutions, two or three.
    fn convs(&self) -> Vec<ConvLayerConfig> {
        let (inputs, width, stride) = (self.inputs, self.width, self.stride);
        if self.bottleneck {
            vec![
                conv(inputs, width, 1, 1),
                conv(width, width, 3, stride),
                conv(width, self.outputs, 1, 1),
            ]
        } else {
            vec![conv(inputs, width, 3, stride), conv(width, width, 3, 1)]
        }
    }

    /// Of the shortcut, where the block changes shape.
    fn projection(&self) -> Option<ConvLayerConfig> {
        let changes = self.stride != 1 || self.inputs != self.outputs;
        changes.then(|| conv(self.inputs, self.outputs, 1, self.stride))
    }

    fn init<B: Backend>(self, device: &B::Device) -> Block<B> {
        let norm = |layer: &ConvLayerConfig| batch_norm(layer.outputs, self.epsilon, device);
        let convs = self.convs();
        Block {
            conv1: convs[0].init_conv(device),
            bn1: norm(&convs[0]),
            conv2: convs[1].init_conv(device),
            bn2: norm(&convs[1]),
            conv3: convs.get(2).map(|layer| layer.init_conv(device)),
            bn3: convs.get(2).map(norm),
            downsample: self.projection().map(|layer| Downsample {
                conv: layer.init_conv(device),
                bn: norm(&layer),
            }),
        }
    }

    fn write(self, net: &mut GraphWriter, name: &str, input: Arg) -> Written {
        let epsilon = self.epsilon;
        let norm = Norm::Batch { epsilon };
        let shortcut = match self.projection() {
            Some(layer) => {
                let projected = net.conv(&format!("{name}.downsample.conv"), input, &layer)?;
                net.norm(&format!("{name}.downsample.bn"), projected, norm)?
            }
            None => input,
        };
        let convs = self.convs();
        let mut map = input;
        for (index, layer) in convs.iter().enumerate() {
            map = net.conv(&format!("{name}.conv{}", index + 1), map, layer)?;
            map = net.norm(&format!("{name}.bn{}", index + 1), map, norm)?;
            if index + 1 == convs.len() {
                map = net.sum(map, shortcut)?;
            }
            map = net.activation(map, Activation::Relu)?;
        }
        Ok(map)
    }
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
}

impl<B: Backend> Block<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let shortcut = match &self.downsample {
            Some(Downsample { conv, bn }) => bn.forward(conv.forward(input.clone())),
            None => input.clone(),
        };
        let mut features = relu(self.bn1.forward(self.conv1.forward(input)));
        features = self.bn2.forward(self.conv2.forward(features));
        if let (Some(conv3), Some(bn3)) = (&self.conv3, &self.bn3) {
            features = bn3.forward(conv3.forward(relu(features)));
        }
        relu(features + shortcut)
    }
}

/// Projection of the shortcut where a block changes shape.
#[derive(Module, Debug)]
struct Downsample<B: Backend> {
    conv: Conv2d<B>,
    bn: BatchNorm<B>,
}

/// A convolution without bias: a norm follows.
fn conv(inputs: usize, outputs: usize, kernel_size: usize, stride: usize) -> ConvLayerConfig {
    ConvLayerConfig {
        kernel_size,
        stride,
        ..ConvLayerConfig::new(inputs, outputs)
    }
}

fn batch_norm<B: Backend>(channels: usize, epsilon: f64, device: &B::Device) -> BatchNorm<B> {
    BatchNormConfig::new(channels)
        .with_epsilon(epsilon)
        .init(device)
}
