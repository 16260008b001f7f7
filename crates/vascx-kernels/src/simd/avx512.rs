//! The innermost loop in instructions of AVX-512. Its tiles take 27 of the 32 registers; compilers keep
//! some of the sums in memory instead.

use std::arch::asm;
use std::arch::x86_64::__m512;

/// Lines per round of the loop.
const UNROLLED: usize = 4;

/// A line of a panel of two vectors times a value of every row. `$k` is the place of both in the round.
macro_rules! wide_line {
    ($k:literal, $($address:literal $left:ident $right:ident)*) => {
        concat!(
            "vmovups {first}, [{panel} + 128 * ", $k, "]\n",
            "vmovups {second}, [{panel} + 128 * ", $k, " + 64]\n",
            // 16 lines ahead, as in the plain loop.
            "prefetcht0 [{panel} + 128 * ", $k, " + 2048]\n",
            "prefetcht0 [{panel} + 128 * ", $k, " + 2112]\n",
            $(
                "vbroadcastss {value}, [", $address, " + 4 * ", $k, "]\n",
                "vfmadd231ps {", stringify!($left), "}, {value}, {first}\n",
                "vfmadd231ps {", stringify!($right), "}, {value}, {second}\n",
            )*
        )
    };
}

/// The same of one vector. The multiplication reads the value itself: there is room for its load.
macro_rules! narrow_line {
    ($k:literal, $($address:literal $sum:ident)*) => {
        concat!(
            "vmovups {first}, [{panel} + 64 * ", $k, "]\n",
            "prefetcht0 [{panel} + 64 * ", $k, " + 1024]\n",
            $(
                "vfmadd231ps {", stringify!($sum), "}, {first}, dword ptr [",
                $address, " + 4 * ", $k, "]{{1to16}}\n",
            )*
        )
    };
}

/// A function for so many rows, given by where each begins and its sums: pointers to every third row,
/// and from there one or two strides.
macro_rules! multiply {
    ($name:ident, $line:ident, $rows:literal, $vectors:literal, $width:literal, [$($more:ident)*],
     $($address:literal $($sum:ident)*;)*) => {
        /// Adds to sums the products of rows, which begin `stride` apart, and a panel.
        #[inline]
        #[target_feature(enable = "avx512f")]
        pub(super) fn $name(
            sums: &mut [[__m512; $vectors]; $rows],
            values: &[f32],
            stride: usize,
            panel: &[f32],
        ) {
            let depth = panel.len() / (16 * $vectors);
            let length = stride.saturating_mul($rows - 1).saturating_add(depth);
            let values = &values[..length];
            let [$([$(mut $sum),*]),*] = *sums;
            // SAFETY: reads `depth` values of every row and as many lines of the panel, which are
            // there; writes to registers alone.
            unsafe {
                asm!(
                    "test {rounds}, {rounds}",
                    "jz 3f",
                    "2:",
                    $line!(0, $($address $($sum)*)*),
                    $line!(1, $($address $($sum)*)*),
                    $line!(2, $($address $($sum)*)*),
                    $line!(3, $($address $($sum)*)*),
                    "add {a}, 16",
                    "add {b}, 16",
                    "add {c}, 16",
                    "add {d}, 16",
                    concat!("add {panel}, 4 * ", $width),
                    "dec {rounds}",
                    "jnz 2b",
                    "3:",
                    "test {rest}, {rest}",
                    "jz 5f",
                    "4:",
                    $line!(0, $($address $($sum)*)*),
                    "add {a}, 4",
                    "add {b}, 4",
                    "add {c}, 4",
                    "add {d}, 4",
                    concat!("add {panel}, ", $width),
                    "dec {rest}",
                    "jnz 4b",
                    "5:",
                    rounds = inout(reg) depth / UNROLLED => _,
                    rest = inout(reg) depth % UNROLLED => _,
                    a = inout(reg) values.as_ptr() => _,
                    b = inout(reg) values.as_ptr().wrapping_add(3 * stride) => _,
                    c = inout(reg) values.as_ptr().wrapping_add(6 * stride) => _,
                    d = inout(reg) values.as_ptr().wrapping_add(9 * stride) => _,
                    stride = in(reg) 4 * stride,
                    panel = inout(reg) panel.as_ptr() => _,
                    first = out(zmm_reg) _,
                    $($more = out(zmm_reg) _,)*
                    $($($sum = inout(zmm_reg) $sum,)*)*
                    options(nostack, readonly),
                );
            }
            *sums = [$([$($sum),*]),*];
        }
    };
}

multiply!(multiply_12x2, wide_line, 12, 2, "128", [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{b}" s3 t3;
    "{b} + {stride}" s4 t4;
    "{b} + 2 * {stride}" s5 t5;
    "{c}" s6 t6;
    "{c} + {stride}" s7 t7;
    "{c} + 2 * {stride}" s8 t8;
    "{d}" s9 t9;
    "{d} + {stride}" s10 t10;
    "{d} + 2 * {stride}" s11 t11;
);

multiply!(multiply_8x2, wide_line, 8, 2, "128", [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{b}" s3 t3;
    "{b} + {stride}" s4 t4;
    "{b} + 2 * {stride}" s5 t5;
    "{c}" s6 t6;
    "{c} + {stride}" s7 t7;
);

multiply!(multiply_12x1, narrow_line, 12, 1, "64", [],
    "{a}" s0;
    "{a} + {stride}" s1;
    "{a} + 2 * {stride}" s2;
    "{b}" s3;
    "{b} + {stride}" s4;
    "{b} + 2 * {stride}" s5;
    "{c}" s6;
    "{c} + {stride}" s7;
    "{c} + 2 * {stride}" s8;
    "{d}" s9;
    "{d} + {stride}" s10;
    "{d} + 2 * {stride}" s11;
);

multiply!(multiply_8x1, narrow_line, 8, 1, "64", [],
    "{a}" s0;
    "{a} + {stride}" s1;
    "{a} + 2 * {stride}" s2;
    "{b}" s3;
    "{b} + {stride}" s4;
    "{b} + 2 * {stride}" s5;
    "{c}" s6;
    "{c} + {stride}" s7;
);
