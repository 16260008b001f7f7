//! Activations, and what else happens to a result before it is stored.

use crate::simd::Vector;

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
    /// `x · Φ(x)`, Φ the Gaussian distribution function, within 2e-7 of the largest value.
    Gelu,
}

/// What happens to a result before it is stored: `activation(result + residual)`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Added to the result; of its size.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Activation,
}

impl From<Activation> for Epilogue<'_> {
    fn from(activation: Activation) -> Self {
        Self {
            residual: None,
            activation,
        }
    }
}

impl Epilogue<'_> {
    /// # Panics
    /// When the residual has another size than the output.
    pub(crate) fn check(&self, output: &[f32]) {
        if let Some(residual) = self.residual {
            assert_eq!(residual.len(), output.len(), "a residual's size");
        }
    }

    /// The part that belongs to some values of the output.
    pub(crate) fn part(&self, first: usize, count: usize) -> Self {
        Self {
            residual: self.residual.map(|values| &values[first..][..count]),
            activation: self.activation,
        }
    }

    /// Stores `count` lanes of a result at `at`.
    #[inline(always)]
    pub(crate) fn store<V: Vector>(&self, value: V, output: &mut [f32], at: usize, count: usize) {
        let value = match self.residual {
            Some(residual) => value.add(V::load_part(&residual[at..], count)),
            None => value,
        };
        activate(value, self.activation).store_part(&mut output[at..], count);
    }
}

/// Bounds come first in `max` and `min`: in this order NaN stays NaN.
#[inline(always)]
pub(crate) fn activate<V: Vector>(x: V, activation: Activation) -> V {
    // The two common ones by comparison: a table of jumps would cost more than they do.
    if activation == Activation::Relu {
        return V::splat(0.0).max(x);
    }
    if activation == Activation::Identity {
        return x;
    }
    match activation {
        Activation::Identity | Activation::Relu => x,
        Activation::LeakyRelu(slope) => x.mul(V::splat(slope)).max(x),
        Activation::Clamp(least, most) => V::splat(most).min(V::splat(least).max(x)),
        Activation::Sigmoid => sigmoid(x),
        Activation::Silu => x.mul(sigmoid(x)),
        Activation::HardSigmoid => hard_sigmoid(x),
        Activation::HardSwish => x.mul(hard_sigmoid(x)),
        Activation::Gelu => gelu(x),
    }
}

#[inline(always)]
fn sigmoid<V: Vector>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp(x.mul(V::splat(-1.0)))))
}

#[inline(always)]
fn hard_sigmoid<V: Vector>(x: V) -> V {
    let line = x.mul_add(V::splat(1.0 / 6.0), V::splat(0.5));
    V::splat(1.0).min(V::splat(0.0).max(line))
}

/// `max(x, 0) − |x| / 2 · erfc(|x| / √2)`, which does not cancel for large |x|. The complementary
/// error function is Abramowitz and Stegun's 7.1.26, within 1.5e-7.
#[inline(always)]
fn gelu<V: Vector>(x: V) -> V {
    let magnitude = x.max(x.mul(V::splat(-1.0)));
    let scaled = magnitude.mul(V::splat(std::f32::consts::FRAC_1_SQRT_2));
    let one = V::splat(1.0);
    let t = one.div(scaled.mul_add(V::splat(0.327_591_1), one));
    let mut tail = V::splat(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        tail = tail.mul_add(t, V::splat(coefficient));
    }
    let tail = tail.mul(t).mul(exp(scaled.mul(scaled).mul(V::splat(-1.0))));
    let half = magnitude.mul(V::splat(-0.5));
    half.mul_add(tail, V::splat(0.0).max(x))
}

/// eˣ within 2 units in the last place; 0 and infinity become the smallest and largest results.
#[inline(always)]
fn exp<V: Vector>(x: V) -> V {
    let x = V::splat(88.0).min(V::splat(-87.0).max(x));
    // Adding and subtracting 1.5 · 2²³ rounds to an integer.
    let rounding = V::splat(12_582_912.0);
    let n = x
        .mul_add(V::splat(std::f32::consts::LOG2_E), rounding)
        .sub(rounding);
    // ln 2 in two parts, the first of few digits, so that the remainder is exact.
    let r = n.mul_add(V::splat(-0.693_359_4), x);
    let r = n.mul_add(V::splat(2.121_944_4e-4), r);
    let mut sum = V::splat(1.0 / 5040.0);
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        sum = sum.mul_add(r, V::splat(1.0 / factorial));
    }
    sum.mul(n.power_of_two())
}
