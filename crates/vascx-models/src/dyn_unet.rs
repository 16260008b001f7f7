//! MONAI's `DynUNet` in two dimensions: the network of nnU-Net (Isensee et al., Nature Methods
//! 2021), whose kernels and strides are chosen per data set.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::conv_layer::{ConvLayer, ConvLayerConfig};
use crate::fused::{FusedConvolution, Packed, convolve_transposed};
use crate::{Activation, ConfigError, MAX_CHANNELS, Norm};

/// Most levels, and largest kernel and stride.
const MAX_LEVELS: usize = 16;
const MAX_KERNEL: usize = 31;

/// Configuration of a [`DynUNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynUNetConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes or keypoints.
    pub out_channels: usize,
    /// The levels, full resolution first; the last one is the bottleneck.
    pub levels: Vec<DynUNetLevel>,
    /// Whether the blocks on the way down have a shortcut.
    pub residual: bool,
    /// Whether the transposed convolutions have a bias.
    pub transposed_bias: bool,
    /// Normalisation after each convolution.
    pub norm: Norm,
    /// Activation after each normalisation.
    pub activation: Activation,
    /// Levels below the first that carry heads for deep supervision; inference ignores them.
    pub supervised_levels: usize,
}

/// One level of a [`DynUNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynUNetLevel {
    /// Channels.
    pub width: usize,
    /// Side of the convolutions' kernels; odd.
    pub kernel_size: usize,
    /// By how much the level's first convolution reduces height and width, and the transposed
    /// convolution above restores them.
    pub stride: usize,
}

impl DynUNetConfig {
    /// A network of 3 × 3 convolutions, whose levels each halve the resolution, with the library's
    /// default norm and activation.
    pub fn new(in_channels: usize, out_channels: usize, widths: impl Into<Vec<usize>>) -> Self {
        let widths = widths.into().into_iter().enumerate();
        let levels = widths.map(|(level, width)| DynUNetLevel {
            width,
            kernel_size: 3,
            stride: if level == 0 { 1 } else { 2 },
        });
        Self {
            in_channels,
            out_channels,
            levels: levels.collect(),
            residual: false,
            transposed_bias: false,
            norm: Norm::Instance {
                epsilon: 1e-5,
                affine: true,
            },
            activation: Activation::LeakyRelu {
                negative_slope: 0.01,
            },
            supervised_levels: 0,
        }
    }

