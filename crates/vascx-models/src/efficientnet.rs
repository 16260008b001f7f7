//! EfficientNet: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
//! Networks" (ICML 2019, <https://arxiv.org/abs/1905.11946>), in torchvision's arrangement. Dropout
//! and stochastic depth, which regularise training, are left out.

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

/// Configuration of an [`EfficientNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes of a classifier, values of a regressor.
    pub outputs: usize,
    /// Channels after the stem.
    pub stem_width: usize,
    /// The stages, highest resolution first.
    pub stages: Vec<EfficientNetStage>,
    /// Channels before the classifier.
    pub head_width: usize,
    /// Added to the variance by batch normalisation.
    pub epsilon: f64,
}

/// Equal blocks, the first of which changes resolution and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EfficientNetStage {
    /// Channels between blocks.
    pub width: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Side of the depthwise convolutions' kernels; odd.
    pub kernel_size: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// By how much a block expands its channels.
    pub expansion: usize,
}

impl EfficientNetConfig {
    /// Strides of the published networks' stages.
    pub const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

    /// The published network B0 to B7 with `outputs` class logits or regressed values.
    ///
    /// # Errors
    /// When `variant` is above 7.
    pub fn new(variant: usize, in_channels: usize, outputs: usize) -> Result<Self, ConfigError> {
        // Multiples of B0's width and depth, in tenths.
        let scales = [
            (10, 10),
            (10, 11),
            (11, 12),
            (12, 14),
            (14, 18),
            (16, 22),
            (18, 26),
            (20, 31),
        ];
        let Some(&(width, depth)) = scales.get(variant) else {
            return Err(ConfigError::new("efficientnet", "variants are B0 to B7"));
        };
        // To the nearest multiple of eight, but never down by more than a tenth.
        let widened = |channels: usize| {
            let exact = channels * width;
            let rounded = ((exact + 40) / 80 * 8).max(8);
            if rounded * 100 < 9 * exact {
                rounded + 8
            } else {
                rounded
            }
        };
        let base: [(usize, usize, usize, usize); 7] = [
            (16, 1, 3, 1),
            (24, 2, 3, 6),
            (40, 2, 5, 6),
            (80, 3, 3, 6),
            (112, 3, 5, 6),
            (192, 4, 5, 6),
            (320, 1, 3, 6),
        ];
        let stage = |((channels, blocks, kernel_size, expansion), stride)| EfficientNetStage {
            width: widened(channels),
            blocks: usize::div_ceil(blocks * depth, 10),
            kernel_size,
            stride,
            expansion,
        };
        let stages = base.into_iter().zip(Self::STRIDES).map(stage);
        Ok(Self {
            in_channels,
            outputs,
            stem_width: widened(32),
            stages: stages.collect(),
            head_width: 4 * widened(320),
            epsilon: if variant < 5 { 1e-5 } else { 1e-3 },
        })
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless("efficientnet");
        let (first, last) = (self.stem_width, self.head_width);
        let ends = [self.in_channels, self.outputs, first, last].into_iter();
        let sizes = ends.chain(self.stages.iter().map(|stage| stage.width));
        check(
            are_sizes(sizes),
            "channels, outputs and widths must be 1 to 65536",
        )?;
        let blocks = self.stages.iter().map(|stage| stage.blocks.min(MAX_LAYERS));
        let few = self.stages.len() <= MAX_LAYERS && blocks.sum::<usize>() < MAX_LAYERS;
        check(few, "must have fewer than 1000 blocks")?;
        for stage in &self.stages {
            check(
                is_kernel(stage.kernel_size),
                "kernels must be odd and at most 15",
            )?;
            let steps = (1..=2).contains(&stage.stride) && (1..=64).contains(&stage.expansion);
            check(steps, "strides must be 1 or 2, expansions 1 to 64")?;
        }
        Ok(())
    }

    fn features(&self) -> Vec<FeatureConfig> {
        let layer = |channels, kernel_size, stride| {
            let activation = Activation::Silu;
            FeatureConfig::layer(channels, kernel_size, stride, activation, self.epsilon)
        };
        let mut features = vec![layer([self.in_channels, self.stem_width], 3, 2)];
        let mut inputs = self.stem_width;
        for stage in &self.stages {
            let blocks = (0..stage.blocks).map(|index| {
                let block = InvertedResidualConfig {
                    inputs,
                    expanded: inputs * stage.expansion,
                    outputs: stage.width,
                    kernel_size: stage.kernel_size,
                    stride: if index == 0 { stage.stride } else { 1 },
                    squeezed: Some((inputs / 4).max(1)),
                    squeeze_activations: [Activation::Silu, Activation::Sigmoid],
                    activation: Activation::Silu,
                    epsilon: self.epsilon,
                };
                inputs = stage.width;
                block
            });
            features.push(FeatureConfig::Stage(blocks.collect()));
        }
        features.push(layer([inputs, self.head_width], 1, 1));
        features
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or too large.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<EfficientNet<B>, ConfigError> {
        self.validate()?;
        let features = self.features();
        let features = features.iter().map(|feature| feature.init(device));
        Ok(EfficientNet {
            features: features.collect(),
            classifier: LinearConfig::new(self.head_width, self.outputs).init(device),
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, 32)?;
        let means = write_features(&mut net, &self.features())?;
        let answer = net.linear("classifier", means, self.head_width, self.outputs)?;
        net.finish(answer, 1)
    }
}

/// EfficientNet, input `[N, C, H, W]`, output `[N, outputs]`: class logits or regressed values.
#[derive(Module, Debug)]
pub struct EfficientNet<B: Backend> {
    features: Vec<Feature<B>>,
    classifier: Linear<B>,
}

impl<B: Backend> EfficientNet<B> {
    /// Logits or values `[N, outputs]` of an image `[N, in_channels, H, W]` of at least 1 × 1.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 2> {
        self.classifier.forward(run_features(&self.features, image))
    }
}
