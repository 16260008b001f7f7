//! Functions of one value, element by element.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Scalar, TensorMetadata};
use serde::{Deserialize, Serialize};

use crate::Activation;
use crate::engine::{activate, in_memory_order};
use crate::meta::{DType, Literal, Meta};
use crate::operator::{Call, Compute, Operator, exactly, take};
use crate::value::Value;

/// A function without settings, of a tensor or a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unary(pub UnaryKind);

/// Which function [`Unary`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // The names say it.
pub enum UnaryKind {
    Abs,
    Ceil,
    Cos,
    Erf,
    Exp,
    Floor,
    /// With the error function.
    Gelu,
    /// With the tanh approximation.
    GeluTanh,
    HardSigmoid,
    HardSwish,
    Log,
    Log1p,
    LogSigmoid,
    Mish,
    Neg,
    Not,
    Reciprocal,
    Relu,
    Round,
    Rsqrt,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Softplus,
    Sqrt,
    Tanh,
    Trunc,
}

impl UnaryKind {
    /// Whether integers stay integers.
    fn keeps_integers(self) -> bool {
        matches!(
            self,
            Self::Abs
                | Self::Neg
                | Self::Ceil
                | Self::Floor
                | Self::Round
                | Self::Trunc
                | Self::Relu
                | Self::Sign
        )
    }

    /// The same as a layer's activation, if it is one.
    pub(crate) fn activation(self) -> Option<Activation> {
        Some(match self {
            Self::Relu => Activation::Relu,
            Self::Silu => Activation::Silu,
            Self::Gelu => Activation::Gelu,
            Self::Sigmoid => Activation::Sigmoid,
            Self::HardSigmoid => Activation::HardSigmoid,
            Self::HardSwish => Activation::HardSwish,
            _ => return None,
        })
    }

    /// The function of a number.
    fn of_number(self, number: Literal) -> Result<Literal, String> {
        if let (true, Some(value)) = (self.keeps_integers(), number.as_i64()) {
            return Ok(Literal::Int(match self {
                Self::Abs => value.saturating_abs(),
                Self::Neg => value.saturating_neg(),
                Self::Relu => value.max(0),
                Self::Sign => value.signum(),
                _ => value,
            }));
        }
        let x = number.as_f64();
        Ok(Literal::Float(match self {
            Self::Not => return Ok(Literal::Bool(!number.is_true())),
            Self::Abs => x.abs(),
            Self::Ceil => x.ceil(),
            Self::Cos => x.cos(),
            Self::Exp => x.exp(),
            Self::Floor => x.floor(),
            Self::Log => x.ln(),
            Self::Log1p => x.ln_1p(),
            Self::Neg => -x,
            Self::Reciprocal => 1.0 / x,
            Self::Relu => x.max(0.0),
            Self::Round => x.round_ties_even(),
            Self::Rsqrt => 1.0 / x.sqrt(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Sign if x == 0.0 => 0.0,
            Self::Sign => x.signum(),
            Self::Sin => x.sin(),
            Self::Sqrt => x.sqrt(),
            Self::Tanh => x.tanh(),
            Self::Trunc => x.trunc(),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Softplus => x.exp().ln_1p(),
            Self::Erf
            | Self::Gelu
            | Self::GeluTanh
            | Self::HardSigmoid
            | Self::HardSwish
            | Self::LogSigmoid
            | Self::Mish => return Err(format!("{self:?} of a number")),
        }))
    }

    fn of_float<B: Backend>(self, x: FloatTensor<B>) -> FloatTensor<B> {
        let scalar = Scalar::Float;
        match self {
            Self::Abs => B::float_abs(x),
            Self::Ceil => B::float_ceil(x),
            Self::Cos => B::float_cos(x),
            Self::Erf => B::float_erf(x),
            Self::Exp => B::float_exp(x),
            Self::Floor => B::float_floor(x),
            Self::Gelu => B::gelu(x),
            Self::GeluTanh => {
                // ½x(1 + tanh(√(2/π)(x + 0.044715x³)))
                let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
                let inner = B::float_add(x.clone(), B::float_mul_scalar(cube, scalar(0.044_715)));
                let factor = (2.0 / std::f64::consts::PI).sqrt();
                let tanh = B::float_tanh(B::float_mul_scalar(inner, scalar(factor)));
                let half = B::float_mul_scalar(x, scalar(0.5));
                B::float_mul(half, B::float_add_scalar(tanh, scalar(1.0)))
            }
            Self::HardSigmoid => hard_sigmoid::<B>(x),
            Self::HardSwish => B::float_mul(x.clone(), hard_sigmoid::<B>(x)),
            Self::Log => B::float_log(x),
            Self::Log1p => B::float_log1p(x),
            Self::LogSigmoid => B::log_sigmoid(x),
            Self::Mish => B::float_mul(x.clone(), B::float_tanh(softplus::<B>(x))),
            Self::Neg => B::float_neg(x),
            Self::Reciprocal => reciprocal::<B>(x),
            Self::Relu => B::relu(x),
            Self::Round => B::float_round(x),
            Self::Rsqrt => reciprocal::<B>(B::float_sqrt(x)),
            Self::Sigmoid => B::sigmoid(x),
            Self::Sign => B::float_sign(x),
            Self::Silu => B::float_mul(x.clone(), B::sigmoid(x)),
            Self::Sin => B::float_sin(x),
            Self::Softplus => softplus::<B>(x),
            Self::Sqrt => B::float_sqrt(x),
            Self::Tanh => B::float_tanh(x),
            Self::Trunc => B::float_trunc(x),
            Self::Not => unreachable!("computed on truth values"),
        }
    }
}

/// clamp(x/6 + ½, 0, 1)
fn hard_sigmoid<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let line = B::float_mul_scalar(x, Scalar::Float(1.0 / 6.0));
    let line = B::float_add_scalar(line, Scalar::Float(0.5));
    B::float_clamp(line, Scalar::Float(0.0), Scalar::Float(1.0))
}

