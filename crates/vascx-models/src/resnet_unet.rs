//! U-Net on a ResNet encoder, in the arrangement of segmentation_models_pytorch's `Unet`: five
//! decoder blocks, nearest-neighbour up-sampling, the image itself not among the skips.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::{Graph, ResizeMode};

use crate::conv_layer::{ConvLayer, ConvLayerConfig, padded_conv};
use crate::resnet::{ResNetEncoder, ResNetEncoderConfig};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, Norm, ResNetDepth, are_sizes};

/// Configuration of a [`ResNetUNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetUNetConfig {
    /// Depth of the encoder.
    pub depth: ResNetDepth,
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes or keypoints.
    pub out_channels: usize,
    /// Channels after the encoder's stem; 64 in the published networks.
    pub encoder_width: usize,
    /// Channels of the decoder blocks, lowest resolution first.
    pub decoder_widths: [usize; 5],
    /// Added to the variance by batch normalisation.
    pub epsilon: f64,
}

impl ResNetUNetConfig {
    /// Height and width of an input must be multiples of this.
    pub const SIZE_DIVISOR: usize = 32;

    /// The library's default network on an encoder of this depth.
    pub fn new(depth: ResNetDepth, in_channels: usize, out_channels: usize) -> Self {
        Self {
            depth,
            in_channels,
            out_channels,
            encoder_width: 64,
            decoder_widths: [256, 128, 64, 32, 16],
            epsilon: 1e-5,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let ends = [self.in_channels, self.out_channels, self.encoder_width].into_iter();
        let sizes = are_sizes(ends.chain(self.decoder_widths));
        ConfigError::unless("resnetunet")(sizes, "channels and widths must be 1 to 65536")
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When a size is zero or too large.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ResNetUNet<B>, ConfigError> {
        self.validate()?;
        let encoder = self.encoder();
        let mut below = encoder.channels()[4];
        let decoder = self.skips().into_iter().zip(self.decoder_widths);
        let decoder = decoder
            .map(|(skip, outputs)| {
                let layer = |inputs| self.layer(inputs, outputs).init(device);
                let block = DecoderBlock {
                    conv1: layer(below + skip),
                    conv2: layer(outputs),
                };
                below = outputs;
                block
            })
            .collect();
        Ok(ResNetUNet {
            encoder: encoder.init(device),
            decoder,
            head: padded_conv(below, self.out_channels, 3, 1).init(device),
        })
    }

    fn encoder(&self) -> ResNetEncoderConfig {
        ResNetEncoderConfig {
            depth: self.depth,
            in_channels: self.in_channels,
            width: self.encoder_width,
            epsilon: self.epsilon,
        }
    }

    /// Channels of the skip connections, lowest resolution first; the last block has none.
    fn skips(&self) -> [usize; 5] {
        let [stem, first, second, third, _] = self.encoder().channels();
        [third, second, first, stem, 0]
    }

    fn layer(&self, inputs: usize, outputs: usize) -> ConvLayerConfig {
        let epsilon = self.epsilon;
        ConvLayerConfig {
            norm: Norm::Batch { epsilon },
            activation: Some(Activation::Relu),
            ..ConvLayerConfig::new(inputs, outputs)
        }
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, Self::SIZE_DIVISOR)?;
        let image = GraphWriter::IMAGE;
        let [stem, first, second, third, fourth] =
            self.encoder().write(&mut net, "encoder", image)?;
        let mut map = fourth;
        let skips = [Some(third), Some(second), Some(first), Some(stem), None];
        for (index, (skip, outputs)) in skips.into_iter().zip(self.decoder_widths).enumerate() {
            let name = format!("decoder.{index}");
            let enlarged = net.doubled(map, ResizeMode::Nearest, false)?;
            let maps: Vec<_> = std::iter::once(enlarged).chain(skip).collect();
            let inputs = maps.iter().map(|&map| net.channels(map)).sum();
            let layer = self.layer(inputs, outputs);
            map = net.conv_layer(&format!("{name}.conv1"), &maps, &layer, None)?;
            let layer = self.layer(outputs, outputs);
            map = net.conv_layer(&format!("{name}.conv2"), &[map], &layer, None)?;
        }
        let head = ConvLayerConfig {
            bias: true,
            ..ConvLayerConfig::new(net.channels(map), self.out_channels)
        };
        let answer = net.conv("head", map, &head)?;
        net.finish(answer, Self::SIZE_DIVISOR)
    }
}

/// U-Net on a ResNet encoder, input `[N, C, H, W]`, output `[N, out_channels, H, W]`.
#[derive(Module, Debug)]
pub struct ResNetUNet<B: Backend> {
    encoder: ResNetEncoder<B>,
    decoder: Vec<DecoderBlock<B>>,
    head: Conv2d<B>,
}

impl<B: Backend> ResNetUNet<B> {
    /// Logits `[N, out_channels, H, W]` of an image `[N, in_channels, H, W]`; H and W must be
    /// multiples of [`ResNetUNetConfig::SIZE_DIVISOR`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let [stem, first, second, third, fourth] = self.encoder.pyramid(image);
        let skips = [Some(third), Some(second), Some(first), Some(stem), None];
        let blocks = self.decoder.iter().zip(skips);
        let features = blocks.fold(fourth, |features, (block, skip)| {
            block.forward(features, skip)
        });
        self.head.forward(features)
    }
}

/// Doubles the resolution, puts the skip connection behind, convolves twice.
#[derive(Module, Debug)]
struct DecoderBlock<B: Backend> {
    conv1: ConvLayer<B>,
    conv2: ConvLayer<B>,
}

impl<B: Backend> DecoderBlock<B> {
    fn forward(&self, input: Tensor<B, 4>, skip: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let [_, _, height, width] = input.dims();
        let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
        let enlarged = interpolate(input, [2 * height, 2 * width], nearest);
        let inputs = std::iter::once(enlarged).chain(skip).collect();
        self.conv2.forward(vec![self.conv1.forward(inputs)])
    }
}
