//! The table of operators. An operator is a struct in `ops/` that implements [`Operator`]; its name below,
//! beside its file's, makes it part of the graph format and of execution.

use burn::tensor::FloatDType;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::value::Value;

/// One kind of computation. Static settings are fields; what depends on the input's size (and the
/// tensors) are arguments.
pub(crate) trait Operator {
    /// Element type and shape (or the number) that the arguments lead to.
    ///
    /// # Errors
    /// When the arguments do not fit. Whatever passes here, [`Operator::run`] computes without
    /// panicking.
    fn infer(&self, arguments: &[Meta]) -> Result<Meta, String>;

    /// In which element type to compute when the network runs in half precision.
    fn compute(&self) -> Compute {
        Compute::Arguments
    }

    /// Computes a tensor; numbers never reach this.
    fn run<B: Backend>(&self, call: Call<B>) -> Value<B>;
}

/// What an operator computes from.
pub(crate) struct Call<'a, B: Backend> {
    pub(crate) arguments: Vec<Value<B>>,
    /// Shape of the result, as [`Operator::infer`] gave it.
    pub(crate) shape: &'a [usize],
    pub(crate) device: &'a B::Device,
}

/// In which element type an operator computes. It matters in half precision only: f16 ends at
/// 65 504 and bf16 has three digits, so squares and sums over many values need f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compute {
    /// In that of the arguments; in f32 when they differ.
    Arguments,
    /// In the network's type: convolutions and products, which round each result once.
    Network,
    /// In f32, with a result that is no larger than the input: it returns to the network's type.
    Normalised,
    /// The same of operators with kernels that read half precision and sum in f32; where there is no
    /// kernel they widen their arguments themselves.
    Kernel,
    /// In f32, with a result that stays f32 until a convolution or product reads it.
    Wide,
}

impl Compute {
    /// Casts arguments to the type to compute in; integers and numbers stay.
    pub(crate) fn arguments<B: Backend>(
        self,
        network: FloatDType,
        arguments: Vec<Value<B>>,
    ) -> Vec<Value<B>> {
        let dtype = match self {
            // No kernel of ours reads f16.
            Self::Kernel if network != FloatDType::F16 => return arguments,
            Self::Network => network,
            Self::Normalised | Self::Kernel | Self::Wide => FloatDType::F32,
            Self::Arguments => {
                let mut dtypes = arguments.iter().filter_map(Value::float_dtype);
                let first = dtypes.next();
                if dtypes.all(|dtype| Some(dtype) == first) {
                    return arguments;
                }
                FloatDType::F32
            }
        };
        let cast = |value: Value<B>| value.with_float_dtype(dtype);
        arguments.into_iter().map(cast).collect()
    }

    /// Casts a result to the type that it leaves in.
    pub(crate) fn result<B: Backend>(self, network: FloatDType, value: Value<B>) -> Value<B> {
        match self {
            Self::Normalised | Self::Kernel => value.with_float_dtype(network),
            _ => value,
        }
    }
}

macro_rules! operators {
    ($($file:ident: $($name:ident)+;)*) => {
        $(use super::ops::$file::{$($name),+};)*

        /// An operator with its static settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs)] // Each is documented where it is defined.
        pub enum Op { $($($name($name),)+)* }

        impl Op {
            /// The operator's name.
            pub fn name(&self) -> &'static str {
                match self { $($(Self::$name(_) => stringify!($name),)+)* }
            }

            pub(crate) fn infer(&self, arguments: &[Meta]) -> Result<Meta, String> {
                match self { $($(Self::$name(op) => op.infer(arguments),)+)* }
            }

            pub(crate) fn compute(&self) -> Compute {
                match self { $($(Self::$name(op) => op.compute(),)+)* }
            }

            pub(crate) fn run<B: Backend>(&self, call: Call<B>) -> Value<B> {
                match self { $($(Self::$name(op) => op.run(call),)+)* }
            }
        }

        $($(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Self::$name(op)
            }
        })+)*
    };
}

operators! {
    activation: Clamp Elu LeakyRelu Unary;
    binary: Binary;
    convolution: Conv ConvTranspose;
    create: Arange Cast Constant Full;
    index: Gather IndexSelect Roll Slice SliceAssign Where;
    linear: Linear MatMul;
    norm: BatchNorm GroupNorm LayerNorm;
    pad: Pad;
    pool: AdaptiveAvgPool AdaptiveMaxPool AvgPool MaxPool;
    reduce: ArgMax CumSum Reduce Softmax;
    resize: Resize;
    scatter: ScatterRows;
    shape: Cat Expand Flip Permute Reshape Size Squeeze Unsqueeze;
}

/// Exactly N arguments.
pub(crate) fn exactly<const N: usize, T>(arguments: &[T]) -> Result<&[T; N], String> {
    arguments
        .try_into()
        .map_err(|_| format!("{} arguments, expected {N}", arguments.len()))
}

/// N arguments and the rest.
pub(crate) fn at_least<const N: usize, T>(arguments: &[T]) -> Result<(&[T; N], &[T]), String> {
    arguments
        .split_first_chunk()
        .ok_or_else(|| format!("{} arguments, expected {N} or more", arguments.len()))
}

/// Takes N arguments whose number inference has checked.
pub(crate) fn take<const N: usize, T>(arguments: Vec<T>) -> [T; N] {
    arguments
        .try_into()
        .unwrap_or_else(|_| unreachable!("inference checked the number of arguments"))
}

/// Checks that an axis exists.
pub(crate) fn check_axis(axis: usize, rank: usize) -> Result<(), String> {
    if axis < rank {
        Ok(())
    } else {
        Err(format!("axis {axis} of a tensor of {rank}"))
    }
}
