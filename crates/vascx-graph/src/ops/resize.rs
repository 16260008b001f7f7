//! Resampling of `[N, C, H, W]`.

use burn::tensor::backend::Backend;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{TensorData, get_device_settings};
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::meta::{DType, Meta};
use crate::operator::{Call, Operator, exactly, take};
use crate::value::Value;

/// Resamples to another height and width, which are the arguments after the tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// How values between pixels are found.
    pub mode: ResizeMode,
    /// Whether corner pixels map onto corner pixels, rather than corners onto corners.
    pub align_corners: bool,
    /// Factors the program resamples by; without them the sizes decide.
    pub factors: Option<[f64; 2]>,
    /// Whether pixels of a smaller answer are means over what they stand for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub antialias: bool,
}

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    /// The pixel at ⌊i · scale⌋.
    Nearest,
    /// The pixel whose centre is nearest.
    NearestExact,
    /// Linear between centres.
    Bilinear,
    /// Cubic convolution with a = −0.75.
    Bicubic,
}

impl Operator for Resize {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x, height, width] = exactly(arguments)?;
        let [n, c, _, _] = x.float_shape()?;
        let factors = self.factors.unwrap_or([1.0, 1.0]);
        // The comparison is false for NaN.
        if !factors.iter().all(|&factor| factor > 1e-6 && factor < 1e6) {
            return Err(format!("resampling by {factors:?}"));
        }
        Meta::tensor(DType::Float, [n, c, height.size()?, width.size()?])
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [mut x, _, _] = take(call.arguments);
        let input = x.shape();
        // burn derives the scale from the sizes; another one is spelt out as a matrix product.
        let by_sizes = (0..2).all(|axis| {
            let ratio = call.shape[2 + axis] as f64 / input[2 + axis] as f64;
            self.align_corners || self.factors.is_none_or(|factors| factors[axis] == ratio)
        });
        let mode = match self.mode {
            _ if self.antialias => None,
            ResizeMode::Nearest => Some(InterpolateMode::Nearest),
            ResizeMode::Bilinear => Some(InterpolateMode::Bilinear),
            // burn's cubic kernel and exact centres are not PyTorch's.
            ResizeMode::Bicubic | ResizeMode::NearestExact => None,
        };
        if input == call.shape && by_sizes {
            return x;
        }
        if self.mode != ResizeMode::Bicubic && !self.antialias {
            let axis = |axis: usize| {
                let (input, output) = (input[2 + axis], call.shape[2 + axis]);
                let scale = self.scale(axis, input, output);
                let mix = self.mode == ResizeMode::Bilinear;
                engine::neighbours(input, output, |index| (self.position(index, scale), mix))
            };
            match engine::resize::<B>(x.float(), [&axis(0), &axis(1)]) {
                Ok(output) => return Value::Float(output),
                Err(map) => x = Value::Float(map),
            }
        }
        if let (Some(mode), true) = (mode, by_sizes) {
            let options = InterpolateOptions::new(mode).with_align_corners(self.align_corners);
            let sides = [call.shape[2], call.shape[3]];
            return Value::Float(B::interpolate(x.float(), sides, options));
        }
        let rows = self.matrix::<B>(0, input[2], call.shape[2], call.device);
        let columns = self
            .matrix::<B>(1, input[3], call.shape[3], call.device)
            .permute(&[1, 0]);
        let images = input[0] * input[1];
        let [height, width] = [input[2], input[3]];
        let x = x.reshape(&[images * height, width]).float();
        let wide = B::float_matmul(x, columns.float());
        let wide = Value::<B>::Float(wide).reshape(&[images, height, call.shape[3]]);
        let rows = rows.expand(&[images, call.shape[2], height]);
        Value::Float(B::float_matmul(rows.float(), wide.float())).reshape(call.shape)
    }
}

impl Resize {
    /// Weights `[output, input]` of one axis.
    fn matrix<B: Backend>(
        &self,
        axis: usize,
        input: usize,
        output: usize,
        device: &B::Device,
    ) -> Value<B> {
        let scale = self.scale(axis, input, output);
        let mut weights = vec![0.0_f32; input * output];
        for (index, row) in weights.chunks_exact_mut(input).enumerate() {
            for (source, weight) in self.taps(index as f64, scale, input) {
                row[source.clamp(0, input as i64 - 1) as usize] += weight as f32;
            }
        }
        let floats = get_device_settings::<B>(device).float_dtype;
        let data = TensorData::new(weights, [output, input]).convert_dtype(floats.into());
        Value::Float(B::float_from_data(data, device))
    }

