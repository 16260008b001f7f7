//! Two-dimensional convolution and its transpose.

use burn::module::{Param, RunningState};
use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor, TensorPrimitive};
use serde::{Deserialize, Serialize};

use crate::Activation;
use crate::engine::{
    FusedConvolution, Packed, convolve_expanded, convolve_pooled, convolve_scaled,
    convolve_transposed, global_average,
};
use crate::meta::{DType, Meta};
use crate::operator::{Call, Compute, Operator, at_least, take};
use crate::value::Value;

/// Largest stride, padding or dilation; keeps sizes far from overflow.
const MAX_SETTING: usize = 1 << 16;

/// Convolution of `[N, C, H, W]` with a weight `[O, C / groups, h, w]` and perhaps a bias `[O]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Per axis.
    pub stride: [usize; 2],
    /// Zeros on either side, per axis.
    pub padding: [usize; 2],
    /// Per axis.
    pub dilation: [usize; 2],
    /// Channel groups that do not see each other.
    pub groups: usize,
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maps {
    /// So many, concatenated along their channels.
    Parts(usize),
    /// Two, multiplied: a map and the gates of its channels, in either order.
    Gated,
}

impl Maps {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Parts(count) => count,
            Self::Gated => 2,
        }
    }
}

impl Conv {
    fn check(&self) -> Result<(), String> {
        let positive = [self.stride, self.dilation, [self.groups; 2]];
        if positive.iter().flatten().any(|&value| value == 0) {
            return Err("stride, dilation and groups must be positive".into());
        }
        let settings = [self.stride, self.padding, self.dilation];
        if settings.iter().flatten().any(|&value| value > MAX_SETTING) {
            return Err(format!("settings above {MAX_SETTING}"));
        }
        Ok(())
    }
}

fn check_bias(bias: &[Meta], channels: usize) -> Result<(), String> {
    match bias {
        [] => Ok(()),
        [bias] if bias.float_shape() == Ok([channels]) => Ok(()),
        _ => Err(format!("expected one bias of {channels} values")),
    }
}

/// A convolution with the batch norm and the activation that follow it.
#[derive(Clone, Debug)]
pub(crate) struct FusedConv {
    pub(crate) conv: Conv,
    /// What the batch norm adds to variances, if there is one: mean, variance, scale and shift then
    /// follow the weight and perhaps the bias.
    pub(crate) norm: Option<f64>,
    pub(crate) activation: Option<Activation>,
    pub(crate) packed: Packed,
}

impl From<Conv> for FusedConv {
    fn from(conv: Conv) -> Self {
        Self {
            conv,
            norm: None,
            activation: None,
            packed: Packed::default(),
        }
    }
}

/// Statistics and affine of a batch norm.
const STATISTICS: usize = 4;

impl FusedConv {
    /// Runs on maps; `parameters` are weight, perhaps bias, and those of the norm. A residual is added
    /// before the activation.
    pub(crate) fn run<B: Backend>(
        &self,
        mut arguments: Vec<Value<B>>,
        maps: Maps,
        residual: bool,
        network: FloatDType,
    ) -> Value<B> {
        let residual = if residual { arguments.pop() } else { None };
        let residual = residual.map(|residual| in_type(residual, network));
        let parameters = arguments.split_off(maps.count());
        let (conv, norm) = self.modules::<B>(parameters, network);
        let layer = self.fused(&conv, norm.as_ref());
        let maps_in_type = arguments
            .into_iter()
            .map(|map| map.with_float_dtype(network));
        let output = if maps == Maps::Gated {
            let factors = take(maps_in_type.collect());
            let [map, gates] = gated(factors, &conv.weight.device());
            convolve_scaled(&layer, map, gates, residual)
        } else {
            let maps = maps_in_type.map(|map| tensor(map.float()));
            layer.forward_onto(maps.collect(), residual)
        };
        Value::Float(output.into_primitive().tensor())
    }

    /// Runs after an expansion that nothing else reads: `arguments` are the map, the expansion's
    /// parameters up to `of_expansion` arguments, then this one's. Gives also the means of the
    /// result's channels `[N, C, 1, 1]`, if they are asked for.
    pub(crate) fn run_expanded<B: Backend>(
        &self,
        expansion: &Self,
        mut arguments: Vec<Value<B>>,
        of_expansion: usize,
        averaged: bool,
        network: FloatDType,
    ) -> (Value<B>, Option<Value<B>>) {
        let parameters = arguments.split_off(of_expansion);
        let of_expansion = arguments.split_off(1);
        let map = in_type(arguments.remove(0), network);
        let (expand, expand_norm) = expansion.modules::<B>(of_expansion, network);
        let (conv, norm) = self.modules::<B>(parameters, network);
        let expansion = expansion.fused(&expand, expand_norm.as_ref());
        let layer = self.fused(&conv, norm.as_ref());
        let (output, taken) = convolve_expanded(&expansion, &layer, map, averaged);
        let averages = averaged.then(|| taken.unwrap_or_else(|| global_average(output.clone())));
        let value = |map: Tensor<B, 4>| Value::Float(map.into_primitive().tensor());
        (value(output), averages.map(value))
    }

