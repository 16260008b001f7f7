//! Activations, and what else happens to a result before it is stored.

use std::ops::Range;

use crate::simd::{Element, POWER_OF_TWO_BIAS, Vector};

/// A function applied to every element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, this slope times `x` elsewhere; the slope lies in 0…1.
    LeakyRelu(f32),
    /// Not below the first, not above the second bound.
    Clamp(f32, f32),
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
    /// `clamp(x / 6 + 1/2, 0, 1)`.
    HardSigmoid,
    /// `x · hard-sigmoid(x)`.
    HardSwish,
    /// `x · Φ(x)`, Φ the Gaussian distribution function, within 3e-7 of |x|.
    Gelu,
}

/// What happens to a result before it is stored: `activation(result + residual)`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue {
    /// Whether the output holds a residual, which is added. A map of its own would be read beside the output,
    /// whose memory is read, too, before it is written: of a ResNet's largest layers that was a quarter of
    /// the time.
    pub residual: bool,
    /// Applied last.
    pub activation: Activation,
}

impl From<Activation> for Epilogue {
    fn from(activation: Activation) -> Self {
        Self {
            residual: false,
            activation,
        }
    }
}

impl Epilogue {
    /// Whether [`Self::floor`] is all of the activation.
    fn is_quick(self) -> bool {
        matches!(self.activation, Activation::Identity | Activation::Relu)
    }

    /// The least value that a kernel is to store. Then it calls [`Self::finish`].
    pub(crate) fn floor(self) -> f32 {
        if self.activation == Activation::Relu {
            0.0
        } else {
            f32::NEG_INFINITY
        }
    }

    /// Does what is left, on results that were just stored and are still in the cache. One pass
    /// over values side by side is quicker than the same amid a kernel's stores: the kernel keeps its
    /// registers.
    #[inline(always)]
    pub(crate) fn finish<V: Vector, E: Element>(self, output: &mut [E]) {
        if !self.is_quick() {
            apply::<V, E>(self.activation, output);
        }
    }

    /// The same for some columns of `[…, columns]` values.
    #[inline(always)]
    pub(crate) fn finish_columns<V: Vector, E: Element>(
        self,
        output: &mut [E],
        columns: usize,
        range: Range<usize>,
    ) {
        if self.is_quick() || range.len() == columns {
            return self.finish::<V, E>(output);
        }
        for_activation!(self.activation, |activation| {
            for output in output.chunks_exact_mut(columns) {
                each::<V, E>(activation, &mut output[range.clone()]);
            }
        });
    }
}

/// Evaluates an expression with an activation that the compiler knows: every arm becomes a loop of its own.
macro_rules! for_activation {
    ($activation:expr, |$known:ident| $body:expr) => {{
        use crate::Activation as A;
        match $activation {
            A::Identity => for_activation!(@ $known, A::Identity, $body),
            A::Relu => for_activation!(@ $known, A::Relu, $body),
            A::LeakyRelu(slope) => for_activation!(@ $known, A::LeakyRelu(slope), $body),
            A::Clamp(least, most) => for_activation!(@ $known, A::Clamp(least, most), $body),
            A::Sigmoid => for_activation!(@ $known, A::Sigmoid, $body),
            A::Silu => for_activation!(@ $known, A::Silu, $body),
            A::HardSigmoid => for_activation!(@ $known, A::HardSigmoid, $body),
            A::HardSwish => for_activation!(@ $known, A::HardSwish, $body),
            A::Gelu => for_activation!(@ $known, A::Gelu, $body),
        }
    }};
    (@ $known:ident, $value:expr, $body:expr) => {{
        let $known = $value;
        $body
    }};
}
pub(crate) use for_activation;

/// Activates all values.
#[inline(always)]
pub(crate) fn apply<V: Vector, E: Element>(activation: Activation, values: &mut [E]) {
    for_activation!(activation, |activation| each::<V, E>(activation, values));
}