    /// Source pixels per output pixel.
    fn scale(&self, axis: usize, input: usize, output: usize) -> f64 {
        match self.factors {
            _ if self.align_corners && output > 1 => (input - 1) as f64 / (output - 1) as f64,
            _ if self.align_corners => 0.0,
            Some(factors) => 1.0 / factors[axis],
            None => input as f64 / output as f64,
        }
    }

    /// Where an output pixel lies, counted in source pixels.
    fn position(&self, index: f64, scale: f64) -> f64 {
        match self.mode {
            ResizeMode::Nearest => index * scale,
            ResizeMode::NearestExact => (index + 0.5) * scale,
            _ if self.align_corners => index * scale,
            _ => (index + 0.5) * scale - 0.5,
        }
    }

    /// The same with the kernel spread over all that the output pixel stands for.
    fn means(&self, index: f64, scale: f64, input: usize) -> Vec<(i64, f64)> {
        let spread = scale.max(1.0);
        let bicubic = self.mode == ResizeMode::Bicubic;
        let reach = if bicubic { 2.0 } else { 1.0 } * spread;
        let centre = scale * (index + 0.5);
        let first = (centre - reach + 0.5).max(0.0).floor() as i64;
        let end = ((centre + reach + 0.5).floor() as i64).min(input as i64);
        let weight = |source: i64| {
            let distance = (source as f64 - centre + 0.5) / spread;
            if bicubic {
                cubic(distance, -0.5)
            } else {
                (1.0 - distance.abs()).max(0.0)
            }
        };
        let total: f64 = (first..end).map(weight).sum();
        (first..end)
            .map(|source| (source, weight(source) / total))
            .collect()
    }

    /// Source pixels and weights of one output pixel.
    fn taps(&self, index: f64, scale: f64, input: usize) -> Vec<(i64, f64)> {
        if self.antialias {
            return self.means(index, scale, input);
        }
        let position = self.position(index, scale);
        match self.mode {
            ResizeMode::Nearest | ResizeMode::NearestExact => {
                vec![(position.floor().min(input as f64 - 1.0) as i64, 1.0)]
            }
            ResizeMode::Bilinear => {
                let position = position.max(0.0);
                let first = position.floor();
                let t = position - first;
                vec![(first as i64, 1.0 - t), (first as i64 + 1, t)]
            }
            ResizeMode::Bicubic => {
                let first = position.floor();
                (-1..3)
                    .map(|offset| {
                        let source = first + f64::from(offset);
                        (source as i64, cubic(position - source, -0.75))
                    })
                    .collect()
            }
        }
    }
}

/// Keys' cubic convolution kernel; PyTorch has a = −0.75, and −0.5 where it takes means.
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats, number};

    #[test]
    fn modes_agree_with_pytorch() {
        let x = floats(&[1, 1, 1, 3], &[1.0, 2.0, 4.0]);
        let to = |width| [x.clone(), number(1), number(width)];
        let resize = |mode, align_corners, factor: Option<f64>| Resize {
            mode,
            align_corners,
            factors: factor.map(|factor| [1.0, factor]),
            antialias: false,
        };
        // Values of PyTorch 2.x's F.interpolate on [1, 2, 4].
        for (op, expected) in [
            (
                resize(ResizeMode::Nearest, false, None),
                [1.0, 1.0, 2.0, 2.0, 4.0],
            ),
            (
                resize(ResizeMode::NearestExact, false, None),
                [1.0, 1.0, 2.0, 4.0, 4.0],
            ),
            (
                resize(ResizeMode::Bilinear, false, None),
                [1.0, 1.4, 2.0, 3.2, 4.0],
            ),
            (
                resize(ResizeMode::Bilinear, true, None),
                [1.0, 1.5, 2.0, 3.0, 4.0],
            ),
            (
                resize(ResizeMode::Bicubic, false, None),
                [0.904, 1.244, 2.0, 3.296, 4.192],
            ),
            (
                resize(ResizeMode::Bicubic, true, None),
                [1.0, 1.3125, 2.0, 3.09375, 4.0],
            ),
        ] {
            check(&op.into(), &to(5), &[1, 1, 1, 5], &expected, 1e-6);
        }
        // A factor that is not the ratio of the sizes: pixels 1 / 1.9 apart.
        let op = resize(ResizeMode::Bilinear, false, Some(1.9));
        let expected = [1.0, 1.289_473_7, 1.815_789_5, 2.684_210_5, 3.736_842_2];
        check(&op.into(), &to(5), &[1, 1, 1, 5], &expected, 1e-6);
    }
}