    /// Runs on a map, followed by its parameters, and pools the result.
    pub(crate) fn run_pooled<B: Backend>(
        &self,
        pool: &MaxPool2d,
        mut arguments: Vec<Value<B>>,
        network: FloatDType,
    ) -> Value<B> {
        let parameters = arguments.split_off(1);
        let (conv, norm) = self.modules::<B>(parameters, network);
        let layer = self.fused(&conv, norm.as_ref());
        let output = convolve_pooled(&layer, pool, in_type(arguments.remove(0), network));
        Value::Float(output.into_primitive().tensor())
    }

    fn fused<'a, B: Backend>(
        &'a self,
        conv: &'a burn::nn::conv::Conv2d<B>,
        norm: Option<&'a burn::nn::BatchNorm<B>>,
    ) -> FusedConvolution<'a, B> {
        FusedConvolution {
            packed: &self.packed,
            conv,
            norm,
            activation: self.activation,
        }
    }

    /// The layers of a weight, perhaps a bias, and perhaps a norm's statistics.
    fn modules<B: Backend>(
        &self,
        mut parameters: Vec<Value<B>>,
        network: FloatDType,
    ) -> (burn::nn::conv::Conv2d<B>, Option<burn::nn::BatchNorm<B>>) {
        let norm = self.norm.map(|epsilon| {
            let statistics = parameters.split_off(parameters.len() - STATISTICS);
            let [mean, variance, scale, shift] =
                take(statistics).map(|value: Value<B>| tensor(value.float()));
            burn::nn::BatchNorm {
                gamma: Param::from_tensor(scale),
                beta: Param::from_tensor(shift),
                running_mean: RunningState::new(mean),
                running_var: RunningState::new(variance),
                momentum: 0.0,
                epsilon,
            }
        });
        let mut parameters = parameters.into_iter();
        let weight = parameters.next().expect("inference checked the arguments");
        let weight: Tensor<B, 4> = in_type(weight, network);
        let bias = parameters.next().map(|bias| in_type(bias, network));
        let [_, _, height, width] = weight.dims();
        let [vertical, horizontal] = self.conv.padding;
        let conv = burn::nn::conv::Conv2d {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
            stride: self.conv.stride,
            kernel_size: [height, width],
            dilation: self.conv.dilation,
            groups: self.conv.groups,
            padding: PaddingConfig2d::Explicit(vertical, horizontal, vertical, horizontal),
        };
        (conv, norm)
    }
}

/// A map and the gates of its channels, given in either order; whatever else is multiplied, only its
/// product counts.
fn gated<B: Backend>(factors: [Value<B>; 2], device: &B::Device) -> [Tensor<B, 4>; 2] {
    let factor = |value: Value<B>| value.cast(DType::Float, device).with_rank(4).float();
    let [a, b] = factors.map(|value| tensor::<B, 4>(factor(value)));
    let is_gates = |tensor: &Tensor<B, 4>| tensor.dims()[2..] == [1, 1];
    if is_gates(&a) && !is_gates(&b) {
        [b, a]
    } else {
        [a, b]
    }
}

/// A tensor of floats in the network's type.
fn in_type<B: Backend, const D: usize>(value: Value<B>, network: FloatDType) -> Tensor<B, D> {
    tensor(value.with_float_dtype(network).float())
}

fn tensor<B: Backend, const D: usize>(primitive: B::FloatTensorPrimitive) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

impl Operator for Conv {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        self.check()?;
        let ([x, weight], bias) = at_least(arguments)?;
        let [n, channels, height, width] = x.float_shape()?;
        let [outputs, inputs, kernel_height, kernel_width] = weight.float_shape()?;
        if inputs.checked_mul(self.groups) != Some(channels) || outputs % self.groups != 0 {
            return Err(format!(
                "{channels} channels meet a weight for {inputs} × {} groups, {outputs} outputs",
                self.groups
            ));
        }
        check_bias(bias, outputs)?;
        let extent = |axis: usize, size: usize, kernel: usize| {
            let reach = self.dilation[axis] * (kernel - 1) + 1;
            (size + 2 * self.padding[axis])
                .checked_sub(reach)
                .map(|room| room / self.stride[axis] + 1)
                .ok_or_else(|| format!("a side of {size} is too short for a kernel of {reach}"))
        };
        let sides = [
            extent(0, height, kernel_height)?,
            extent(1, width, kernel_width)?,
        ];
        Meta::tensor(DType::Float, [n, outputs, sides[0], sides[1]])
    }

    fn compute(&self) -> Compute {
        Compute::Network
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let network = call.arguments[0].float_dtype();
        let network = network.expect("inference checked for floats");
        FusedConv::from(self.clone()).run(call.arguments, Maps::Parts(1), false, network)
    }
}

