//! ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016,
//! <https://arxiv.org/abs/1512.03385>), in torchvision's arrangement (stride in the 3 × 3
//! convolution of a bottleneck).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::fused::{Packed, convolve, convolve_onto, global_average, max_pool};
use crate::{Activation, ConfigError, MAX_CHANNELS};

/// Published depths of a [`ResNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum ResNetDepth {
    /// Basic blocks, 2-2-2-2.
    D18,
    /// Basic blocks, 3-4-6-3.
    D34,
    /// Bottleneck blocks, 3-4-6-3.
    D50,
}

impl ResNetDepth {
    /// Every supported depth.
    pub const ALL: [Self; 3] = [Self::D18, Self::D34, Self::D50];

    /// Blocks in each of the four stages.
    pub fn blocks_per_stage(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
        }
    }

    /// Whether blocks are bottlenecks (1 × 1, 3 × 3, 1 × 1) that quadruple the width.
    pub fn has_bottlenecks(self) -> bool {
        self == Self::D50
    }

    fn expansion(self) -> usize {
        if self.has_bottlenecks() { 4 } else { 1 }
    }
}

impl From<ResNetDepth> for u16 {
    fn from(depth: ResNetDepth) -> Self {
        match depth {
            ResNetDepth::D18 => 18,
            ResNetDepth::D34 => 34,
            ResNetDepth::D50 => 50,
        }
    }
}

impl TryFrom<u16> for ResNetDepth {
    type Error = ConfigError;

    fn try_from(depth: u16) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|&known| u16::from(known) == depth)
            .ok_or_else(|| ConfigError::new("resnet", "`depth` must be 18, 34 or 50"))
    }
}

/// Configuration of a [`ResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetConfig {
    /// 18, 34 or 50.
    pub depth: ResNetDepth,
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes of a classifier, values of a regressor.
    pub outputs: usize,
    /// Channels after the stem; 64 in the published networks.
    pub width: usize,
    /// Added to the variance by batch normalisation.
    pub epsilon: f64,
}

impl ResNetConfig {
    /// The published network of this depth with `outputs` class logits or regressed values.
    pub fn new(depth: ResNetDepth, in_channels: usize, outputs: usize) -> Self {
        Self {
            depth,
            in_channels,
            outputs,
            width: 64,
            epsilon: 1e-5,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let sizes = [self.in_channels, self.outputs, self.width];
        if !sizes.iter().all(|size| (1..=MAX_CHANNELS).contains(size)) {
            return Err(ConfigError::new(
                "resnet",
                "channels, outputs and width must be 1 to 65536",
            ));
        }
        Ok(())
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When a size is zero.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ResNet<B>, ConfigError> {
        self.validate()?;
        let mut channels = self.width;
        let mut stages =
            self.depth
                .blocks_per_stage()
                .into_iter()
                .enumerate()
                .map(|(stage, count)| {
                    (0..count)
                        .map(|index| {
                            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                            let block =
                                Block::new(self, channels, self.width << stage, stride, device);
                            channels = (self.width << stage) * self.depth.expansion();
                            block
                        })
                        .collect::<Vec<_>>()
                });
        let mut next_stage = || stages.next().expect("four stages");
        let (layer1, layer2, layer3, layer4) =
            (next_stage(), next_stage(), next_stage(), next_stage());
        Ok(ResNet {
            conv1: conv(self.in_channels, self.width, 7, 2, device),
            bn1: self.batch_norm(self.width, device),
            packed: Packed::default(),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layer1,
            layer2,
            layer3,
            layer4,
            fc: LinearConfig::new((self.width << 3) * self.depth.expansion(), self.outputs)
                .init(device),
        })
    }

    fn batch_norm<B: Backend>(&self, channels: usize, device: &B::Device) -> BatchNorm<B> {
        BatchNormConfig::new(channels)
            .with_epsilon(self.epsilon)
            .init(device)
    }
}

/// ResNet, input `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
#[derive(Module, Debug)]
pub struct ResNet<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    #[module(skip)]
    packed: Packed,
    maxpool: MaxPool2d,
    layer1: Vec<Block<B>>,
    layer2: Vec<Block<B>>,
    layer3: Vec<Block<B>>,
    layer4: Vec<Block<B>>,
    fc: Linear<B>,
}

impl<B: Backend> ResNet<B> {
    /// Logits or values `[N, outputs]` of an image `[N, in_channels, H, W]` of at least 1 × 1.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 2> {
        let relu = Some(Activation::Relu);
        let stem = convolve(
            &self.packed,
            &self.conv1,
            Some(&self.bn1),
            vec![image],
            relu,
        );
        let features = [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
            .fold(max_pool(&self.maxpool, stem), |features, block| {
                block.forward(features)
            });
        self.fc.forward(global_average(features).flatten(1, 3))
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
    /// Of the three convolutions.
    #[module(skip)]
    packed: [Packed; 3],
}

impl<B: Backend> Block<B> {
    fn new(
        config: &ResNetConfig,
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
                convolve(packed, conv, Some(bn), vec![input.clone()], None)
            }
            None => input.clone(),
        };
        let [packed1, packed2, packed3] = &self.packed;
        let activation = Some(Activation::Relu);
        let run = |packed, conv, bn, input, residual| {
            convolve_onto(packed, conv, Some(bn), vec![input], residual, activation)
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

/// Bias-free convolution padded so that stride 1 keeps height and width.
fn conv<B: Backend>(
    inputs: usize,
    outputs: usize,
    kernel_size: usize,
    stride: usize,
    device: &B::Device,
) -> Conv2d<B> {
    let padding = kernel_size / 2;
    Conv2dConfig::new([inputs, outputs], [kernel_size, kernel_size])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(
            padding, padding, padding, padding,
        ))
        .with_bias(false)
        .init(device)
}
