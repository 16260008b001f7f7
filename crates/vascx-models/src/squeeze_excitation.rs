//! Squeeze-and-excitation: Hu, Shen, Sun, "Squeeze-and-Excitation Networks" (CVPR 2018,
//! <https://arxiv.org/abs/1709.01507>).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{FloatDType, Tensor, backend::Backend};

use crate::Activation;

/// Scales every channel by a gate computed from the means of all channels.
#[derive(Module, Debug)]
pub(crate) struct SqueezeExcitation<B: Backend> {
    fc1: Conv2d<B>,
    fc2: Conv2d<B>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    gate: Activation,
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
        }
    }

    pub(crate) fn forward(&self, features: Tensor<B, 4>) -> Tensor<B, 4> {
        let means = channel_means(features.clone());
        let squeezed = self.activation.forward(self.fc1.forward(means));
        features * self.gate.forward(self.fc2.forward(squeezed))
    }
}

/// Mean per channel `[N, C, 1, 1]`; sums over whole maps are f32's.
pub(crate) fn channel_means<B: Backend>(features: Tensor<B, 4>) -> Tensor<B, 4> {
    let dtype: FloatDType = features.dtype().into();
    let means = features.cast(FloatDType::F32).mean_dim(3).mean_dim(2);
    means.cast(dtype)
}
