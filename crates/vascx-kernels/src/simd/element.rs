//! What feature maps are made of.

use half::bf16;

use super::Vector;

/// What feature maps hold: f32, or bf16, whose sums and functions are those of f32, rounded once.
pub trait Element: Copy + Default + Send + Sync + 'static {
    /// Whether storing a value loses digits, so that it must be the last thing to happen to it.
    #[doc(hidden)]
    const ROUNDED: bool;

    /// The first `count` values, not more than lanes; the rest is zero.
    #[doc(hidden)]
    fn load<V: Vector>(values: &[Self], count: usize) -> V;

    /// Stores the first `count` values.
    #[doc(hidden)]
    fn store<V: Vector>(vector: V, values: &mut [Self], count: usize);
}

impl Element for f32 {
    const ROUNDED: bool = false;

    #[inline(always)]
    fn load<V: Vector>(values: &[Self], count: usize) -> V {
        V::load_part(values, count)
    }

    #[inline(always)]
    fn store<V: Vector>(vector: V, values: &mut [Self], count: usize) {
        vector.store_part(values, count);
    }
}

impl Element for bf16 {
    const ROUNDED: bool = true;

    #[inline(always)]
    fn load<V: Vector>(values: &[Self], count: usize) -> V {
        V::load_bf16(values, count)
    }

    #[inline(always)]
    fn store<V: Vector>(vector: V, values: &mut [Self], count: usize) {
        vector.store_bf16(values, count);
    }
}

/// The nearest bf16 value, the even one in between; NaN stays NaN.
#[inline(always)]
pub(super) fn rounded(value: f32) -> bf16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    bf16::from_bits(if value.is_nan() { quiet } else { nearest } as u16)
}
