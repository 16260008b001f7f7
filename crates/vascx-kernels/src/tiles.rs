//! Matrix tiles, the instructions of AMX, behind one trait: what is written on top of it runs, and is
//! tested, on any machine.
#![allow(
    unsafe_code,
    reason = "tiles are loaded from and stored to plain memory, by instructions that the machine was found to have"
)]

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod dots;

use std::marker::PhantomData;

use crate::InstructionSet;
#[cfg(target_arch = "x86_64")]
use crate::simd;
use crate::simd::{Kernel, Portable, Vector};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;
/// bf16 values per row of a tile.
pub(crate) const DEPTH: usize = 32;
/// Sums per row of a tile.
pub(crate) const COLUMNS: usize = 16;
/// Bytes per row of a tile.
const ROW: usize = 64;
/// Bytes of a tile.
pub(crate) const BYTES: usize = ROWS * ROW;

/// How products of bf16 are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileSet {
    /// Plain loops: for tests.
    Portable,
    /// Dot products of AVX-512 BF16, on tiles in memory.
    Avx512Bf16,
    /// AMX.
    Amx,
}

impl TileSet {
    /// The best this machine has, if it has instructions for products of bf16 and
    /// [`InstructionSet::current`] is not held to less.
    pub fn current() -> Option<Self> {
        let best = *Self::available().last()?;
        let held = InstructionSet::current() != InstructionSet::Avx512;
        (best != Self::Portable && !held).then_some(best)
    }

    /// All that this machine has, best last.
    pub fn available() -> Vec<Self> {
        let all = [Self::Portable, Self::Avx512Bf16, Self::Amx];
        all.into_iter().filter(|set| set.is_available()).collect()
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => is_x86_feature_detected!("avx512bf16"),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => is_x86_feature_detected!("avx512bf16") && amx::is_available(),
            #[allow(unreachable_patterns, reason = "on x86 with Linux there are no others")]
            _ => false,
        }
    }

    /// Runs work on tiles, with the vectors that go with them.
    ///
    /// # Panics
    /// When the machine does not have them.
    pub(crate) fn run<W: OnTiles>(self, work: W) {
        assert!(self.is_available(), "{self:?}");
        match self {
            Self::Portable => With::<W, Emulated>::new(work).run::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => simd::run_with_bf16(With::<W, dots::Dots>::new(work)),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Amx => simd::run_with_bf16(With::<W, amx::Amx>::new(work)),
            #[allow(unreachable_patterns, reason = "on x86 with Linux there are no others")]
            _ => unreachable!("not available"),
        }
    }
}

/// A computation on any kind of tiles. `run` must be `#[inline(always)]`, as that of a [`Kernel`].
pub(crate) trait OnTiles {
    fn run<V: Vector, T: Tiles>(self, tiles: &mut T);
}

/// Work with the kind of its tiles. One kind of vectors for each keeps their number small: compiling
/// every combination took longer than all other kernels.
struct With<W, T> {
    work: W,
    tiles: PhantomData<T>,
}

impl<W, T> With<W, T> {
    fn new(work: W) -> Self {
        Self {
            work,
            tiles: PhantomData,
        }
    }
}

impl<W: OnTiles, T: Tiles + Default> Kernel for With<W, T> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        self.work.run::<V, T>(&mut T::default());
    }
}

/// Eight tiles, named by number: 16 rows of 32 bf16 values, of 16 pairs of bf16 values, or of 16 sums.
pub(crate) trait Tiles {
    /// Sets the machine up anew. To be called every some microseconds: on a virtual machine AMX was seen
    /// to fall to a fifth of its speed for a while, for an unknown reason; setting it up again restored it
    /// in some of these periods.
    #[inline(always)]
    fn refresh(&mut self) {}

    /// Sets all sums of a tile to zero.
    fn zero<const TILE: usize>(&mut self);

    /// Loads a tile whose rows begin `stride` bytes apart.
    ///
    /// # Safety
    /// 64 bytes can be read at each of the 16 rows.
    unsafe fn load<const TILE: usize>(&mut self, first: *const u8, stride: usize);

    /// Adds to every sum of `SUMS` the products of a row of `VALUES` with a column of pairs of `PAIRS`.
    fn multiply<const SUMS: usize, const VALUES: usize, const PAIRS: usize>(&mut self);

    /// Stores sums in rows that begin `stride` bytes apart.
    ///
    /// # Safety
    /// 64 bytes can be written at each of the 16 rows.
    unsafe fn store<const TILE: usize>(&mut self, first: *mut u8, stride: usize);
}

/// Tiles in memory, and what instructions do to them in plain loops.
#[derive(Default)]
pub(crate) struct Emulated([Tile; 8]);

/// Rows of 32-bit words: sums, or pairs of bf16 values.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Tile([[u32; COLUMNS]; ROWS]);

