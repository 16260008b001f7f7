//! Vectors of f32 behind one trait, so that every kernel is written once.
#![allow(
    unsafe_code,
    reason = "vector instructions: each is called only on a machine that was found to have it"
)]

use std::ops::Range;
use std::sync::OnceLock;

use half::bf16;

mod element;
#[cfg(target_arch = "x86_64")]
mod multiply;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use element::Element;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What the compiler makes of plain arrays.
    Portable,
    /// 64-bit ARM: twice 4 lanes with fused multiply-add.
    Neon,
    /// 8 lanes with fused multiply-add.
    Avx2,
    /// 16 lanes.
    Avx512,
}

impl InstructionSet {
    /// The best this machine has, or the one that the environment variable `VASCX_INSTRUCTION_SET`
    /// (`portable`, `neon`, `avx2`, `avx512`) asks for, if the machine has it.
    pub fn current() -> Self {
        static CURRENT: OnceLock<InstructionSet> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let asked = std::env::var("VASCX_INSTRUCTION_SET").ok();
            let available = Self::available();
            let best = available[available.len() - 1];
            asked
                .and_then(|name| available.into_iter().find(|set| set.name() == name))
                .unwrap_or(best)
        })
    }

    /// All that this machine has, best last.
    pub fn available() -> Vec<Self> {
        let all = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];
        all.into_iter().filter(|set| set.is_available()).collect()
    }

    /// Whether this machine has it.
    pub(crate) fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let avx2 = || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Self::Portable => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx2() && is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Runs a kernel with these instructions.
    ///
    /// # Panics
    /// When the machine does not have them.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        assert!(self.is_available(), "{}", self.name());
        match self {
            Self::Portable => kernel.run::<Portable>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => kernel.run::<neon::Neon>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has them.
            Self::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Self::Avx512 => unsafe { x86::run_avx512(kernel) },
            // Those of other architectures.
            _ => unreachable!("not available"),
        }
    }
}

/// Runs a kernel with AVX-512 and its instructions for bf16.
///
/// # Panics
/// When the machine does not have them.
#[cfg(target_arch = "x86_64")]
pub(crate) fn run_with_bf16<K: Kernel>(kernel: K) {
    assert!(InstructionSet::Avx512.is_available() && is_x86_feature_detected!("avx512bf16"));
    // SAFETY: the processor has them.
    unsafe { x86::run_avx512_bf16(kernel) }
}

/// A computation that any vector type can do. `run` must be `#[inline(always)]`, with all it calls,
/// for the instructions to be used.
pub(crate) trait Kernel {
    fn run<V: Vector>(self);
}

/// What turns an integer into an f32 whose last bits are the exponent of 2 to its power: 1.5 · 2²³
/// leaves no room behind the point, 127 is the exponent of 1.
pub(crate) const POWER_OF_TWO_BIAS: f32 = 12_582_912.0 + 127.0;

/// A vector of f32. Methods are to be called only where the instruction set is available, which
/// [`InstructionSet::run`] ensures.
pub trait Vector: Copy {
    /// Number of values.
    const LANES: usize;

