//! U-Net: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image
//! Segmentation" (MICCAI 2015, <https://arxiv.org/abs/1505.04597>), with same-padding.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::{Arg, Graph, ResizeMode};

use crate::conv_layer::{ConvLayer, ConvLayerConfig, padded_conv};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, Norm, are_sizes, is_kernel};

/// Configuration of a [`UNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the input: 3 for RGB, 6 for RGB followed by the enhanced RGB.
    pub in_channels: usize,
    /// Classes or keypoints.
    pub out_channels: usize,
    /// Channels per level, full resolution first. Each further level halves the resolution.
    pub widths: Vec<usize>,
    /// Convolutions per encoder and decoder block.
    pub convs_per_block: usize,
    /// Whether the 3 × 3 convolutions have a bias (usually only without a norm).
    pub conv_bias: bool,
    /// Normalisation after each convolution.
    pub norm: Norm,
    /// Activation after each normalisation.
    pub activation: Activation,
    /// How the decoder doubles the resolution.
    pub upsampling: Upsampling,
    /// Probability of dropping an activation while training; inference ignores it.
    pub dropout: f64,
    /// Whether the inner decoder levels carry heads for deep supervision; inference ignores them.
    pub deep_supervision: bool,
}

/// How the decoder of a [`UNet`] doubles the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Upsampling {
    /// 2 × 2 transposed convolution with stride 2.
    Transposed,
    /// Bilinear interpolation, then a convolution.
    Bilinear {
        /// Kernel side of the convolution; odd.
        kernel_size: usize,
        /// Whether the corner pixels of input and output coincide (else half-pixel centres).
        align_corners: bool,
    },
    /// Pixel repetition, then a convolution.
    Nearest {
        /// Kernel side of the convolution; odd.
        kernel_size: usize,
    },
}

impl UNetConfig {
    /// A network with two batch-normalised ReLU convolutions per block and transposed up-sampling.
    pub fn new(in_channels: usize, out_channels: usize, widths: impl Into<Vec<usize>>) -> Self {
        Self {
            in_channels,
            out_channels,
            widths: widths.into(),
            convs_per_block: 2,
            conv_bias: false,
            norm: Norm::Batch { epsilon: 1e-5 },
            activation: Activation::Relu,
            upsampling: Upsampling::Transposed,
            dropout: 0.0,
            deep_supervision: false,
        }
    }

