//! Pooling over windows of `[N, C, H, W]`.

use burn::nn::PaddingConfig2d;
use burn::nn::pool::MaxPool2d;
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor, TensorPrimitive};
use serde::{Deserialize, Serialize};

use crate::engine::{global_average, max_pool};
use crate::meta::{DType, Meta};
use crate::operator::{Call, Compute, Operator, exactly, take};
use crate::value::Value;

/// The largest value per window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Per axis.
    pub stride: [usize; 2],
    /// On either side, per axis; never chosen.
    pub padding: [usize; 2],
    /// Per axis.
    pub dilation: [usize; 2],
    /// Whether a window may reach beyond the edge.
    pub ceil: bool,
}

/// The mean per window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Per axis.
    pub stride: [usize; 2],
    /// Zeros on either side, per axis.
    pub padding: [usize; 2],
    /// Whether a window may reach beyond the edge.
    pub ceil: bool,
    /// Whether padding counts as elements.
    pub count_padding: bool,
}

/// Length of a pooled axis, as PyTorch computes it.
fn pooled(
    size: usize,
    [kernel, stride, padding, dilation]: [usize; 4],
    ceil: bool,
) -> Result<usize, String> {
    if kernel == 0 || stride == 0 || dilation == 0 || padding > kernel / 2 {
        return Err(format!(
            "kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}"
        ));
    }
    if kernel.max(stride).max(dilation) > 1 << 16 {
        return Err("settings are too large".into());
    }
    let room = (size + 2 * padding)
        .checked_sub(dilation * (kernel - 1) + 1)
        .ok_or_else(|| format!("a side of {size} is too short for a window of {kernel}"))?;
    let mut count = if ceil {
        room.div_ceil(stride) + 1
    } else {
        room / stride + 1
    };
    // No window starts in the padding after the end.
    if ceil && (count - 1) * stride >= size + padding {
        count -= 1;
    }
    Ok(count)
}

/// The map that pooling by kernel, stride, padding and dilation gives.
fn pooled_map(arguments: &[Meta], settings: [[usize; 2]; 4], ceil: bool) -> Result<Meta, String> {
    let [x] = exactly(arguments)?;
    let [n, c, height, width] = x.float_shape()?;
    let side = |axis: usize, size| pooled(size, settings.map(|setting| setting[axis]), ceil);
    Meta::tensor(DType::Float, [n, c, side(0, height)?, side(1, width)?])
}

impl MaxPool {
    pub(crate) fn module(&self) -> MaxPool2d {
        let [vertical, horizontal] = self.padding;
        MaxPool2d {
            stride: self.stride,
            kernel_size: self.kernel,
            padding: PaddingConfig2d::Explicit(vertical, horizontal, vertical, horizontal),
            dilation: self.dilation,
            ceil_mode: self.ceil,
        }
    }
}

impl Operator for MaxPool {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let settings = [self.kernel, self.stride, self.padding, self.dilation];
        pooled_map(arguments, settings, self.ceil)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        let x = Tensor::<B, 4>::from_primitive(TensorPrimitive::Float(x.float()));
        Value::Float(max_pool(&self.module(), x).into_primitive().tensor())
    }
}

impl Operator for AvgPool {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let settings = [self.kernel, self.stride, self.padding, [1, 1]];
        pooled_map(arguments, settings, self.ceil)
    }

    fn compute(&self) -> Compute {
        Compute::Normalised
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments).map(Value::float);
        let (counted, ceil) = (self.count_padding, self.ceil);
        let pooled = B::avg_pool2d(x, self.kernel, self.stride, self.padding, counted, ceil);
        Value::Float(pooled)
    }
}

/// Checks the arguments tensor, height, width of an adaptive pooling.
fn adaptive(arguments: &[Meta]) -> Result<Meta, String> {
    let [x, height, width] = exactly(arguments)?;
    let [n, c, _, _] = x.float_shape()?;
    Meta::tensor(DType::Float, [n, c, height.size()?, width.size()?])
}

/// The mean of evenly spread windows; arguments are the tensor, height and width of the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveAvgPool;

impl Operator for AdaptiveAvgPool {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        adaptive(arguments)
    }

    fn compute(&self) -> Compute {
        Compute::Kernel
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, _, _] = take(call.arguments);
        if call.shape[2..] == [1, 1] {
            let x = Tensor::<B, 4>::from_primitive(TensorPrimitive::Float(x.float()));
            return Value::Float(global_average(x).into_primitive().tensor());
        }
        let wide = x.with_float_dtype(FloatDType::F32).float();
        Value::Float(B::adaptive_avg_pool2d(wide, [call.shape[2], call.shape[3]]))
    }
}

/// The largest of evenly spread windows; arguments as for [`AdaptiveAvgPool`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaptiveMaxPool;

impl Operator for AdaptiveMaxPool {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        adaptive(arguments)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x, _, _] = take(call.arguments);
        // Maxima over rows, then over columns.
        [2, 3].into_iter().fold(x, |x, axis| {
            let (size, count) = (x.shape()[axis], call.shape[axis]);
            let parts = (0..count).map(|index| {
                let start = index * size / count;
                let end = ((index + 1) * size).div_ceil(count);
                let part = x.clone().slice(axis, start, end, 1).float();
                Value::Float(B::float_max_dim(part, axis))
            });
            Value::cat(parts.collect(), axis)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, number, refused};

    #[test]
    fn windows_beyond_the_edge_count_only_when_asked_for() {
        let x = floats(&[1, 1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let max = |ceil| MaxPool {
            kernel: [1, 2],
            stride: [1, 2],
            padding: [0, 0],
            dilation: [1, 1],
            ceil,
        };
        check(
            &max(false).into(),
            std::slice::from_ref(&x),
            &[1, 1, 1, 2],
            &[2.0, 4.0],
            0.0,
        );
        check(
            &max(true).into(),
            std::slice::from_ref(&x),
            &[1, 1, 1, 3],
            &[2.0, 4.0, 5.0],
            0.0,
        );
        let average = |count_padding| AvgPool {
            kernel: [1, 3],
            stride: [1, 3],
            padding: [0, 1],
            ceil: false,
            count_padding,
        };
        check(
            &average(true).into(),
            std::slice::from_ref(&x),
            &[1, 1, 1, 2],
            &[1.0, 4.0],
            1e-6,
        );
        check(
            &average(false).into(),
            std::slice::from_ref(&x),
            &[1, 1, 1, 2],
            &[1.5, 4.0],
            1e-6,
        );
        refused(
            &MaxPool {
                kernel: [0, 2],
                ..max(true)
            }
            .into(),
            std::slice::from_ref(&x),
        );
        refused(
            &MaxPool {
                kernel: [2, 2],
                ..max(true)
            }
            .into(),
            &[x],
        );
    }

    #[test]
    fn adaptive_windows_overlap_where_sizes_do_not_divide() {
        let x = floats(&[1, 1, 1, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let arguments = [x, number(1), number(2)];
        check(
            &AdaptiveAvgPool.into(),
            &arguments,
            &[1, 1, 1, 2],
            &[2.0, 4.0],
            1e-6,
        );
        check(
            &AdaptiveMaxPool.into(),
            &arguments,
            &[1, 1, 1, 2],
            &[3.0, 5.0],
            0.0,
        );
    }
}
