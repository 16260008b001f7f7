//! Vectors of AVX2 and AVX-512.

use std::arch::x86_64::{
    __m256, __m256i, __m512, __mmask16, _CMP_UNORD_Q, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch,
    _mm256_add_ps, _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps,
    _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm256_sub_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512,
    _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16,
    _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_div_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps,
    _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_mov_epi32, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_or_si512,
    _mm512_rcp14_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_slli_epi32, _mm512_srli_epi32,
    _mm512_storeu_ps, _mm512_sub_ps,
};

use std::ops::Range;

use half::bf16;

use super::{Kernel, Vector, multiply, multiply_plainly};

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2<K: Kernel>(kernel: K) {
    kernel.run::<Avx2>();
}

#[target_feature(enable = "avx512f,avx2,fma")]
pub(super) fn run_avx512<K: Kernel>(kernel: K) {
    kernel.run::<Avx512>();
}

#[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
pub(super) fn run_avx512_bf16<K: Kernel>(kernel: K) {
    kernel.run::<Avx512Bf16>();
}

/// `value`, or NaN where `other` is.
#[inline(always)]
unsafe fn keep_nan_256(value: __m256, other: __m256) -> __m256 {
    // SAFETY: called with AVX only, as everything here.
    unsafe {
        let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(other, other);
        _mm256_blendv_ps(value, other, is_nan)
    }
}

/// `value`, or NaN where `other` is.
#[inline(always)]
unsafe fn keep_nan_512(value: __m512, other: __m512) -> __m512 {
    // SAFETY: called with AVX-512 only, as everything here.
    unsafe {
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other, other);
        _mm512_mask_blend_ps(is_nan, value, other)
    }
}

/// A mask of the first `count` < 16 lanes.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    (1 << count) - 1
}

/// Rounds to bf16 and stores.
///
/// # Safety
/// The processor has AVX-512 BF16, and there is room for 16 values.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16,avx2")]
unsafe fn store_bf16_at_once(value: __m512, values: *mut bf16) {
    // SAFETY: as the caller promises; vectors of bf16 are plain bits.
    unsafe {
        let rounded: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(value));
        _mm256_storeu_si256(values.cast(), rounded);
    }
}

/// The same in whole numbers.
///
/// # Safety
/// The processor has AVX-512, and there is room for 16 values.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
unsafe fn store_bf16(value: __m512, values: *mut bf16) {
    let bits = _mm512_castps_si512(value);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    let nearest = _mm512_add_epi32(bits, half);
    let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x40_0000));
    let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
    let nearest = _mm512_mask_mov_epi32(nearest, is_nan, quiet);
    let short = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(nearest));
    // SAFETY: as the caller promises.
    unsafe { _mm256_storeu_si256(values.cast(), short) };
}

