//! Squeeze-and-excitation: Hu, Shen, Sun, "Squeeze-and-Excitation Networks" (CVPR 2018,
//! <https://arxiv.org/abs/1709.01507>).

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Tensor, backend::Backend};
use vascx_graph::Arg;

use crate::Activation;
use crate::conv_layer::{ConvLayerConfig, padded_conv};
use crate::writer::{GraphWriter, Written};

/// What [`SqueezeExcitation`] is built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SqueezeExcitationConfig {
    pub(crate) channels: usize,
    /// Channels between the two layers.
    pub(crate) squeezed: usize,
    /// After the first layer, and the gate.
    pub(crate) activations: [Activation; 2],
}

impl SqueezeExcitationConfig {
    pub(crate) fn init<B: Backend>(self, device: &B::Device) -> SqueezeExcitation<B> {
        let [activation, gate] = self.activations;
        SqueezeExcitation {
            fc1: padded_conv(self.channels, self.squeezed, 1, 1).init(device),
            fc2: padded_conv(self.squeezed, self.channels, 1, 1).init(device),
            activation,
            gate,
        }
    }

    /// The map with its channels gated.
    pub(crate) fn write(self, net: &mut GraphWriter, name: &str, map: Arg) -> Written {
        let [activation, gate] = self.activations;
        let layer = |inputs, outputs| ConvLayerConfig {
            kernel_size: 1,
            bias: true,
            ..ConvLayerConfig::new(inputs, outputs)
        };
        let means = net.global_average(map)?;
        let squeezed = layer(self.channels, self.squeezed);
        let squeezed = net.conv(&format!("{name}.fc1"), means, &squeezed)?;
        let squeezed = net.activation(squeezed, activation)?;
        let gates = layer(self.squeezed, self.channels);
        let gates = net.conv(&format!("{name}.fc2"), squeezed, &gates)?;
        let gates = net.activation(gates, gate)?;
        net.scaled(map, gates)
    }
}

/// A gate for every channel, computed from the means of all channels.
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
    pub(crate) fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let means = input.clone().mean_dim(3).mean_dim(2);
        let squeezed = self.activation.forward(self.fc1.forward(means));
        input * self.gate.forward(self.fc2.forward(squeezed))
    }
}