    fn splat(value: f32) -> Self;
    /// # Safety
    /// `LANES` values can be read there.
    unsafe fn load_at(values: *const f32) -> Self;
    /// # Safety
    /// `LANES` values can be written there.
    unsafe fn store_at(self, values: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// `self / other` within two units in the last place, for normal numbers of `other` whose
    /// reciprocal is one, too.
    #[inline(always)]
    fn quotient(self, other: Self) -> Self {
        self.div(other)
    }
    /// The larger; `other` if either is NaN.
    fn max(self, other: Self) -> Self;
    /// The larger; NaN if either is NaN.
    fn max_or_nan(self, other: Self) -> Self;
    /// The smaller; `other` if either is NaN.
    fn min(self, other: Self) -> Self;
    /// `self · factor + addend`.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// 2 to the power of integers n in −127…127, given as n + [`POWER_OF_TWO_BIAS`]; 0 instead of
    /// 2⁻¹²⁷.
    fn power_of_two(self) -> Self;

    /// Asks for values that will be read or written soon. They may lie beyond the end.
    fn prefetch<E>(values: &[E], range: Range<usize>);
    /// Asks for values that will be read later: into the second-level cache.
    fn prefetch_for_later<E>(values: &[E], range: Range<usize>);

    /// The products of `ROWS` rows of A, which begin `stride` apart, and a panel of
    /// `VECTORS` · `LANES` columns, as deep as there are lines in it; added to the sums there are, or in
    /// their place. The innermost loop of all.
    #[inline(always)]
    fn multiply<const ROWS: usize, const VECTORS: usize>(
        sums: &mut [[Self; VECTORS]; ROWS],
        add: bool,
        values: &[f32],
        stride: usize,
        panel: &[f32],
    ) {
        multiply_plainly(sums, add, values, stride, panel);
    }

    /// The first `LANES` values.
    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let values = &values[..Self::LANES];
        // SAFETY: so many values are there.
        unsafe { Self::load_at(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, values: &mut [f32]) {
        let values = &mut values[..Self::LANES];
        // SAFETY: there is room for so many values.
        unsafe { self.store_at(values.as_mut_ptr()) }
    }

    /// `N` vectors whose first values are `stride` apart. One check of the length serves them all.
    #[inline(always)]
    fn load_every<const N: usize>(values: &[f32], stride: usize) -> [Self; N] {
        let values = &values[..reach::<Self, N>(stride)];
        let mut vectors = [Self::splat(0.0); N];
        for (index, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: the last vector ends where the values do.
            *vector = unsafe { Self::load_at(values.as_ptr().add(index * stride)) };
        }
        vectors
    }

    /// Writes vectors so that their first values are `stride` apart.
    #[inline(always)]
    fn store_every<const N: usize>(vectors: [Self; N], values: &mut [f32], stride: usize) {
        let values = &mut values[..reach::<Self, N>(stride)];
        for (index, vector) in vectors.into_iter().enumerate() {
            // SAFETY: the last vector ends where the values do.
            unsafe { vector.store_at(values.as_mut_ptr().add(index * stride)) };
        }
    }

    /// The first `count` ≤ `LANES` values; the rest is zero.
    #[inline(always)]
    fn load_part(values: &[f32], count: usize) -> Self {
        if count == Self::LANES {
            return Self::load(values);
        }
        Self::load(&padded(&values[..count]))
    }

    /// # Safety
    /// `LANES` values can be read there.
    #[inline(always)]
    unsafe fn load_bf16_at(values: *const bf16) -> Self {
        let mut lanes = [0.0; 16];
        for (index, lane) in lanes.iter_mut().enumerate().take(Self::LANES) {
            // SAFETY: as the caller promises.
            *lane = f32::from_bits(u32::from(unsafe { *values.add(index) }.to_bits()) << 16);
        }
        Self::load(&lanes)
    }

    /// Rounds to the nearest, to even in between.
    ///
    /// # Safety
    /// `LANES` values can be written there.
    #[inline(always)]
    unsafe fn store_bf16_at(self, values: *mut bf16) {
        let mut lanes = [0.0; 16];
        self.store(&mut lanes);
        for (index, &lane) in lanes.iter().enumerate().take(Self::LANES) {
            // SAFETY: as the caller promises.
            unsafe { *values.add(index) = element::rounded(lane) };
        }
    }

    /// The first `count` ≤ `LANES` values; the rest is zero.
    #[inline(always)]
    fn load_bf16(values: &[bf16], count: usize) -> Self {
        let values = &values[..count];
        if count == Self::LANES {
            // SAFETY: so many values are there.
            return unsafe { Self::load_bf16_at(values.as_ptr()) };
        }
        let mut all = [bf16::ZERO; 16];
        all[..count].copy_from_slice(values);
        // SAFETY: no vector has more than 16 lanes.
        unsafe { Self::load_bf16_at(all.as_ptr()) }
    }

    /// Rounds and stores the first `count` ≤ `LANES` values.
    #[inline(always)]
    fn store_bf16(self, values: &mut [bf16], count: usize) {
        let values = &mut values[..count];
        if count == Self::LANES {
            // SAFETY: there is room for so many values.
            return unsafe { self.store_bf16_at(values.as_mut_ptr()) };
        }
        let mut all = [bf16::ZERO; 16];
        // SAFETY: no vector has more than 16 lanes.
        unsafe { self.store_bf16_at(all.as_mut_ptr()) };
        values.copy_from_slice(&all[..count]);
    }

    #[inline(always)]
    fn store_part(self, values: &mut [f32], count: usize) {
        if count == Self::LANES {
            return self.store(values);
        }
        let mut all = [0.0; 16];
        self.store(&mut all);
        copy(&all[..count], values);
    }
}

/// Lines of a panel that are asked for in advance, so many that they come from memory in time: the
/// processor by itself stops at the end of every page.
const AHEAD: usize = 16;

/// [`Vector::multiply`] as the compiler writes it.
#[inline(always)]
fn multiply_plainly<V: Vector, const ROWS: usize, const VECTORS: usize>(
    sums: &mut [[V; VECTORS]; ROWS],
    add: bool,
    values: &[f32],
    stride: usize,
    panel: &[f32],
) {
    if !add {
        *sums = [[V::splat(0.0); VECTORS]; ROWS];
    }
    let lines = panel.chunks_exact(VECTORS * V::LANES);
    let depth = lines.len();
    let mut rows = [&values[..0]; ROWS];
    for (index, row) in rows.iter_mut().enumerate() {
        *row = &values[index * stride..][..depth];
    }
    for (k, line) in (0..depth).zip(lines) {
        let ahead = AHEAD * line.len();
        V::prefetch(line, ahead..ahead + line.len());
        let b = V::load_every::<VECTORS>(line, V::LANES);
        for (row, sums) in rows.iter().zip(&mut *sums) {
            let a = V::splat(row[k]);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
}

/// Values from the first of the first to the last of the last of `N` vectors.
#[inline(always)]
fn reach<V: Vector, const N: usize>(stride: usize) -> usize {
    stride.saturating_mul(N - 1).saturating_add(V::LANES)
}

/// Not inlined: the rare case must not crowd the loops of the common one.
#[inline(never)]
fn padded(values: &[f32]) -> [f32; 16] {
    let mut padded = [0.0; 16];
    copy(values, &mut padded);
    padded
}

#[inline(never)]
fn copy(values: &[f32], target: &mut [f32]) {
    target[..values.len()].copy_from_slice(values);
}

/// Eight values in an array.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| {
            function(self.0[lane], other.0[lane])
        }))
    }
}

impl Vector for Portable {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    fn prefetch<E>(_values: &[E], _range: Range<usize>) {}

    #[inline(always)]
    fn prefetch_for_later<E>(_values: &[E], _range: Range<usize>) {}

    #[inline(always)]
    unsafe fn load_at(values: *const f32) -> Self {
        // SAFETY: eight values, as the caller promises.
        Self(unsafe { *values.cast::<[f32; 8]>() })
    }

    #[inline(always)]
    unsafe fn store_at(self, values: *mut f32) {
        // SAFETY: room for eight values, as the caller promises.
        unsafe { *values.cast::<[f32; 8]>() = self.0 }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn max_or_nan(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b || a.is_nan() { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Without a fused instruction `f32::mul_add` would be a library call.
        self.mul(factor).add(addend)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self(self.0.map(|n| f32::from_bits(n.to_bits() << 23)))
    }
}