macro_rules! vector {
    ($name:ident, $register:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $max:ident, $min:ident, $fma:ident,
     $to_int:ident, $shift:ident, $from_int:ident, $keep_nan:ident, {$($more:item)*}) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(super) struct $name($register);

        // SAFETY of every block: the instructions exist (see `InstructionSet::run`); callers vouch
        // for pointers.
        impl Vector for $name {
            const LANES: usize = $lanes;

            $($more)*

            #[inline(always)]
            fn splat(value: f32) -> Self {
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            fn prefetch<E>(values: &[E], range: Range<usize>) {
                for index in range.step_by(CACHE_LINE / size_of::<E>()) {
                    let place = values.as_ptr().wrapping_add(index);
                    // A hint, which may name any place.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
                }
            }

            #[inline(always)]
            fn prefetch_for_later<E>(values: &[E], range: Range<usize>) {
                for index in range.step_by(CACHE_LINE / size_of::<E>()) {
                    let place = values.as_ptr().wrapping_add(index);
                    // As above.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) }
                }
            }

            #[inline(always)]
            unsafe fn load_at(values: *const f32) -> Self {
                Self(unsafe { $load(values) })
            }

            #[inline(always)]
            unsafe fn store_at(self, values: *mut f32) {
                unsafe { $store(values, self.0) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(unsafe { $div(self.0, other.0) })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(unsafe { $max(self.0, other.0) })
            }

            #[inline(always)]
            fn max_or_nan(self, other: Self) -> Self {
                // `max` gives the second operand where one is NaN: the first's is left to keep.
                Self(unsafe { $keep_nan($max(self.0, other.0), self.0) })
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(unsafe { $min(self.0, other.0) })
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                Self(unsafe { $fma(self.0, factor.0, addend.0) })
            }

            #[inline(always)]
            fn power_of_two(self) -> Self {
                Self(unsafe { $from_int($shift::<23>($to_int(self.0))) })
            }
        }
    };
}

vector!(
    Avx2,
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_div_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    _mm256_fmadd_ps,
    _mm256_castps_si256,
    _mm256_slli_epi32,
    _mm256_castsi256_ps,
    keep_nan_256,
    {
        #[inline(always)]
        fn multiply<const ROWS: usize, const VECTORS: usize>(
            sums: &mut [[Self; VECTORS]; ROWS],
            add: bool,
            values: &[f32],
            stride: usize,
            panel: &[f32],
        ) {
            let registers = std::ptr::from_mut(sums);
            match (ROWS, VECTORS) {
                // SAFETY: of this size, and a transparent type; the machine has AVX2.
                (6, 2) => unsafe {
                    multiply::multiply_6x2(&mut *registers.cast(), add, values, stride, panel);
                },
                (4, 2) => unsafe {
                    multiply::multiply_4x2(&mut *registers.cast(), add, values, stride, panel);
                },
                _ => multiply_plainly(sums, add, values, stride, panel),
            }
        }
    }
);
/// Vectors of AVX-512 that round to bf16 by a function.
macro_rules! avx512 {
    ($name:ident, $round:ident) => {
        vector!(
            $name,
            __m512,
            16,
            _mm512_set1_ps,
            _mm512_loadu_ps,
            _mm512_storeu_ps,
            _mm512_add_ps,
            _mm512_sub_ps,
            _mm512_mul_ps,
            _mm512_div_ps,
            _mm512_max_ps,
            _mm512_min_ps,
            _mm512_fmadd_ps,
            _mm512_castps_si512,
            _mm512_slli_epi32,
            _mm512_castsi512_ps,
            keep_nan_512,
            {
                /// Newton's step doubles the 14 bits of the estimate. A division keeps the divider busy
                /// for 16 cycles.
                #[inline(always)]
                fn quotient(self, other: Self) -> Self {
                    let estimate = Self(unsafe { _mm512_rcp14_ps(other.0) });
                    let error =
                        Self(unsafe { _mm512_fnmadd_ps(other.0, estimate.0, _mm512_set1_ps(1.0)) });
                    let reciprocal = error.mul_add(estimate, estimate);
                    self.mul(reciprocal)
                }

                #[inline(always)]
                fn load_part(values: &[f32], count: usize) -> Self {
                    let values = &values[..count];
                    if count == Self::LANES {
                        return Self::load(values);
                    }
                    // Reads no more than there is.
                    Self(unsafe { _mm512_maskz_loadu_ps(first_lanes(count), values.as_ptr()) })
                }

                #[inline(always)]
                fn store_part(self, values: &mut [f32], count: usize) {
                    let values = &mut values[..count];
                    if count == Self::LANES {
                        return self.store(values);
                    }
                    // Writes no more than there is room for.
                    unsafe {
                        _mm512_mask_storeu_ps(values.as_mut_ptr(), first_lanes(count), self.0);
                    }
                }

                #[inline(always)]
                unsafe fn load_bf16_at(values: *const bf16) -> Self {
                    Self(unsafe {
                        let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(values.cast()));
                        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
                    })
                }

                #[inline(always)]
                unsafe fn store_bf16_at(self, values: *mut bf16) {
                    unsafe { $round(self.0, values) }
                }

                #[inline(always)]
                fn multiply<const ROWS: usize, const VECTORS: usize>(
                    sums: &mut [[Self; VECTORS]; ROWS],
                    add: bool,
                    values: &[f32],
                    stride: usize,
                    panel: &[f32],
                ) {
                    let registers = std::ptr::from_mut(sums);
                    // SAFETY of every arm: of this size, and a transparent type; the machine has AVX-512.
                    match (ROWS, VECTORS) {
                        (12, 2) => unsafe {
                            multiply::multiply_12x2(
                                &mut *registers.cast(),
                                add,
                                values,
                                stride,
                                panel,
                            );
                        },
                        (8, 2) => unsafe {
                            multiply::multiply_8x2(
                                &mut *registers.cast(),
                                add,
                                values,
                                stride,
                                panel,
                            );
                        },
                        (12, 1) => unsafe {
                            multiply::multiply_12x1(
                                &mut *registers.cast(),
                                add,
                                values,
                                stride,
                                panel,
                            );
                        },
                        (8, 1) => unsafe {
                            multiply::multiply_8x1(
                                &mut *registers.cast(),
                                add,
                                values,
                                stride,
                                panel,
                            );
                        },
                        _ => multiply_plainly(sums, add, values, stride, panel),
                    }
                }
            }
        );
    };
}

avx512!(Avx512, store_bf16);
avx512!(Avx512Bf16, store_bf16_at_once);