    /// Height and width of an input must be multiples of this.
    pub fn size_divisor(&self) -> usize {
        self.levels
            .iter()
            .fold(1, |divisor, level| divisor.saturating_mul(level.stride))
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |reason| Err(ConfigError::new("dynunet", reason));
        let mut sizes = [self.in_channels, self.out_channels]
            .into_iter()
            .chain(self.levels.iter().map(|level| level.width));
        if !sizes.all(|size| (1..=MAX_CHANNELS).contains(&size)) {
            return invalid("channels and widths must be 1 to 65536");
        }
        if !(2..=MAX_LEVELS).contains(&self.levels.len()) {
            return invalid("needs 2 to 16 levels");
        }
        if self.levels[0].stride != 1 {
            return invalid("the stride of the first level must be 1");
        }
        for level in &self.levels {
            if level.kernel_size % 2 == 0 || level.kernel_size > MAX_KERNEL {
                return invalid("kernels must be odd and at most 31");
            }
            if level.stride == 0 || level.stride > level.kernel_size {
                return invalid("strides must be 1 up to the kernel's size");
            }
        }
        if self.size_divisor() > 1 << MAX_LEVELS {
            return invalid("all strides together must not exceed 65536");
        }
        if self.supervised_levels + 2 > self.levels.len() {
            return invalid("only levels between the first and the bottleneck can be supervised");
        }
        if let Norm::Group { groups, .. } = self.norm
            && self
                .levels
                .iter()
                .any(|level| groups == 0 || level.width % groups != 0)
        {
            return invalid("`groups` must divide every width");
        }
        Ok(())
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or contradict each other.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<DynUNet<B>, ConfigError> {
        self.validate()?;
        let widths = self.levels.iter().map(|level| level.width);
        let inputs = std::iter::once(self.in_channels).chain(widths);
        let mut encoder = inputs
            .zip(&self.levels)
            .map(|(inputs, level)| self.block(inputs, *level, self.residual, device));
        let mut next_block = || encoder.next().expect("a validated network has levels");
        let input_block = next_block();
        let downs = (2..self.levels.len()).map(|_| next_block()).collect();
        let bottleneck = next_block();
        let decoder = self
            .levels
            .windows(2)
            .rev()
            .map(|pair| {
                let (above, below) = (pair[0], pair[1]);
                let unstrided = DynUNetLevel {
                    stride: 1,
                    kernel_size: below.kernel_size,
                    ..above
                };
                UpBlock {
                    up: ConvTranspose2dConfig::new([below.width, above.width], [below.stride; 2])
                        .with_stride([below.stride; 2])
                        .with_bias(self.transposed_bias)
                        .init(device),
                    packed_up: Packed::default(),
                    block: self.block(2 * above.width, unstrided, false, device),
                }
            })
            .collect();
        let head = |level: &DynUNetLevel| {
            Conv2dConfig::new([level.width, self.out_channels], [1, 1]).init(device)
        };
        let supervised = self.levels[1..].iter().take(self.supervised_levels);
        Ok(DynUNet {
            input_block,
            downs,
            bottleneck,
            decoder,
            head: head(&self.levels[0]),
            packed_head: Packed::default(),
            supervision_heads: supervised.map(head).collect(),
        })
    }

    /// Two convolutions, the first of which changes size and channels.
    fn block<B: Backend>(
        &self,
        inputs: usize,
        level: DynUNetLevel,
        residual: bool,
        device: &B::Device,
    ) -> Block<B> {
        let layer = |inputs, kernel_size, stride, activation| {
            let layer = ConvLayerConfig {
                kernel_size,
                stride,
                norm: self.norm,
                activation,
                ..ConvLayerConfig::new(inputs, level.width)
            };
            layer.init(device)
        };
        let activation = Some(self.activation);
        let projected = residual && (inputs != level.width || level.stride != 1);
        Block {
            conv1: layer(inputs, level.kernel_size, level.stride, activation),
            conv2: layer(level.width, level.kernel_size, 1, activation),
            conv3: projected.then(|| layer(inputs, 1, level.stride, None)),
            residual,
        }
    }
}

/// U-Net with chosen kernels and strides, input `[N, C, H, W]`, output `[N, out_channels, H, W]`.
#[derive(Module, Debug)]
pub struct DynUNet<B: Backend> {
    input_block: Block<B>,
    downs: Vec<Block<B>>,
    bottleneck: Block<B>,
    decoder: Vec<UpBlock<B>>,
    head: Conv2d<B>,
    #[module(skip)]
    packed_head: Packed,
    /// One 1 × 1 convolution per supervised level, highest resolution first.
    supervision_heads: Vec<Conv2d<B>>,
}

impl<B: Backend> DynUNet<B> {
    /// Logits `[N, out_channels, H, W]` of an image `[N, in_channels, H, W]`; H and W must be
    /// multiples of [`DynUNetConfig::size_divisor`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let features = self
            .decode(image)
            .pop()
            .expect("a level above the bottleneck");
        FusedConvolution::bare(&self.packed_head, &self.head).forward(vec![features])
    }

    /// Logits of every supervised level, full resolution first: `forward`'s, then the heads' of
    /// the levels below, each in its own resolution. For training with deep supervision.
    pub fn forward_supervised(&self, image: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        let heads = std::iter::once(&self.head).chain(&self.supervision_heads);
        let features = self.decode(image).into_iter().rev();
        heads
            .zip(features)
            .map(|(head, features)| head.forward(features))
            .collect()
    }

    /// The features of every level of the decoder, lowest resolution first.
    fn decode(&self, image: Tensor<B, 4>) -> Vec<Tensor<B, 4>> {
        let mut skips = vec![self.input_block.forward(vec![image])];
        for block in &self.downs {
            let above = skips[skips.len() - 1].clone();
            skips.push(block.forward(vec![above]));
        }
        let above = skips[skips.len() - 1].clone();
        let mut features = self.bottleneck.forward(vec![above]);
        let mut levels = Vec::with_capacity(self.decoder.len());
        for block in &self.decoder {
            let skip = skips.pop().expect("a skip connection per step up");
            let enlarged = convolve_transposed(&block.packed_up, &block.up, features);
            features = block.block.forward(vec![enlarged, skip]);
            levels.push(features.clone());
        }
        levels
    }
}

/// Two convolutions, perhaps with a shortcut around them.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    conv1: ConvLayer<B>,
    conv2: ConvLayer<B>,
    /// Projects the shortcut where the block changes shape.
    conv3: Option<ConvLayer<B>>,
    /// Whether there is a shortcut.
    residual: bool,
}

impl<B: Backend> Block<B> {
    /// Of the concatenated inputs; a residual block has one.
    fn forward(&self, inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        let shortcut = self.residual.then(|| match &self.conv3 {
            Some(projection) => projection.forward(inputs.clone()),
            None => inputs[0].clone(),
        });
        let features = self.conv1.forward(inputs);
        self.conv2.forward_onto(vec![features], shortcut)
    }
}

/// Restores the resolution, puts the skip connection behind, convolves twice.
#[derive(Module, Debug)]
struct UpBlock<B: Backend> {
    up: ConvTranspose2d<B>,
    #[module(skip)]
    packed_up: Packed,
    block: Block<B>,
}