/// ln(1 + eˣ) without overflow: max(x, 0) + ln(1 + e^−|x|).
fn softplus<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let small = B::float_log1p(B::float_exp(B::float_neg(B::float_abs(x.clone()))));
    B::float_add(B::relu(x), small)
}

/// By division: NdArray's reciprocal is an approximation of some twelve bits.
fn reciprocal<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let ones = B::float_ones(x.shape(), &B::float_device(&x), x.dtype().into());
    B::float_div(ones, x)
}

impl Operator for Unary {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        let [x] = exactly(arguments)?;
        match x {
            Meta::Number(number) => Ok(Meta::Number(self.0.of_number(*number)?)),
            Meta::Tensor { dtype, shape } => {
                let dtype = match dtype {
                    _ if self.0 == UnaryKind::Not => DType::Bool,
                    DType::Int if self.0.keeps_integers() => DType::Int,
                    _ => DType::Float,
                };
                Meta::tensor(dtype, shape.as_slice())
            }
        }
    }

    fn compute(&self) -> Compute {
        match self.0 {
            UnaryKind::Exp => Compute::Wide,
            _ => Compute::Arguments,
        }
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        match (self.0, x) {
            (UnaryKind::Not, x) => {
                let Value::Bool(x) = x.cast(DType::Bool, call.device) else {
                    unreachable!("cast to truth values")
                };
                Value::Bool(B::bool_not(x))
            }
            (UnaryKind::Abs, Value::Int(x)) => Value::Int(B::int_abs(x)),
            (UnaryKind::Neg, Value::Int(x)) => Value::Int(B::int_neg(x)),
            (UnaryKind::Sign, Value::Int(x)) => Value::Int(B::int_sign(x)),
            (UnaryKind::Relu, Value::Int(x)) => Value::Int(B::int_clamp_min(x, Scalar::Int(0))),
            (kind, Value::Int(x)) if kind.keeps_integers() => Value::Int(x),
            (kind, x) => {
                let x = x.cast(DType::Float, call.device).float();
                let by_kernel = match kind.activation() {
                    Some(activation) => activate::<B>(activation, x),
                    None => Err(x),
                };
                let by_burn = |x| in_memory_order::<B>(x, |x| kind.of_float::<B>(x));
                Value::Float(by_kernel.unwrap_or_else(by_burn))
            }
        }
    }
}

/// x where x ≥ 0, else `slope`·x.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeakyRelu {
    /// Factor for negative values.
    pub slope: f64,
}

impl Operator for LeakyRelu {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        float_like(arguments)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments).map(Value::float);
        let activation = Activation::LeakyRelu {
            negative_slope: self.slope,
        };
        let output = activate::<B>(activation, x);
        Value::Float(output.unwrap_or_else(|x| B::leaky_relu(x, Scalar::Float(self.slope))))
    }
}

/// `scale`·x where x > 0, else `scale`·`alpha`·(exp(`input_scale`·x) − 1): ELU, SELU and CELU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elu {
    /// Size of the negative plateau.
    pub alpha: f64,
    /// Factor on the whole.
    pub scale: f64,
    /// Factor inside the exponential.
    pub input_scale: f64,
}