    /// Height and width of an input must be multiples of this.
    pub fn size_divisor(&self) -> usize {
        1 << self.widths.len().saturating_sub(1)
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless("unet");
        let ends = [self.in_channels, self.out_channels, self.convs_per_block].into_iter();
        let widths = self.widths.iter().copied();
        let sizes = are_sizes(ends.chain(widths.clone()));
        check(
            sizes,
            "channels, widths and convolutions must be 1 to 65536",
        )?;
        check(
            (0.0..=1.0).contains(&self.dropout),
            "`dropout` must be 0 to 1",
        )?;
        check(
            (1..=16).contains(&widths.len()),
            "needs 1 to 16 levels in `widths`",
        )?;
        check(
            self.norm.divides(widths),
            "`groups` must divide every width",
        )?;
        let kernel_size = match self.upsampling {
            Upsampling::Transposed => 1,
            Upsampling::Bilinear { kernel_size, .. } | Upsampling::Nearest { kernel_size } => {
                kernel_size
            }
        };
        check(
            is_kernel(kernel_size),
            "the up-sampling kernel must be odd and at most 15",
        )
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or contradict each other.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<UNet<B>, ConfigError> {
        self.validate()?;
        let inputs = std::iter::once(&self.in_channels).chain(&self.widths);
        let encoder = inputs
            .zip(&self.widths)
            .map(|(&inputs, &outputs)| ConvBlock::new(self, inputs, outputs, device))
            .collect();
        let decoder = self
            .widths
            .windows(2)
            .rev()
            .map(|pair| UpBlock::new(self, pair[1], pair[0], device))
            .collect();
        let head =
            |width: usize| Conv2dConfig::new([width, self.out_channels], [1, 1]).init(device);
        Ok(UNet {
            encoder,
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            decoder,
            head: head(self.widths[0]),
            auxiliary_heads: self.auxiliary_widths().iter().map(|&w| head(w)).collect(),
        })
    }

    /// The layers of an encoder or decoder block.
    fn block(&self, inputs: usize, outputs: usize) -> impl Iterator<Item = ConvLayerConfig> {
        (0..self.convs_per_block).map(move |index| ConvLayerConfig {
            bias: self.conv_bias,
            norm: self.norm,
            activation: Some(self.activation),
            ..ConvLayerConfig::new(if index == 0 { inputs } else { outputs }, outputs)
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, self.size_divisor())?;
        let mut map = GraphWriter::IMAGE;
        let mut skips = Vec::with_capacity(self.widths.len());
        for (level, &width) in self.widths.iter().enumerate() {
            if level > 0 {
                skips.push(map);
                map = net.max_pool(map, 2, 2, 0)?;
            }
            let layers = |inputs| self.block(inputs, width);
            map = net.conv_layers(&format!("encoder.{level}.layers"), &[map], layers)?;
        }
        for (block, (skip, &width)) in skips.iter().zip(&self.widths).rev().enumerate() {
            let name = format!("decoder.{block}");
            let enlarged = self.write_up(&mut net, &format!("{name}.up"), map, width)?;
            let maps = [*skip, enlarged];
            let layers = |inputs| self.block(inputs, width);
            map = net.conv_layers(&format!("{name}.block.layers"), &maps, layers)?;
        }
        let head = |inputs| ConvLayerConfig {
            kernel_size: 1,
            bias: true,
            ..ConvLayerConfig::new(inputs, self.out_channels)
        };
        let answer = net.conv("head", map, &head(self.widths[0]))?;
        for (index, &width) in self.auxiliary_widths().iter().enumerate() {
            net.conv_parameters(&format!("auxiliary_heads.{index}"), &head(width))?;
        }
        net.finish(answer, self.size_divisor())
    }

    fn write_up(&self, net: &mut GraphWriter, name: &str, map: Arg, outputs: usize) -> Written {
        let (kernel_size, mode, align_corners) = match self.upsampling {
            Upsampling::Transposed => return net.conv_transposed(name, map, outputs, 2, true),
            Upsampling::Bilinear {
                kernel_size,
                align_corners,
            } => (kernel_size, ResizeMode::Bilinear, align_corners),
            Upsampling::Nearest { kernel_size } => (kernel_size, ResizeMode::Nearest, false),
        };
        let enlarged = net.doubled(map, mode, align_corners)?;
        let layer = ConvLayerConfig {
            kernel_size,
            bias: true,
            ..ConvLayerConfig::new(net.channels(map), outputs)
        };
        net.conv(&format!("{name}.conv"), enlarged, &layer)
    }

    /// Channels of the levels that carry heads for deep supervision.
    fn auxiliary_widths(&self) -> &[usize] {
        let inner = self.widths.len().saturating_sub(1).max(1);
        if self.deep_supervision {
            &self.widths[1..inner]
        } else {
            &[]
        }
    }
}

/// U-Net, input `[N, C, H, W]`, output `[N, out_channels, H, W]`.
#[derive(Module, Debug)]
pub struct UNet<B: Backend> {
    encoder: Vec<ConvBlock<B>>,
    pool: MaxPool2d,
    decoder: Vec<UpBlock<B>>,
    head: Conv2d<B>,
    /// One 1 × 1 convolution per inner level, highest resolution first.
    auxiliary_heads: Vec<Conv2d<B>>,
}

impl<B: Backend> UNet<B> {
    /// Logits `[N, out_channels, H, W]` of an image `[N, in_channels, H, W]`; H and W must be
    /// multiples of [`UNetConfig::size_divisor`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut skips = self.encode(image);
        let mut features = skips.pop().expect("a validated U-Net has a level");
        for block in &self.decoder {
            let skip = skips.pop().expect("a decoder block per skip connection");
            features = block.forward(features, skip);
        }
        self.head.forward(features)
    }

    /// Logits of every supervised level, full resolution first: `forward`'s, then the auxiliary
    /// heads' at 1/2, 1/4, … of the resolution. For training with deep supervision.
    pub fn forward_supervised(&self, image: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        let mut skips = self.encode(image);
        let mut features = skips.pop().expect("a validated U-Net has a level");
        let mut logits = Vec::with_capacity(1 + self.auxiliary_heads.len());
        for block in &self.decoder {
            let skip = skips.pop().expect("a decoder block per skip connection");
            features = block.forward(features, skip);
            // After this block `skips.len()` levels remain above; level 0 belongs to `head`.
            let above = skips.len().checked_sub(1);
            if let Some(head) = above.and_then(|level| self.auxiliary_heads.get(level)) {
                logits.push(head.forward(features.clone()));
            }
        }
        logits.push(self.head.forward(features));
        logits.reverse();
        logits
    }

    /// The features of every level, full resolution first.
    fn encode(&self, image: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        let mut levels: Vec<Tensor<B, 4>> = Vec::with_capacity(self.encoder.len());
        for block in &self.encoder {
            let input = match levels.last() {
                Some(above) => self.pool.forward(above.clone()),
                None => image.clone(),
            };
            levels.push(block.forward(vec![input]));
        }
        levels
    }
}

/// Convolution layers, each followed by dropout.
#[derive(Module, Debug)]
struct ConvBlock<B: Backend> {
    layers: Vec<ConvLayer<B>>,
    dropout: Dropout,
}

impl<B: Backend> ConvBlock<B> {
    fn new(config: &UNetConfig, inputs: usize, outputs: usize, device: &B::Device) -> Self {
        let layers = config.block(inputs, outputs);
        Self {
            layers: layers.map(|layer| layer.init(device)).collect(),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// Of the concatenated inputs.
    fn forward(&self, inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        let forward =
            |inputs, layer: &ConvLayer<B>| vec![self.dropout.forward(layer.forward(inputs))];
        self.layers.iter().fold(inputs, forward).remove(0)
    }
}

/// Doubles the resolution, puts the skip connection in front, convolves.
#[derive(Module, Debug)]
struct UpBlock<B: Backend> {
    up: Up<B>,
    block: ConvBlock<B>,
}

impl<B: Backend> UpBlock<B> {
    fn new(config: &UNetConfig, inputs: usize, outputs: usize, device: &B::Device) -> Self {
        let interpolated = |kernel_size, mode, align_corners| {
            Up::Interpolated(InterpolatedConv {
                conv: padded_conv(inputs, outputs, kernel_size, 1).init(device),
                options: InterpolateOptions::new(mode).with_align_corners(align_corners),
            })
        };
        let up = match config.upsampling {
            Upsampling::Transposed => Up::Transposed(
                ConvTranspose2dConfig::new([inputs, outputs], [2, 2])
                    .with_stride([2, 2])
                    .init(device),
            ),
            Upsampling::Bilinear {
                kernel_size,
                align_corners,
            } => interpolated(kernel_size, InterpolateMode::Bilinear, align_corners),
            Upsampling::Nearest { kernel_size } => {
                interpolated(kernel_size, InterpolateMode::Nearest, false)
            }
        };
        Self {
            up,
            block: ConvBlock::new(config, 2 * outputs, outputs, device),
        }
    }

    fn forward(&self, input: Tensor<B, 4>, skip: Tensor<B, 4>) -> Tensor<B, 4> {
        let enlarged = match &self.up {
            Up::Transposed(conv) => conv.forward(input),
            Up::Interpolated(conv) => conv.forward(input),
        };
        self.block.forward(vec![skip, enlarged])
    }
}

#[derive(Module, Debug)]
enum Up<B: Backend> {
    Transposed(ConvTranspose2d<B>),
    Interpolated(InterpolatedConv<B>),
}

#[derive(Module, Debug)]
struct InterpolatedConv<B: Backend> {
    conv: Conv2d<B>,
    #[module(skip)]
    options: InterpolateOptions,
}

impl<B: Backend> InterpolatedConv<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let [_, _, height, width] = input.dims();
        let sides = [2 * height, 2 * width];
        self.conv
            .forward(interpolate(input, sides, self.options.clone()))
    }
}
