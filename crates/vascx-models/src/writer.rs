//! Writing networks down as graphs, layer by layer, with the names of their modules' parameters.

use vascx_graph::{
    AdaptiveAvgPool, Arg, BatchNorm, Binary, BinaryKind, Cat, Conv, ConvTranspose, Graph,
    GraphBuilder, GroupNorm, LayerNorm, Linear, MaxPool, Op, Permute, Resize, ResizeMode, Squeeze,
};

use crate::conv_layer::ConvLayerConfig;
use crate::{Activation, Norm};

/// A layer's result, or why there can be no such layer.
pub(crate) type Written<T = Arg> = Result<T, String>;

/// A graph that grows in the order of a network's forward pass. Names are those of modules.
pub(crate) struct GraphWriter(GraphBuilder);

impl GraphWriter {
    /// A network that takes images of so many channels, of this height and width among others.
    pub(crate) fn new(channels: usize, side: usize) -> Written<Self> {
        Ok(Self(GraphBuilder::new([1, channels, side, side])?))
    }

    /// The image.
    pub(crate) const IMAGE: Arg = Arg::Node(0);

    /// Channels of a map.
    pub(crate) fn channels(&self, map: Arg) -> usize {
        self.0.shape(map).expect("layers are given maps")[1]
    }

    /// A parameter; also one that inference does not use, but weights hold.
    pub(crate) fn parameter(&mut self, layer: &str, name: &str, shape: &[usize]) -> Written {
        let name = format!("{layer}.{name}");
        Ok(Arg::Node(self.0.parameter(name, shape.to_vec())?))
    }

    fn call(&mut self, op: impl Into<Op>, arguments: &[Arg]) -> Written {
        self.0.call(op, arguments.to_vec())
    }

    /// The convolution alone of a layer.
    pub(crate) fn conv(&mut self, name: &str, map: Arg, layer: &ConvLayerConfig) -> Written {
        let side = layer.kernel_size;
        let weight = self.conv_parameters(name, layer)?;
        let conv = Conv {
            stride: [layer.stride; 2],
            padding: [(side + 1).saturating_sub(layer.stride) / 2; 2],
            dilation: [1, 1],
            groups: layer.groups,
        };
        self.call(conv, &[&[map][..], &weight].concat())
    }

    /// Weight and perhaps bias of a convolution.
    pub(crate) fn conv_parameters(
        &mut self,
        name: &str,
        layer: &ConvLayerConfig,
    ) -> Written<Vec<Arg>> {
        let side = layer.kernel_size;
        let shape = [layer.outputs, layer.inputs / layer.groups, side, side];
        let mut parameters = vec![self.parameter(name, "weight", &shape)?];
        if layer.bias {
            parameters.push(self.parameter(name, "bias", &[layer.outputs])?);
        }
        Ok(parameters)
    }

    /// Convolution of the concatenated maps, norm, residual and activation, where there are any.
    pub(crate) fn conv_layer(
        &mut self,
        name: &str,
        maps: &[Arg],
        layer: &ConvLayerConfig,
        residual: Option<Arg>,
    ) -> Written {
        let map = match *maps {
            [map] => map,
            _ => self.call(Cat(1), maps)?,
        };
        let mut map = self.conv(&format!("{name}.conv"), map, layer)?;
        map = self.norm(&format!("{name}.norm"), map, layer.norm)?;
        if let Some(residual) = residual {
            map = self.sum(map, residual)?;
        }
        match layer.activation {
            Some(activation) => self.activation(map, activation),
            None => Ok(map),
        }
    }

    /// One layer after the other, those for the channels of the concatenated maps that the first reads.
    pub(crate) fn conv_layers<L: IntoIterator<Item = ConvLayerConfig>>(
        &mut self,
        name: &str,
        maps: &[Arg],
        layers: impl FnOnce(usize) -> L,
    ) -> Written {
        let inputs = maps.iter().map(|&map| self.channels(map)).sum();
        let mut maps = maps.to_vec();
        for (index, layer) in layers(inputs).into_iter().enumerate() {
            maps = vec![self.conv_layer(&format!("{name}.{index}"), &maps, &layer, None)?];
        }
        Ok(maps[0])
    }

    /// A transposed convolution that multiplies height and width by its kernel's side.
    pub(crate) fn conv_transposed(
        &mut self,
        name: &str,
        map: Arg,
        outputs: usize,
        side: usize,
        bias: bool,
    ) -> Written {
        let shape = [self.channels(map), outputs, side, side];
        let mut arguments = vec![map, self.parameter(name, "weight", &shape)?];
        if bias {
            arguments.push(self.parameter(name, "bias", &[outputs])?);
        }
        let conv = Conv {
            stride: [side; 2],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        };
        let transposed = ConvTranspose {
            conv,
            output_padding: [0, 0],
        };
        self.call(transposed, &arguments)
    }