impl Operator for Elu {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        float_like(arguments)
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments).map(Value::float);
        let scalar = Scalar::Float;
        Value::Float(in_memory_order::<B>(x, |x| {
            // The two halves are zero where the other is not.
            let negative = B::float_clamp_max(x.clone(), scalar(0.0));
            let inner = B::float_mul_scalar(negative, scalar(self.input_scale));
            let plateau = B::float_sub_scalar(B::float_exp(inner), scalar(1.0));
            let plateau = B::float_mul_scalar(plateau, scalar(self.alpha));
            let sum = B::float_add(B::relu(x), plateau);
            B::float_mul_scalar(sum, scalar(self.scale))
        }))
    }
}

/// Limits values to a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clamp {
    /// Lower limit, if any.
    pub min: Option<f64>,
    /// Upper limit, if any.
    pub max: Option<f64>,
}

impl Operator for Clamp {
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
        match exactly(arguments)? {
            [Meta::Tensor { dtype, shape }] if *dtype != DType::Bool => {
                Meta::tensor(*dtype, shape.as_slice())
            }
            _ => Err("can clamp tensors of numbers only".into()),
        }
    }

    fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
        let [x] = take(call.arguments);
        match x {
            Value::Float(mut x) => {
                if let Some(min) = self.min {
                    x = B::float_clamp_min(x, Scalar::Float(min));
                }
                if let Some(max) = self.max {
                    x = B::float_clamp_max(x, Scalar::Float(max));
                }
                Value::Float(x)
            }
            Value::Int(mut x) => {
                if let Some(min) = self.min {
                    x = B::int_clamp_min(x, Scalar::Int(min as i64));
                }
                if let Some(max) = self.max {
                    x = B::int_clamp_max(x, Scalar::Int(max as i64));
                }
                Value::Int(x)
            }
            other => other,
        }
    }
}

/// A float tensor of the argument's shape.
fn float_like(arguments: &[Meta]) -> Result<Meta, String> {
    match exactly(arguments)? {
        [
            Meta::Tensor {
                dtype: DType::Float,
                shape,
            },
        ] => Meta::tensor(DType::Float, shape.as_slice()),
        _ => Err("expected a tensor of floats".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, floats};

    /// f32 rounding of a handful of operations on values around one.
    const TOLERANCE: f32 = 2e-6;

    #[test]
    fn functions_agree_with_their_formulas() {
        let x = [-9.0, -1.5, -0.5, 0.0, 0.25, 1.0, 4.0];
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let cases: [(UnaryKind, &dyn Fn(f64) -> f64); 9] = [
            (UnaryKind::Relu, &|x| x.max(0.0)),
            (UnaryKind::Sigmoid, &sigmoid),
            (UnaryKind::Silu, &|x| x * sigmoid(x)),
            (UnaryKind::HardSigmoid, &|x| (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            (UnaryKind::HardSwish, &|x| {
                x * (x / 6.0 + 0.5).clamp(0.0, 1.0)
            }),
            (UnaryKind::Softplus, &|x| x.exp().ln_1p()),
            (UnaryKind::Mish, &|x| x * x.exp().ln_1p().tanh()),
            (UnaryKind::GeluTanh, &|x| {
                0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x * x * x)).tanh())
            }),
            (UnaryKind::Trunc, &f64::trunc),
        ];
        for (kind, formula) in cases {
            let expected: Vec<f32> = x.iter().map(|&x| formula(f64::from(x)) as f32).collect();
            let op = Unary(kind).into();
            check(&op, &[floats(&[7], &x)], &[7], &expected, TOLERANCE);
        }
    }

    #[test]
    fn gelu_uses_the_error_function() {
        // Values of PyTorch 2.x's F.gelu.
        let expected = [-0.158_655_25, 0.0, 0.841_344_8];
        let op = Unary(UnaryKind::Gelu).into();
        check(
            &op,
            &[floats(&[3], &[-1.0, 0.0, 1.0])],
            &[3],
            &expected,
            TOLERANCE,
        );
    }

    #[test]
    fn settings_are_obeyed() {
        let x = floats(&[3], &[-2.0, 0.0, 3.0]);
        check(
            &LeakyRelu { slope: 0.1 }.into(),
            std::slice::from_ref(&x),
            &[3],
            &[-0.2, 0.0, 3.0],
            TOLERANCE,
        );
        let elu = Elu {
            alpha: 2.0,
            scale: 3.0,
            input_scale: 0.5,
        };
        let plateau = 6.0 * ((-1.0_f32).exp() - 1.0);
        check(
            &elu.into(),
            std::slice::from_ref(&x),
            &[3],
            &[plateau, 0.0, 9.0],
            TOLERANCE,
        );
        let clamp = Clamp {
            min: Some(-1.0),
            max: Some(2.0),
        };
        check(&clamp.into(), &[x], &[3], &[-1.0, 0.0, 2.0], 0.0);
    }
}