#[inline(always)]
fn each<V: Vector, E: Element>(activation: Activation, values: &mut [E]) {
    let mut whole = values.chunks_exact_mut(V::LANES);
    let load = |values: &[E]| -> V { E::load(values, values.len()) };
    for values in &mut whole {
        E::store(activate(load(values), activation), values, V::LANES);
    }
    let rest = whole.into_remainder();
    if !rest.is_empty() {
        E::store(activate(load(rest), activation), rest, rest.len());
    }
}

/// Bounds come first in `max` and `min`: in this order NaN stays NaN.
#[inline(always)]
pub(crate) fn activate<V: Vector>(x: V, activation: Activation) -> V {
    match activation {
        Activation::Identity => x,
        Activation::Relu => V::splat(0.0).max(x),
        Activation::LeakyRelu(slope) => x.mul(V::splat(slope)).max(x),
        Activation::Clamp(least, most) => V::splat(most).min(V::splat(least).max(x)),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x.quotient(one_plus_exp_of_negative(x)),
        Activation::HardSigmoid => hard_sigmoid(x),
        Activation::HardSwish => x.mul(hard_sigmoid(x)),
        Activation::Gelu => gelu(x),
    }
}

#[inline(always)]
fn sigmoid<V: Vector>(x: V) -> V {
    V::splat(1.0).quotient(one_plus_exp_of_negative(x))
}

#[inline(always)]
fn hard_sigmoid<V: Vector>(x: V) -> V {
    let line = x.mul_add(V::splat(1.0 / 6.0), V::splat(0.5));
    V::splat(1.0).min(V::splat(0.0).max(line))
}

/// `x · (1/2 + erf(x / √2) / 2)`. Half the error function is x times a quotient of polynomials in x²,
/// fitted by least squares, reweighted until the largest error was least, and raised by 1e-7 so that it
/// reaches 1/2 where the true one rounds to that.
#[inline(always)]
fn gelu<V: Vector>(x: V) -> V {
    const NUMERATOR: [f32; 5] = [
        6.611_746_4e-6,
        1.935_397_7e-4,
        4.826_188e-3,
        0.036_180_075,
        0.398_941_96,
    ];
    const DENOMINATOR: [f32; 5] = [8.208_071e-5, 2.022_666e-3, 0.029_995_264, 0.257_352_74, 1.0];
    /// 4 √2; beyond it the distribution function is 0 or 1.
    const MOST: f32 = 5.656_854;
    // Bounds come first: in this order NaN stays NaN.
    let near = V::splat(MOST).min(V::splat(-MOST).max(x));
    let square = near.mul(near);
    let mut numerator = V::splat(2.144_174_8e-8);
    let mut denominator = V::splat(1.178_829_7e-6);
    for (above, below) in NUMERATOR.into_iter().zip(DENOMINATOR) {
        numerator = numerator.mul_add(square, V::splat(above));
        denominator = denominator.mul_add(square, V::splat(below));
    }
    let half = V::splat(0.5);
    let distribution = near.mul(numerator).quotient(denominator).add(half);
    x.mul(V::splat(1.0).min(V::splat(0.0).max(distribution)))
}

/// 1 + e⁻ˣ within 4e-7 of itself; minus infinity gives the largest result.
#[inline(always)]
fn one_plus_exp_of_negative<V: Vector>(x: V) -> V {
    let x = V::splat(87.0).min(V::splat(-88.0).max(x));
    // Adding 1.5 · 2²³ rounds to an integer n; e⁻ˣ = 2ⁿ · e⁻ʳ.
    let rounding = V::splat(POWER_OF_TWO_BIAS);
    let biased = x.mul_add(V::splat(-std::f32::consts::LOG2_E), rounding);
    let n = biased.sub(rounding);
    // f32's ln 2 is off by 2e-9, so that n times its error is no matter.
    let r = n.mul_add(V::splat(std::f32::consts::LN_2), x);
    // Fitted by least squares, reweighted until the largest error was least.
    let mut sum = V::splat(-8.312_501e-3);
    for factor in [0.041_890_33, -0.166_671_16, 0.499_992_3, -1.0, 1.0] {
        sum = sum.mul_add(r, V::splat(factor));
    }
    sum.mul_add(biased.power_of_two(), V::splat(1.0))
}
