//! Vectors of NEON, which every 64-bit ARM processor has.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vbslq_f32, vcgtq_f32, vcltq_f32, vdivq_f32, vdupq_n_f32, vfmaq_f32,
    vld1q_f32, vmaxq_f32, vmulq_f32, vreinterpretq_f32_s32, vreinterpretq_s32_f32, vshlq_n_s32,
    vst1q_f32, vsubq_f32,
};
use std::ops::Range;

use super::{Vector, multiply_plainly};

/// Two registers: the tiles of AVX2 then take 29 of the 32 there are.
#[derive(Clone, Copy)]
pub(super) struct Neon([float32x4_t; 2]);

impl Neon {
    #[inline(always)]
    fn zip(self, other: Self, function: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([function(a, c), function(b, d)])
    }
}

/// In a function of its own, where nothing else needs the registers.
#[inline(never)]
fn multiply_apart<const ROWS: usize, const VECTORS: usize>(
    sums: &mut [[Neon; VECTORS]; ROWS],
    add: bool,
    values: &[f32],
    stride: usize,
    panel: &[f32],
) {
    // Sums that others may see would be written to memory after every line.
    let mut own = *sums;
    multiply_plainly(&mut own, add, values, stride, panel);
    *sums = own;
}

// SAFETY of every block: the instructions are part of the architecture; callers vouch for pointers.
impl Vector for Neon {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([unsafe { vdupq_n_f32(value) }; 2])
    }

    #[inline(always)]
    fn prefetch<E>(_values: &[E], _range: Range<usize>) {}

    #[inline(always)]
    fn prefetch_for_later<E>(_values: &[E], _range: Range<usize>) {}

    #[inline(always)]
    unsafe fn load_at(values: *const f32) -> Self {
        Self(unsafe { [vld1q_f32(values), vld1q_f32(values.add(4))] })
    }

    #[inline(always)]
    unsafe fn store_at(self, values: *mut f32) {
        unsafe {
            vst1q_f32(values, self.0[0]);
            vst1q_f32(values.add(4), self.0[1]);
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vaddq_f32(a, b) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vsubq_f32(a, b) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vmulq_f32(a, b) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vdivq_f32(a, b) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // Not the instruction for it, which gives NaN if either is NaN.
        self.zip(other, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn max_or_nan(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vmaxq_f32(a, b) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        let ([a, b], [c, d], [e, f]) = (self.0, factor.0, addend.0);
        Self(unsafe { [vfmaq_f32(e, a, c), vfmaq_f32(f, b, d)] })
    }

    #[inline(always)]
    fn multiply<const ROWS: usize, const VECTORS: usize>(
        sums: &mut [[Self; VECTORS]; ROWS],
        add: bool,
        values: &[f32],
        stride: usize,
        panel: &[f32],
    ) {
        multiply_apart(sums, add, values, stride, panel);
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(
            self.0.map(|n| unsafe {
                vreinterpretq_f32_s32(vshlq_n_s32::<23>(vreinterpretq_s32_f32(n)))
            }),
        )
    }
}
