//! Squeeze-and-excitation: Hu, Shen, Sun, "Squeeze-and-Excitation Networks" (CVPR 2018,
//! <https://arxiv.org/abs/1709.01507>).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Tensor, backend::Backend};

use crate::Activation;
use crate::fused::{FusedConvolution, Packed};

/// A gate for every channel, computed from the means of all channels.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation<B: Backend> {
    fc1: Conv2d<B>,
    fc2: Conv2d<B>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    gate: Activation,
    /// Of the two convolutions.
    #[module(skip)]
    packed: [Packed; 2],
}

impl<B: Backend> SqueezeExcitation<B> {
    pub(crate) fn new(
        channels: usize,
        squeezed: usize,
        [activation, gate]: [Activation; 2],
        device: &B::Device,
    ) -> Self {
        Self {
            fc1: Conv2dConfig::new([channels, squeezed], [1, 1]).init(device),
            fc2: Conv2dConfig::new([squeezed, channels], [1, 1]).init(device),
            activation,
            gate,
            packed: Default::default(),
        }
    }

    /// The gates that channels are to be multiplied by, computed from their means; both
    /// `[N, C, 1, 1]`.
    pub(crate) fn gates(&self, means: Tensor<B, 4>) -> Tensor<B, 4> {
        let [packed1, packed2] = &self.packed;
        let run = |packed, conv, input, activation| {
            let layer = FusedConvolution {
                activation: Some(activation),
                ..FusedConvolution::bare(packed, conv)
            };
            layer.forward(vec![input])
        };
        let squeezed = run(packed1, &self.fc1, means, self.activation);
        run(packed2, &self.fc2, squeezed, self.gate)
    }
}
