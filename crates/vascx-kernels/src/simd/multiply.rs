//! The innermost loop in instructions of AVX2 and AVX-512. Its tiles take 15 of 16 and 27 of 32 registers;
//! compilers load ahead and keep some of the sums in memory instead, at half the speed.

use std::arch::asm;
use std::arch::x86_64::{__m256, __m512, _mm256_setzero_ps, _mm512_setzero_ps};

/// Lines per round of the loop.
const UNROLLED: usize = 4;

/// A line of a panel times a value of every row; `$k` is the place of both in the round. A line is two
/// vectors or one, of so many bytes each. Lines of two vectors are asked for 32 lines ahead, or what lies beyond
/// the second-level cache comes too late; those of one, 16, as in the plain loop.
macro_rules! line {
    (2, $bytes:literal, [$($ahead:literal)*], $k:literal,
     $($address:literal $left:ident $right:ident;)*) => {
        concat!(
            "vmovups {first}, [{panel} + 2 * ", $bytes, " * ", $k, "]\n",
            "vmovups {second}, [{panel} + 2 * ", $bytes, " * ", $k, " + ", $bytes, "]\n",
            $("prefetcht0 [{panel} + 2 * ", $bytes, " * ", $k, " + ", $ahead, "]\n",)*
            $(
                "vbroadcastss {value}, [", $address, " + 4 * ", $k, "]\n",
                "vfmadd231ps {", stringify!($left), "}, {value}, {first}\n",
                "vfmadd231ps {", stringify!($right), "}, {value}, {second}\n",
            )*
        )
    };
    // The multiplication reads the value itself: there is room for its load.
    (1, $bytes:literal, [$($ahead:literal)*], $k:literal, $($address:literal $sum:ident;)*) => {
        concat!(
            "vmovups {first}, [{panel} + ", $bytes, " * ", $k, "]\n",
            $("prefetcht0 [{panel} + ", $bytes, " * ", $k, " + ", $ahead, "]\n",)*
            $(
                "vfmadd231ps {", stringify!($sum), "}, {first}, dword ptr [",
                $address, " + 4 * ", $k, "]{{1to16}}\n",
            )*
        )
    };
}

/// A function for tiles of so many rows and vectors, of so many bytes each. Every row is given by where it
/// begins and its sums: pointers to every third row, and from there one or two strides.
macro_rules! multiply {
    ($name:ident, $features:literal, $register:ident in $class:ident from $zero:ident, $rows:literal, $vectors:tt,
     $bytes:literal, $ahead:tt, [$($more:ident)*], $($address:literal $($sum:ident)*;)*) => {
        /// The products of rows, which begin `stride` apart, and a panel, added to the sums or in their
        /// place.
        #[inline]
        #[target_feature(enable = $features)]
        pub(super) fn $name(
            sums: &mut [[$register; $vectors]; $rows],
            add: bool,
            values: &[f32],
            stride: usize,
            panel: &[f32],
        ) {
            const LINE: usize = $vectors * size_of::<$register>();
            let depth = size_of_val(panel) / LINE;
            let length = stride.saturating_mul($rows - 1).saturating_add(depth);
            let values = &values[..length];
            let [$([$(mut $sum),*]),*] = if add {
                *sums
            } else {
                [[$zero(); $vectors]; $rows]
            };
            // SAFETY: reads `depth` values of every row and as many lines of the panel, which are
            // there; writes to registers alone.
            unsafe {
                asm!(
                    "test {rounds}, {rounds}",
                    "jz 3f",
                    "2:",
                    line!($vectors, $bytes, $ahead, 0, $($address $($sum)*;)*),
                    line!($vectors, $bytes, $ahead, 1, $($address $($sum)*;)*),
                    line!($vectors, $bytes, $ahead, 2, $($address $($sum)*;)*),
                    line!($vectors, $bytes, $ahead, 3, $($address $($sum)*;)*),
                    "add {a}, 16",
                    "add {b}, 16",
                    "add {c}, 16",
                    "add {d}, 16",
                    "add {panel}, 4 * {line}",
                    "dec {rounds}",
                    "jnz 2b",
                    "3:",
                    "test {rest}, {rest}",
                    "jz 5f",
                    "4:",
                    line!($vectors, $bytes, $ahead, 0, $($address $($sum)*;)*),
                    "add {a}, 4",
                    "add {b}, 4",
                    "add {c}, 4",
                    "add {d}, 4",
                    "add {panel}, {line}",
                    "dec {rest}",
                    "jnz 4b",
                    "5:",
                    line = const LINE,
                    rounds = inout(reg) depth / UNROLLED => _,
                    rest = inout(reg) depth % UNROLLED => _,
                    a = inout(reg) values.as_ptr() => _,
                    b = inout(reg) values.as_ptr().wrapping_add(3 * stride) => _,
                    c = inout(reg) values.as_ptr().wrapping_add(6 * stride) => _,
                    d = inout(reg) values.as_ptr().wrapping_add(9 * stride) => _,
                    stride = in(reg) 4 * stride,
                    panel = inout(reg) panel.as_ptr() => _,
                    first = out($class) _,
                    $($more = out($class) _,)*
                    $($($sum = inout($class) $sum,)*)*
                    options(nostack, readonly),
                );
            }
            *sums = [$([$($sum),*]),*];
        }
    };
}

multiply!(multiply_4x2, "avx2,fma", __m256 in ymm_reg from _mm256_setzero_ps, 4, 2, 32, [2048], [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{b}" s3 t3;
);

multiply!(multiply_6x2, "avx2,fma", __m256 in ymm_reg from _mm256_setzero_ps, 6, 2, 32, [2048], [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{b}" s3 t3;
    "{b} + {stride}" s4 t4;
    "{b} + 2 * {stride}" s5 t5;
);

multiply!(multiply_8x1, "avx512f", __m512 in zmm_reg from _mm512_setzero_ps, 8, 1, 64, [1024], [],
    "{a}" s0;
    "{a} + {stride}" s1;
    "{a} + 2 * {stride}" s2;
    "{b}" s3;
    "{b} + {stride}" s4;
    "{b} + 2 * {stride}" s5;
    "{c}" s6;
    "{c} + {stride}" s7;
);

multiply!(multiply_8x2, "avx512f", __m512 in zmm_reg from _mm512_setzero_ps, 8, 2, 64, [4096 4160], [second value],
    "{a}" s0 t0;
    "{a} + {stride}" s1 t1;
    "{a} + 2 * {stride}" s2 t2;
    "{b}" s3 t3;
    "{b} + {stride}" s4 t4;
    "{b} + 2 * {stride}" s5 t5;
    "{c}" s6 t6;
    "{c} + {stride}" s7 t7;
);

multiply!(multiply_12x1, "avx512f", __m512 in zmm_reg from _mm512_setzero_ps, 12, 1, 64, [1024], [],
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

multiply!(multiply_12x2, "avx512f", __m512 in zmm_reg from _mm512_setzero_ps, 12, 2, 64, [4096 4160], [second value],
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
