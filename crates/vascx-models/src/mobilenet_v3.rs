//! MobileNetV3: Howard et al., "Searching for MobileNetV3" (ICCV 2019,
//! <https://arxiv.org/abs/1905.02244>), in torchvision's arrangement. Dropout, which regularises
//! training, is left out.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::inverted_residual::{
    Feature, FeatureConfig, InvertedResidualConfig, run_features, write_features,
};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, MAX_LAYERS, are_sizes, is_kernel};
use vascx_graph::Graph;

/// Configuration of a [`MobileNetV3`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV3Config {
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes of a classifier, values of a regressor.
    pub outputs: usize,
    /// Channels after the stem.
    pub stem_width: usize,
    /// The blocks, highest resolution first.
    pub blocks: Vec<MobileNetV3Block>,
    /// Channels after the last convolution.
    pub head_width: usize,
    /// Values between the two layers of the classifier.
    pub hidden_width: usize,
    /// Added to the variance by batch normalisation.
    pub epsilon: f64,
}

/// One block of a [`MobileNetV3`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV3Block {
    /// Side of the depthwise convolution's kernel; odd.
    pub kernel_size: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Channels of the depthwise convolution.
    pub expanded: usize,
    /// Channels of the answer.
    pub width: usize,
    /// Channels between the two layers of the squeeze-and-excitation, if there is one.
    pub squeezed: Option<usize>,
    /// Whether the activation is [`Activation::HardSwish`], not [`Activation::Relu`].
    pub hard_swish: bool,
}

impl MobileNetV3Config {
    /// The published small network with `outputs` class logits or regressed values.
    pub fn small(in_channels: usize, outputs: usize) -> Self {
        let blocks = [
            (3, 2, 16, 16, true, false),
            (3, 2, 72, 24, false, false),
            (3, 1, 88, 24, false, false),
            (5, 2, 96, 40, true, true),
            (5, 1, 240, 40, true, true),
            (5, 1, 240, 40, true, true),
            (5, 1, 120, 48, true, true),
            (5, 1, 144, 48, true, true),
            (5, 2, 288, 96, true, true),
            (5, 1, 576, 96, true, true),
            (5, 1, 576, 96, true, true),
        ];
        Self::published(in_channels, outputs, &blocks, 576, 1024)
    }

    /// The published large network with `outputs` class logits or regressed values.
    pub fn large(in_channels: usize, outputs: usize) -> Self {
        let blocks = [
            (3, 1, 16, 16, false, false),
            (3, 2, 64, 24, false, false),
            (3, 1, 72, 24, false, false),
            (5, 2, 72, 40, true, false),
            (5, 1, 120, 40, true, false),
            (5, 1, 120, 40, true, false),
            (3, 2, 240, 80, false, true),
            (3, 1, 200, 80, false, true),
            (3, 1, 184, 80, false, true),
            (3, 1, 184, 80, false, true),
            (3, 1, 480, 112, true, true),
            (3, 1, 672, 112, true, true),
            (5, 2, 672, 160, true, true),
            (5, 1, 960, 160, true, true),
            (5, 1, 960, 160, true, true),
        ];
        Self::published(in_channels, outputs, &blocks, 960, 1280)
    }

    /// From kernel, stride, expanded channels, width, squeeze and hard swish of each block.
    fn published(
        in_channels: usize,
        outputs: usize,
        blocks: &[(usize, usize, usize, usize, bool, bool)],
        head_width: usize,
        hidden_width: usize,
    ) -> Self {
        let blocks = blocks.iter().map(
            |&(kernel_size, stride, expanded, width, squeeze, hard_swish)| MobileNetV3Block {
                kernel_size,
                stride,
                expanded,
                width,
                // A quarter, to the nearest multiple of eight.
                squeezed: squeeze.then_some((expanded / 4 + 4) / 8 * 8),
                hard_swish,
            },
        );
        Self {
            in_channels,
            outputs,
            stem_width: 16,
            blocks: blocks.collect(),
            head_width,
            hidden_width,
            epsilon: 1e-3,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless("mobilenetv3");
        let blocks = self.blocks.iter();
        let blocks = blocks.map(|block| [block.expanded, block.width, block.squeezed.unwrap_or(1)]);
        let ends = [self.in_channels, self.outputs, self.stem_width];
        let sizes = blocks.chain([ends, [self.head_width, self.hidden_width, 1]]);
        check(
            are_sizes(sizes.flatten()),
            "channels, outputs and widths must be 1 to 65536",
        )?;
        check(
            self.blocks.len() <= MAX_LAYERS,
            "must have fewer than 1000 blocks",
        )?;
        for block in &self.blocks {
            check(
                is_kernel(block.kernel_size),
                "kernels must be odd and at most 15",
            )?;
            check((1..=2).contains(&block.stride), "strides must be 1 or 2")?;
        }
        Ok(())
    }

    fn features(&self) -> Vec<FeatureConfig> {
        let layer = |channels, kernel_size, stride| {
            let activation = Activation::HardSwish;
            FeatureConfig::layer(channels, kernel_size, stride, activation, self.epsilon)
        };
        let mut features = vec![layer([self.in_channels, self.stem_width], 3, 2)];
        let mut inputs = self.stem_width;
        for block in &self.blocks {
            let activation = if block.hard_swish {
                Activation::HardSwish
            } else {
                Activation::Relu
            };
            features.push(FeatureConfig::Block(InvertedResidualConfig {
                inputs,
                expanded: block.expanded,
                outputs: block.width,
                kernel_size: block.kernel_size,
                stride: block.stride,
                squeezed: block.squeezed,
                squeeze_activations: [Activation::Relu, Activation::HardSigmoid],
                activation,
                epsilon: self.epsilon,
            }));
            inputs = block.width;
        }
        features.push(layer([inputs, self.head_width], 1, 1));
        features
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or too large.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MobileNetV3<B>, ConfigError> {
        self.validate()?;
        let features = self.features();
        let features = features.iter().map(|feature| feature.init(device));
        Ok(MobileNetV3 {
            features: features.collect(),
            hidden: LinearConfig::new(self.head_width, self.hidden_width).init(device),
            classifier: LinearConfig::new(self.hidden_width, self.outputs).init(device),
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, 32)?;
        let means = write_features(&mut net, &self.features())?;
        let hidden = net.linear("hidden", means, self.head_width, self.hidden_width)?;
        let hidden = net.activation(hidden, Activation::HardSwish)?;
        let answer = net.linear("classifier", hidden, self.hidden_width, self.outputs)?;
        net.finish(answer, 1)
    }
}

/// MobileNetV3, input `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
#[derive(Module, Debug)]
pub struct MobileNetV3<B: Backend> {
    features: Vec<Feature<B>>,
    hidden: Linear<B>,
    classifier: Linear<B>,
}

impl<B: Backend> MobileNetV3<B> {
    /// Logits or values `[N, outputs]` of an image `[N, in_channels, H, W]` of at least 1 × 1.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 2> {
        let means = run_features(&self.features, image);
        let hidden = Activation::HardSwish.forward(self.hidden.forward(means));
        self.classifier.forward(hidden)
    }
}