/// The two values of a pair.
fn pair(word: u32) -> [f32; 2] {
    [word << 16, word & 0xffff_0000].map(f32::from_bits)
}

impl Tile {
    /// # Safety
    /// As for [`Tiles::load`].
    #[inline(always)]
    unsafe fn load(&mut self, first: *const u8, stride: usize) {
        for (index, row) in self.0.iter_mut().enumerate() {
            // SAFETY: the caller vouches for all rows.
            *row = unsafe {
                first
                    .add(index * stride)
                    .cast::<[u32; COLUMNS]>()
                    .read_unaligned()
            };
        }
    }

    /// # Safety
    /// As for [`Tiles::store`].
    #[inline(always)]
    unsafe fn store(&self, first: *mut u8, stride: usize) {
        for (index, row) in self.0.iter().enumerate() {
            // SAFETY: the caller vouches for all rows.
            unsafe {
                first
                    .add(index * stride)
                    .cast::<[u32; COLUMNS]>()
                    .write_unaligned(*row);
            }
        }
    }
}

impl Tiles for Emulated {
    fn zero<const TILE: usize>(&mut self) {
        self.0[TILE] = Tile::default();
    }

    unsafe fn load<const TILE: usize>(&mut self, first: *const u8, stride: usize) {
        // SAFETY: the caller vouches for all rows.
        unsafe { self.0[TILE].load(first, stride) };
    }

    fn multiply<const SUMS: usize, const VALUES: usize, const PAIRS: usize>(&mut self) {
        let (values, pairs) = (self.0[VALUES], self.0[PAIRS]);
        for (sums, values) in self.0[SUMS].0.iter_mut().zip(&values.0) {
            for (column, sum) in sums.iter_mut().enumerate() {
                let mut total = f32::from_bits(*sum);
                for (&value, pairs) in values.iter().zip(&pairs.0) {
                    let ([a, b], [c, d]) = (pair(value), pair(pairs[column]));
                    total += a * c + b * d;
                }
                *sum = total.to_bits();
            }
        }
    }

    unsafe fn store<const TILE: usize>(&mut self, first: *mut u8, stride: usize) {
        // SAFETY: the caller vouches for all rows.
        unsafe { self.0[TILE].store(first, stride) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice 16 × 64 times 64 × 16, rows a little apart.
    struct Product<'a> {
        values: &'a [u16],
        pairs: &'a [u16],
        sums: &'a mut [f32],
    }

    const STRIDE: usize = 100;

    impl OnTiles for Product<'_> {
        fn run<V: Vector, T: Tiles>(self, tiles: &mut T) {
            for _ in 0..2 {
                tiles.refresh();
                tiles.zero::<2>();
                for step in 0..2 {
                    let values = self.values[step * DEPTH..].as_ptr().cast();
                    let pairs = self.pairs[step * BYTES / 2..].as_ptr().cast();
                    // SAFETY: 16 rows of 100 values, two tiles of pairs; 16 rows of 16 sums.
                    unsafe {
                        tiles.load::<5>(values, 2 * STRIDE);
                        tiles.load::<7>(pairs, ROW);
                    }
                    tiles.multiply::<2, 5, 7>();
                }
                // SAFETY: as above.
                unsafe { tiles.store::<2>(self.sums.as_mut_ptr().cast(), ROW) };
            }
        }
    }

    #[test]
    fn every_kind_of_tile_multiplies() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut number = || (random.f32() * 2.0 - 1.0).to_bits() & 0xffff_0000;
        let values: Vec<u32> = (0..ROWS * STRIDE).map(|_| number()).collect();
        let matrix: Vec<u32> = (0..2 * DEPTH * COLUMNS).map(|_| number()).collect();
        let short = |bits: &u32| (bits >> 16) as u16;
        // [pair][column][of the pair]
        let pairs: Vec<u16> = (0..2 * DEPTH * COLUMNS)
            .map(|i| matrix[(i / 32 * 2 + i % 2) * COLUMNS + i / 2 % COLUMNS])
            .map(|bits| short(&bits))
            .collect();
        let shorts: Vec<u16> = values.iter().map(short).collect();
        for set in TileSet::available() {
            let mut sums = vec![f32::NAN; ROWS * COLUMNS];
            set.run(Product {
                values: &shorts,
                pairs: &pairs,
                sums: &mut sums,
            });
            for (index, sum) in sums.iter().enumerate() {
                let (row, column) = (index / COLUMNS, index % COLUMNS);
                let expected: f64 = (0..2 * DEPTH)
                    .map(|k| {
                        let [a, b] = [values[row * STRIDE + k], matrix[k * COLUMNS + column]];
                        f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b))
                    })
                    .sum();
                assert!(
                    (f64::from(*sum) - expected).abs() < 1e-5,
                    "{set:?}: {sum} {expected}"
                );
            }
        }
    }
}
