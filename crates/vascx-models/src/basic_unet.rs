//! MONAI's `BasicUNet` in two dimensions, after Falk et al., "U-Net: deep learning for cell
//! counting, detection, and morphometry" (Nature Methods 2019).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};
use vascx_graph::Graph;

use crate::conv_layer::{ConvLayer, ConvLayerConfig};
use crate::writer::{GraphWriter, Written};
use crate::{Activation, ConfigError, Norm, are_sizes};

/// Configuration of a [`BasicUNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicUNetConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Classes or keypoints.
    pub out_channels: usize,
    /// Channels of the five levels, full resolution first, then of the last block.
    pub features: [usize; 6],
    /// Whether the 3 × 3 convolutions have a bias.
    pub conv_bias: bool,
    /// Normalisation after each convolution.
    pub norm: Norm,
    /// Activation after each normalisation.
    pub activation: Activation,
}

impl BasicUNetConfig {
    /// Height and width of an input must be multiples of this.
    pub const SIZE_DIVISOR: usize = 16;

    /// The library's default network.
    pub fn new(in_channels: usize, out_channels: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            features: [32, 32, 64, 128, 256, 32],
            conv_bias: true,
            norm: Norm::Instance {
                epsilon: 1e-5,
                affine: true,
            },
            activation: Activation::LeakyRelu {
                negative_slope: 0.1,
            },
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let check = ConfigError::unless("basicunet");
        let ends = [self.in_channels, self.out_channels].into_iter();
        let sizes = are_sizes(ends.chain(self.features));
        check(sizes, "channels and features must be 1 to 65536")?;
        let even = self.features[2..5].iter().all(|width| width % 2 == 0);
        check(
            even,
            "the features of the lower three levels must be even: they are halved on the way up",
        )?;
        let grouped = self.norm.divides(self.features.into_iter());
        check(grouped, "`groups` must divide all features")
    }

    /// Builds the network with fresh random weights.
    ///
    /// # Errors
    /// When sizes are zero or contradict each other.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<BasicUNet<B>, ConfigError> {
        self.validate()?;
        let convs = |inputs, outputs| {
            let layers = self.convs(inputs, outputs).into_iter();
            layers.map(|layer| layer.init(device)).collect()
        };
        let inputs = std::iter::once(self.in_channels).chain(self.features);
        let levels = inputs.zip(&self.features[..5]);
        let up = |[below, enlarged, skip, outputs]: [usize; 4]| UpBlock {
            up: ConvTranspose2dConfig::new([below, enlarged], [2, 2])
                .with_stride([2, 2])
                .init(device),
            convs: convs(skip + enlarged, outputs),
        };
        Ok(BasicUNet {
            encoder: levels
                .map(|(inputs, &outputs)| TwoConvs {
                    convs: convs(inputs, outputs),
                })
                .collect(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            decoder: self.ups().into_iter().map(up).collect(),
            head: Conv2dConfig::new([self.features[5], self.out_channels], [1, 1]).init(device),
        })
    }

    /// Channels from below, when enlarged, of the skip connection and of the result; those from
    /// below are halved, except by the last step.
    fn ups(&self) -> [[usize; 4]; 4] {
        let [f0, f1, f2, f3, f4, last] = self.features;
        [
            [f4, f4 / 2, f3, f3],
            [f3, f3 / 2, f2, f2],
            [f2, f2 / 2, f1, f1],
            [f1, f1, f0, last],
        ]
    }

    fn convs(&self, inputs: usize, outputs: usize) -> [ConvLayerConfig; 2] {
        [inputs, outputs].map(|inputs| ConvLayerConfig {
            bias: self.conv_bias,
            norm: self.norm,
            activation: Some(self.activation),
            ..ConvLayerConfig::new(inputs, outputs)
        })
    }

    /// The network as a graph.
    pub(crate) fn write(&self) -> Written<Graph> {
        let mut net = GraphWriter::new(self.in_channels, Self::SIZE_DIVISOR)?;
        let mut map = GraphWriter::IMAGE;
        let mut skips = Vec::with_capacity(5);
        for (level, &width) in self.features[..5].iter().enumerate() {
            if level > 0 {
                skips.push(map);
                map = net.max_pool(map, 2, 2, 0)?;
            }
            let convs = |inputs| self.convs(inputs, width);
            map = net.conv_layers(&format!("encoder.{level}.convs"), &[map], convs)?;
        }
        for (block, [_, enlarged, _, outputs]) in self.ups().into_iter().enumerate() {
            let name = format!("decoder.{block}");
            let enlarged = net.conv_transposed(&format!("{name}.up"), map, enlarged, 2, true)?;
            let maps = [skips[3 - block], enlarged];
            let convs = |inputs| self.convs(inputs, outputs);
            map = net.conv_layers(&format!("{name}.convs"), &maps, convs)?;
        }
        let head = ConvLayerConfig {
            kernel_size: 1,
            bias: true,
            ..ConvLayerConfig::new(self.features[5], self.out_channels)
        };
        let answer = net.conv("head", map, &head)?;
        net.finish(answer, Self::SIZE_DIVISOR)
    }
}

/// U-Net of five levels, input `[N, C, H, W]`, output `[N, out_channels, H, W]`.
#[derive(Module, Debug)]
pub struct BasicUNet<B: Backend> {
    encoder: Vec<TwoConvs<B>>,
    pool: MaxPool2d,
    decoder: Vec<UpBlock<B>>,
    head: Conv2d<B>,
}

impl<B: Backend> BasicUNet<B> {
    /// Logits `[N, out_channels, H, W]` of an image `[N, in_channels, H, W]`; H and W must be
    /// multiples of [`BasicUNetConfig::SIZE_DIVISOR`].
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut skips = Vec::with_capacity(self.encoder.len());
        let mut features = image;
        for (level, block) in self.encoder.iter().enumerate() {
            if level > 0 {
                skips.push(features.clone());
                features = self.pool.forward(features);
            }
            features = run(&block.convs, vec![features]);
        }
        for block in &self.decoder {
            let skip = skips.pop().expect("a skip connection per step up");
            let enlarged = block.up.forward(features);
            features = run(&block.convs, vec![skip, enlarged]);
        }
        self.head.forward(features)
    }
}

#[derive(Module, Debug)]
struct TwoConvs<B: Backend> {
    convs: Vec<ConvLayer<B>>,
}

/// Doubles the resolution, puts the skip connection in front, convolves twice.
#[derive(Module, Debug)]
struct UpBlock<B: Backend> {
    up: ConvTranspose2d<B>,
    convs: Vec<ConvLayer<B>>,
}

fn run<B: Backend>(convs: &[ConvLayer<B>], inputs: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
    let convs = convs.iter();
    convs
        .fold(inputs, |inputs, layer| vec![layer.forward(inputs)])
        .remove(0)
}
