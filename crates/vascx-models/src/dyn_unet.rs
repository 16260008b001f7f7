//! MONAI's `DynUNet` in two dimensions: the network of nnU-Net (Isensee et al., Nature Methods
//! 2021), whose kernels and strides are chosen per data set.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::{Arg, Graph};

use crate::conv_layer::{ConvLayer, ConvLayerConfig};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, Norm, are_sizes};

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
        let check = ConfigError::unless("dynunet");
        let widths = self.levels.iter().map(|level| level.width);
        let ends = [self.in_channels, self.out_channels].into_iter();
        let sizes = are_sizes(ends.chain(widths.clone()));
        check(sizes, "channels and widths must be 1 to 65536")?;
        check(
            (2..=MAX_LEVELS).contains(&widths.len()),
            "needs 2 to 16 levels",
        )?;
        check(
            self.levels[0].stride == 1,
            "the stride of the first level must be 1",
        )?;
        for level in &self.levels {
            let odd = level.kernel_size % 2 == 1 && level.kernel_size <= MAX_KERNEL;
            check(odd, "kernels must be odd and at most 31")?;
            let within = (1..=level.kernel_size).contains(&level.stride);
            check(within, "strides must be 1 up to the kernel's size")?;
        }
        let divisor = self.size_divisor();
        check(
            divisor <= 1 << MAX_LEVELS,
            "all strides together must not exceed 65536",
        )?;
        check(
            self.supervised_levels + 2 <= self.levels.len(),
            "only levels between the first and the bottleneck can be supervised",
        )?;
        check(
            self.norm.divides(widths),
            "`groups` must divide every width",
        )
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
            .map(|(inputs, level)| self.block(inputs, *level, self.residual).init(device));
        let mut next_block = || encoder.next().expect("a validated network has levels");
        let input_block = next_block();
        let downs = (2..self.levels.len()).map(|_| next_block()).collect();
        let bottleneck = next_block();
        let decoder = self.levels.windows(2).rev().map(|pair| {
            let (above, below) = (pair[0], pair[1]);
            UpBlock {
                up: ConvTranspose2dConfig::new([below.width, above.width], [below.stride; 2])
                    .with_stride([below.stride; 2])
                    .with_bias(self.transposed_bias)
                    .init(device),
                block: self.up_block(above, below).init(device),
            }
        });
        let head = |level: &DynUNetLevel| {
            Conv2dConfig::new([level.width, self.out_channels], [1, 1]).init(device)
        };
        let supervised = self.levels[1..].iter().take(self.supervised_levels);
        Ok(DynUNet {
            input_block,
            downs,
            bottleneck,
            decoder: decoder.collect(),
            head: head(&self.levels[0]),
            supervision_heads: supervised.map(head).collect(),
        })
    }

    /// Two convolutions, the first of which changes size and channels.
    fn block(&self, inputs: usize, level: DynUNetLevel, residual: bool) -> BlockConfig {
        let layer = |inputs, kernel_size, stride, activation| ConvLayerConfig {
            kernel_size,
            stride,
            norm: self.norm,
            activation,
            ..ConvLayerConfig::new(inputs, level.width)
        };
        let activation = Some(self.activation);
        let projected = residual && (inputs != level.width || level.stride != 1);
        BlockConfig {
            conv1: layer(inputs, level.kernel_size, level.stride, activation),
            conv2: layer(level.width, level.kernel_size, 1, activation),
            conv3: projected.then(|| layer(inputs, 1, level.stride, None)),
            residual,
        }
    }

    /// The block of the decoder that comes back from the level `below` to the one `above`.
    fn up_block(&self, above: DynUNetLevel, below: DynUNetLevel) -> BlockConfig {
        let unstrided = DynUNetLevel {
            stride: 1,
            kernel_size: below.kernel_size,
            ..above
        };
        self.block(2 * above.width, unstrided, false)
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, self.size_divisor())?;
        let mut map = GraphWriter::IMAGE;
        let mut skips = Vec::with_capacity(self.levels.len());
        let last = self.levels.len() - 1;
        for (level, &settings) in self.levels.iter().enumerate() {
            let name = match level {
                0 => "input_block".to_owned(),
                _ if level == last => "bottleneck".to_owned(),
                _ => format!("downs.{}", level - 1),
            };
            let block = self.block(net.channels(map), settings, self.residual);
            map = block.write(&mut net, &name, &[map])?;
            skips.push(map);
        }
        for (index, pair) in self.levels.windows(2).rev().enumerate() {
            let (above, below) = (pair[0], pair[1]);
            let up = format!("decoder.{index}.up");
            let bias = self.transposed_bias;
            let enlarged = net.conv_transposed(&up, map, above.width, below.stride, bias)?;
            let maps = [enlarged, skips[last - 1 - index]];
            let block = self.up_block(above, below);
            map = block.write(&mut net, &format!("decoder.{index}.block"), &maps)?;
        }
        let head = |level: &DynUNetLevel| ConvLayerConfig {
            kernel_size: 1,
            bias: true,
            ..ConvLayerConfig::new(level.width, self.out_channels)
        };
        let answer = net.conv("head", map, &head(&self.levels[0]))?;
        let supervised = self.levels[1..].iter().take(self.supervised_levels);
        for (index, level) in supervised.enumerate() {
            net.conv_parameters(&format!("supervision_heads.{index}"), &head(level))?;
        }
        net.finish(answer, self.size_divisor())
    }
}

/// What a [`Block`] is built from.
struct BlockConfig {
    conv1: ConvLayerConfig,
    conv2: ConvLayerConfig,
    conv3: Option<ConvLayerConfig>,
    residual: bool,
}

impl BlockConfig {
    fn init<B: Backend>(self, device: &B::Device) -> Block<B> {
        Block {
            conv1: self.conv1.init(device),
            conv2: self.conv2.init(device),
            conv3: self.conv3.map(|layer| layer.init(device)),
            residual: self.residual,
        }
    }

    fn write(self, net: &mut GraphWriter, name: &str, maps: &[Arg]) -> Written {
        let shortcut = match &self.conv3 {
            Some(layer) => Some(net.conv_layer(&format!("{name}.conv3"), maps, layer, None)?),
            None => self.residual.then_some(maps[0]),
        };
        let features = net.conv_layer(&format!("{name}.conv1"), maps, &self.conv1, None)?;
        net.conv_layer(&format!("{name}.conv2"), &[features], &self.conv2, shortcut)
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
    /// One 1 × 1 convolution per supervised level, highest resolution first.
    supervision_heads: Vec<Conv2d<B>>,
}

impl<B: Backend> DynUNet<B> {
    /// Logits `[N, out_channels, H, W]` of an image `[N, in_channels, H, W]`; H and W must be
    /// multiples of [`DynUNetConfig::size_divisor`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let features = self.decode(image).pop();
        self.head
            .forward(features.expect("a level above the bottleneck"))
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
            let enlarged = block.up.forward(features);
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
    block: Block<B>,
}
