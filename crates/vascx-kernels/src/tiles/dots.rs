//! Tiles in memory, multiplied by the dot products of AVX-512 BF16.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_set1_epi32, _mm512_storeu_ps,
};

use super::{COLUMNS, ROWS, Tile, Tiles};

#[derive(Default)]
pub(super) struct Dots([Tile; 8]);

/// Rows whose sums are held in registers at a time, enough to hide the latency.
const TOGETHER: usize = 8;

/// # Safety
/// The machine has AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn multiply(sums: &mut Tile, values: &Tile, pairs: &Tile) {
    for first in (0..ROWS).step_by(TOGETHER) {
        let rows = &mut sums.0[first..first + TOGETHER];
        let mut totals: [__m512; TOGETHER] = std::array::from_fn(|row| {
            // SAFETY: a row of 16 sums.
            unsafe { _mm512_loadu_ps(rows[row].as_ptr().cast()) }
        });
        for (k, pairs) in pairs.0.iter().enumerate().take(COLUMNS) {
            // SAFETY: a row of 16 pairs; vectors of bf16 are 512 plain bits.
            let pairs: __m512bh = unsafe {
                std::mem::transmute::<__m512i, _>(_mm512_loadu_si512(pairs.as_ptr().cast()))
            };
            for (row, total) in totals.iter_mut().enumerate() {
                let value = _mm512_set1_epi32(values.0[first + row][k].cast_signed());
                // SAFETY: vectors of bf16 are 512 plain bits.
                let value: __m512bh = unsafe { std::mem::transmute(value) };
                *total = _mm512_dpbf16_ps(*total, value, pairs);
            }
        }
        for (row, total) in rows.iter_mut().zip(totals) {
            // SAFETY: a row of 16 sums.
            unsafe { _mm512_storeu_ps(row.as_mut_ptr().cast(), total) };
        }
    }
}

impl Tiles for Dots {
    #[inline(always)]
    fn zero<const TILE: usize>(&mut self) {
        self.0[TILE] = Tile::default();
    }

    #[inline(always)]
    unsafe fn load<const TILE: usize>(&mut self, first: *const u8, stride: usize) {
        // SAFETY: the caller vouches for all rows.
        unsafe { self.0[TILE].load(first, stride) };
    }

    #[inline(always)]
    fn multiply<const SUMS: usize, const VALUES: usize, const PAIRS: usize>(&mut self) {
        let (values, pairs) = (self.0[VALUES], self.0[PAIRS]);
        // SAFETY: see `TileSet::run`.
        unsafe { multiply(&mut self.0[SUMS], &values, &pairs) };
    }

    #[inline(always)]
    unsafe fn store<const TILE: usize>(&mut self, first: *mut u8, stride: usize) {
        // SAFETY: the caller vouches for all rows.
        unsafe { self.0[TILE].store(first, stride) };
    }
}
