//! Dot products of AVX-512 BF16 in place of tiles: sums stay in registers over all steps.

use std::arch::asm;
use std::arch::x86_64::{__m512, _mm512_setzero_ps, _mm512_storeu_ps};

use half::bf16;

use super::{Blocks, COLUMNS, PANEL, ROWS, Steps};

#[derive(Default)]
pub(super) struct Dots;

/// Rows whose sums are in registers at a time: enough to hide the latency.
const TOGETHER: usize = 8;

/// Two columns of pairs times a pair of every row. `$k` is the place of both in the round.
macro_rules! wide_line {
    ($k:literal, $($address:literal $left:ident $right:ident)*) => {
        concat!(
            "vmovups {first}, [{pairs} + 64 * ", $k, "]\n",
            "vmovups {second}, [{pairs} + 64 * ", $k, " + 1024]\n",
            // The next step's.
            "prefetcht0 [{pairs} + 64 * ", $k, " + 2048]\n",
            "prefetcht0 [{pairs} + 64 * ", $k, " + 3072]\n",
            $(
                "vpbroadcastd {value}, [", $address, " + 4 * ", $k, "]\n",
                "vdpbf16ps {", stringify!($left), "}, {value}, {first}\n",
                "vdpbf16ps {", stringify!($right), "}, {value}, {second}\n",
            )*
        )
    };
}

/// The same of one column. The multiplication reads the pair itself: there is room for its load.
macro_rules! narrow_line {
    ($k:literal, $($address:literal $sum:ident)*) => {
        concat!(
            "vmovups {first}, [{pairs} + 64 * ", $k, "]\n",
            "prefetcht0 [{pairs} + 64 * ", $k, " + 2048]\n",
            $(
                "vdpbf16ps {", stringify!($sum), "}, {first}, dword ptr [", $address, " + 4 * ", $k, "]{{1to16}}\n",
            )*
        )
    };
}

/// A function for one or two vectors of sums, given by where each row begins and its sums.
macro_rules! multiply {
    ($name:ident, $line:ident, $vectors:literal, [$($more:ident)*], $($address:literal $($sum:ident)*;)*) => {
        /// The sums of [`TOGETHER`] rows over all steps.
        ///
        /// # Safety
        /// The machine has AVX-512 BF16. At `values` and each of the offsets from there begin rows of 64
        /// bytes, `stride` bytes apart; at `pairs` two tiles for every offset.
        #[target_feature(enable = "avx512f,avx512bf16")]
        unsafe fn $name(
            values: *const bf16,
            stride: usize,
            offsets: &[usize],
            pairs: *const u8,
        ) -> [[__m512; $vectors]; TOGETHER] {
            $($(let mut $sum = _mm512_setzero_ps();)*)*
            if !offsets.is_empty() {
                // SAFETY: reads what the caller vouches for.
                unsafe {
                    asm!(
                        "2:",
                        "mov {a}, [{offsets}]",
                        "lea {a}, [{values} + 2 * {a}]",
                        "lea {b}, [{a} + 4 * {stride}]",
                        "add {b}, {stride}",
                        "mov {rounds:e}, 4",
                        "3:",
                        $line!(0, $($address $($sum)*)*),
                        $line!(1, $($address $($sum)*)*),
                        $line!(2, $($address $($sum)*)*),
                        $line!(3, $($address $($sum)*)*),
                        "add {a}, 16",
                        "add {b}, 16",
                        "add {pairs}, 256",
                        "dec {rounds:e}",
                        "jnz 3b",
                        "add {pairs}, 1024",
                        "add {offsets}, 8",
                        "dec {steps}",
                        "jnz 2b",
                        values = in(reg) values,
                        offsets = inout(reg) offsets.as_ptr() => _,
                        steps = inout(reg) offsets.len() => _,
                        rounds = out(reg) _,
                        a = out(reg) _,
                        b = out(reg) _,
                        stride = in(reg) stride,
                        thrice = in(reg) 3 * stride,
                        pairs = inout(reg) pairs => _,
                        first = out(zmm_reg) _,
                        $($more = out(zmm_reg) _,)*
                        $($($sum = inout(zmm_reg) $sum,)*)*
                        options(nostack, readonly),
                    );
                }
            }
            [$([$($sum),*]),*]
        }
    };
}

multiply!(multiply_2, wide_line, 2, [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{a} + {thrice}" s3 t3;
    "{a} + 4 * {stride}" s4 t4;
    "{b}" s5 t5;
    "{a} + 2 * {thrice}" s6 t6;
    "{b} + 2 * {stride}" s7 t7;
);

multiply!(multiply_1, narrow_line, 1, [],
    "{a}" s0;
    "{a} + {stride}" s1;
    "{a} + 2 * {stride}" s2;
    "{a} + {thrice}" s3;
    "{a} + 4 * {stride}" s4;
    "{b}" s5;
    "{a} + 2 * {thrice}" s6;
    "{b} + 2 * {stride}" s7;
);

/// # Safety
/// There is room for the vectors in each of the rows, which begin [`PANEL`] sums apart.
#[target_feature(enable = "avx512f")]
unsafe fn store<const VECTORS: usize>(sums: [[__m512; VECTORS]; TOGETHER], target: *mut f32) {
    for (row, vectors) in sums.into_iter().enumerate() {
        for (column, vector) in vectors.into_iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { _mm512_storeu_ps(target.add(row * PANEL + column * COLUMNS), vector) };
        }
    }
}

impl Blocks for Dots {
    #[inline(always)]
    unsafe fn sums<const HIGH: usize, const WIDE: usize>(
        &mut self,
        steps: &Steps,
        target: *mut f32,
    ) {
        let Steps {
            values,
            stride,
            offsets,
            pairs,
        } = *steps;
        for first in (0..HIGH * ROWS).step_by(TOGETHER) {
            let values = values[first / ROWS].wrapping_byte_add(first % ROWS * stride);
            let target = target.wrapping_add(first * PANEL);
            // SAFETY: the machine has AVX-512 BF16, see `TileSet::run`; the caller vouches for memory.
            unsafe {
                if WIDE == 2 {
                    store(multiply_2(values, stride, offsets, pairs), target);
                } else {
                    store(multiply_1(values, stride, offsets, pairs), target);
                }
            }
        }
    }
}