/// Transposed convolution of `[N, C, H, W]` with a weight `[C, O / groups, h, w]` and perhaps a
/// bias `[O]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvTranspose {
    /// The settings of the convolution this is the transpose of.
    pub conv: Conv,
    /// Extra rows and columns at the bottom right.
    pub output_padding: [usize; 2],
}

impl ConvTranspose {
    /// Runs with packed weights where there is a kernel for it.
    pub(crate) fn run_packed<B: Backend>(
        &self,
        packed: &Packed,
        arguments: Vec<Value<B>>,
    ) -> Value<B> {
        let mut arguments = arguments.into_iter().map(Value::float);
        let (Some(x), Some(weight)) = (arguments.next(), arguments.next()) else {
            unreachable!("inference checked the number of arguments")
        };
        let weight = tensor::<B, 4>(weight);
        let [inputs, outputs, height, width] = weight.dims();
        let conv = burn::nn::conv::ConvTranspose2d {
            weight: Param::from_tensor(weight),
            bias: arguments.next().map(tensor).map(Param::from_tensor),
            stride: self.conv.stride,
            kernel_size: [height, width],
            dilation: self.conv.dilation,
            groups: self.conv.groups,
            padding: self.conv.padding,
            padding_out: self.output_padding,
            channels: [inputs, outputs * self.conv.groups],
        };
        let output = convolve_transposed(packed, &conv, tensor(x));
        Value::Float(output.into_primitive().tensor())
    }
}

impl Operator for ConvTranspose {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let conv = &self.conv;
        conv.check()?;
        let ([x, weight], bias) = at_least(arguments)?;
        let [n, channels, height, width] = x.float_shape()?;
        let [inputs, outputs, kernel_height, kernel_width] = weight.float_shape()?;
        let outputs = outputs.saturating_mul(conv.groups);
        if inputs != channels || channels % conv.groups != 0 {
            return Err(format!("{channels} channels meet a weight for {inputs}"));
        }
        check_bias(bias, outputs)?;
        let extent = |axis: usize, size: usize, kernel: usize| {
            if self.output_padding[axis] >= conv.stride[axis].max(conv.dilation[axis]) {
                return Err("the output padding must be smaller than the stride".to_owned());
            }
            let full = (size - 1) * conv.stride[axis]
                + conv.dilation[axis] * (kernel - 1)
                + self.output_padding[axis]
                + 1;
            full.checked_sub(2 * conv.padding[axis])
                .filter(|&side| side > 0)
                .ok_or_else(|| "the padding leaves nothing".to_owned())
        };
        let sides = [
            extent(0, height, kernel_height)?,
            extent(1, width, kernel_width)?,
        ];
        Meta::tensor(DType::Float, [n, outputs, sides[0], sides[1]])
    }

    fn compute(&self) -> Compute {
        Compute::Network
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        self.run_packed(&Packed::default(), call.arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, refused};

    fn conv() -> Conv {
        Conv {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }

    #[test]
    fn settings_reach_the_backend() {
        let x = floats(&[1, 1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let weight = floats(&[1, 1, 1, 2], &[10.0, 1.0]);
        let bias = floats(&[1], &[0.5]);
        let strided = Conv {
            stride: [1, 2],
            padding: [0, 1],
            dilation: [1, 2],
            ..conv()
        };
        // Padded: 0 1 2 3 4 5 0; taps two apart, two steps.
        let expected = [2.5, 24.5, 40.5];
        check(
            &strided.into(),
            &[x.clone(), weight.clone(), bias],
            &[1, 1, 1, 3],
            &expected,
            0.0,
        );
        let transposed = ConvTranspose {
            conv: Conv {
                stride: [1, 2],
                ..conv()
            },
            output_padding: [0, 1],
        };
        let short = floats(&[1, 1, 1, 2], &[1.0, 2.0]);
        check(
            &transposed.into(),
            &[short, weight.clone()],
            &[1, 1, 1, 5],
            &[10.0, 1.0, 20.0, 2.0, 0.0],
            0.0,
        );
        refused(
            &Conv {
                stride: [0, 1],
                ..conv()
            }
            .into(),
            &[x.clone(), weight.clone()],
        );
        refused(
            &Conv {
                groups: 2,
                ..conv()
            }
            .into(),
            &[x.clone(), weight],
        );
        refused(&conv().into(), &[x, floats(&[1, 1, 2, 1], &[1.0, 1.0])]);
    }
}
