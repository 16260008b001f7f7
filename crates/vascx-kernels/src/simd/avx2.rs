//! The innermost loop in instructions of AVX2. Its tile takes 15 of the 16 registers; compilers load
//! ahead and keep sums in memory instead, at half the speed.

use std::arch::asm;
use std::arch::x86_64::__m256;

/// Columns of a panel: two vectors.
const COLUMNS: usize = 16;
/// Lines per round of the loop.
const UNROLLED: usize = 4;

/// A line of the panel times a value of every row. `$k` is the place of both in the round.
macro_rules! line {
    ($k:literal, $($address:literal $left:ident $right:ident)*) => {
        concat!(
            "vmovups {first}, [{panel} + 64 * ", $k, "]\n",
            "vmovups {second}, [{panel} + 64 * ", $k, " + 32]\n",
            // 16 lines ahead, as in the plain loop.
            "prefetcht0 [{panel} + 64 * ", $k, " + 1024]\n",
            $(
                "vbroadcastss {value}, [", $address, " + 4 * ", $k, "]\n",
                "vfmadd231ps {", stringify!($left), "}, {value}, {first}\n",
                "vfmadd231ps {", stringify!($right), "}, {value}, {second}\n",
            )*
        )
    };
}

/// A function for so many rows, given by where each begins and its two sums.
macro_rules! multiply {
    ($name:ident, $rows:literal, $($address:literal $left:ident $right:ident)*) => {
        /// Adds to sums the products of rows, which begin `stride` apart, and a panel.
        #[inline]
        #[target_feature(enable = "avx2,fma")]
        pub(super) fn $name(
            sums: &mut [[__m256; 2]; $rows],
            values: &[f32],
            stride: usize,
            panel: &[f32],
        ) {
            let depth = panel.len() / COLUMNS;
            let length = stride.saturating_mul($rows - 1).saturating_add(depth);
            let values = &values[..length];
            let [$([mut $left, mut $right]),*] = *sums;
            // SAFETY: reads `depth` values of every row and as many lines of the panel, which are
            // there; writes to registers alone.
            unsafe {
                asm!(
                    "test {rounds}, {rounds}",
                    "jz 3f",
                    "2:",
                    line!(0, $($address $left $right)*),
                    line!(1, $($address $left $right)*),
                    line!(2, $($address $left $right)*),
                    line!(3, $($address $left $right)*),
                    "add {upper}, 16",
                    "add {lower}, 16",
                    "add {panel}, 256",
                    "dec {rounds}",
                    "jnz 2b",
                    "3:",
                    "test {rest}, {rest}",
                    "jz 5f",
                    "4:",
                    line!(0, $($address $left $right)*),
                    "add {upper}, 4",
                    "add {lower}, 4",
                    "add {panel}, 64",
                    "dec {rest}",
                    "jnz 4b",
                    "5:",
                    rounds = inout(reg) depth / UNROLLED => _,
                    rest = inout(reg) depth % UNROLLED => _,
                    upper = inout(reg) values.as_ptr() => _,
                    lower = inout(reg) values.as_ptr().wrapping_add(3 * stride) => _,
                    stride = in(reg) 4 * stride,
                    panel = inout(reg) panel.as_ptr() => _,
                    first = out(ymm_reg) _,
                    second = out(ymm_reg) _,
                    value = out(ymm_reg) _,
                    $($left = inout(ymm_reg) $left, $right = inout(ymm_reg) $right,)*
                    options(nostack, readonly),
                );
            }
            *sums = [$([$left, $right]),*];
        }
    };
}

multiply!(multiply_6, 6,
    "{upper}" a b
    "{upper} + {stride}" c d
    "{upper} + 2 * {stride}" e f
    "{lower}" g h
    "{lower} + {stride}" i j
    "{lower} + 2 * {stride}" k l
);

multiply!(multiply_4, 4,
    "{upper}" a b
    "{upper} + {stride}" c d
    "{upper} + 2 * {stride}" e f
    "{lower}" g h
);