    /// A norm of channels.
    pub(crate) fn norm(&mut self, name: &str, map: Arg, norm: Norm) -> Written {
        let channels = self.channels(map);
        let (groups, epsilon) = match norm {
            Norm::None => return Ok(map),
            Norm::Batch { epsilon } => {
                let names = ["gamma", "beta", "running_mean", "running_var"];
                let mut named = |name_of| self.parameter(name, name_of, &[channels]);
                let [scale, shift, mean, variance] = names.map(&mut named);
                let arguments = [map, mean?, variance?, scale?, shift?];
                return self.call(BatchNorm { epsilon }, &arguments);
            }
            Norm::Instance {
                epsilon,
                affine: false,
            } => {
                let groups = channels;
                return self.call(GroupNorm { groups, epsilon }, &[map]);
            }
            Norm::Instance { epsilon, .. } => (channels, epsilon),
            Norm::Group { groups, epsilon } => (groups, epsilon),
        };
        let scale = self.parameter(name, "gamma", &[channels])?;
        let shift = self.parameter(name, "beta", &[channels])?;
        self.call(GroupNorm { groups, epsilon }, &[map, scale, shift])
    }

    /// A norm over the last axis, of so many values.
    pub(crate) fn layer_norm(
        &mut self,
        name: &str,
        values: Arg,
        width: usize,
        epsilon: f64,
    ) -> Written {
        let scale = self.parameter(name, "gamma", &[width])?;
        let shift = self.parameter(name, "beta", &[width])?;
        self.call(LayerNorm { axes: 1, epsilon }, &[values, scale, shift])
    }

    pub(crate) fn activation(&mut self, map: Arg, activation: Activation) -> Written {
        self.call(activation, &[map])
    }

    pub(crate) fn sum(&mut self, map: Arg, other: Arg) -> Written {
        self.call(Binary(BinaryKind::Add), &[map, other])
    }

    /// A map times factors, which are broadcast.
    pub(crate) fn scaled(&mut self, map: Arg, factors: Arg) -> Written {
        self.call(Binary(BinaryKind::Mul), &[map, factors])
    }

    pub(crate) fn max_pool(
        &mut self,
        map: Arg,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Written {
        let pool = MaxPool {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [1, 1],
            ceil: false,
        };
        self.call(pool, &[map])
    }

    /// The means of channels, `[N, C, 1, 1]`.
    pub(crate) fn global_average(&mut self, map: Arg) -> Written {
        self.call(AdaptiveAvgPool, &[map, Arg::int(1), Arg::int(1)])
    }

    /// The same as `[N, C]`.
    pub(crate) fn channel_means(&mut self, map: Arg) -> Written {
        let means = self.global_average(map)?;
        self.call(Squeeze(vec![2, 3]), &[means])
    }

    /// A linear layer over the last axis.
    pub(crate) fn linear(
        &mut self,
        name: &str,
        values: Arg,
        inputs: usize,
        outputs: usize,
    ) -> Written {
        let weight = self.parameter(name, "weight", &[inputs, outputs])?;
        let bias = self.parameter(name, "bias", &[outputs])?;
        self.call(Linear, &[values, weight, bias])
    }

    /// A map of twice the height and width.
    pub(crate) fn doubled(&mut self, map: Arg, mode: ResizeMode, align_corners: bool) -> Written {
        let mut arguments = vec![map];
        for axis in [2, 3] {
            let size = self.0.size(map, axis)?;
            arguments.push(self.call(Binary(BinaryKind::Mul), &[size, Arg::int(2)])?);
        }
        let resize = Resize {
            mode,
            align_corners,
            factors: None,
            antialias: false,
        };
        self.call(resize, &arguments)
    }

    /// The same values with their axes in another order.
    pub(crate) fn permuted(&mut self, map: Arg, axes: [usize; 4]) -> Written {
        self.call(Permute(axes.to_vec()), &[map])
    }

    /// The network that answers with a value; height and width of images must be multiples of
    /// `divisor`.
    pub(crate) fn finish(self, answer: Arg, divisor: usize) -> Written<Graph> {
        let Arg::Node(answer) = answer else {
            unreachable!("layers give maps or vectors")
        };
        let mut graph = self.0.finish(answer)?;
        graph.input.divisor = divisor;
        Ok(graph)
    }
}
