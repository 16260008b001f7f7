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

use half::bf16;

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
/// Sums per row of a block: two tiles.
pub(crate) const PANEL: usize = 2 * COLUMNS;
/// Bytes per row of a tile.
const ROW: usize = 64;
/// Bytes of a tile.
pub(crate) const BYTES: usize = ROWS * ROW;

/// How products of bf16 are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileSet {
    /// Plain loops: for tests.
    Portable,
    /// Dot products of AVX-512 BF16, on rows of tiles.
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
    fn run<V: Vector, B: Blocks>(self, blocks: &mut B);
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

impl<W: OnTiles, B: Blocks + Default> Kernel for With<W, B> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        self.work.run::<V, B>(&mut B::default());
    }
}

/// What the sums of a block are made of.
#[derive(Clone, Copy)]
pub(crate) struct Steps<'a> {
    /// Where the first row of each of two tiles begins.
    pub(crate) values: [*const bf16; 2],
    /// Bytes from a row to the next.
    pub(crate) stride: usize,
    /// For every step, how many values behind those places its rows begin.
    pub(crate) offsets: &'a [usize],
    /// Two tiles of pairs for every step, one after the other.
    pub(crate) pairs: *const u8,
}

/// Products of up to two tiles of values and up to two of pairs, summed over steps.
pub(crate) trait Blocks {
    /// Sets the machine up anew. To be called every some microseconds: on a virtual machine AMX was seen
    /// to fall to a fifth of its speed for a while, for an unknown reason; setting it up again restored it
    /// in some of these periods.
    #[inline(always)]
    fn refresh(&mut self) {}

    /// Writes the sums of `HIGH` times `WIDE` tiles in rows of [`PANEL`].
    ///
    /// # Safety
    /// 64 bytes can be read at all rows of values of every step, and so many tiles of pairs; `target` has
    /// room for 32 rows of sums.
    unsafe fn sums<const HIGH: usize, const WIDE: usize>(
        &mut self,
        steps: &Steps,
        target: *mut f32,
    );
}

impl<T: Tiles> Blocks for T {
    #[inline(always)]
    fn refresh(&mut self) {
        self.set_up();
    }

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
            mut pairs,
        } = *steps;
        self.zero::<0>();
        self.zero::<1>();
        self.zero::<2>();
        self.zero::<3>();
        for &offset in offsets {
            // SAFETY: the caller vouches for all of them.
            unsafe {
                self.load::<6>(pairs, ROW);
                self.load::<4>(values[0].add(offset).cast(), stride);
                self.multiply::<0, 4, 6>();
                if WIDE == 2 {
                    self.load::<7>(pairs.add(BYTES), ROW);
                    self.multiply::<1, 4, 7>();
                }
                if HIGH == 2 {
                    self.load::<5>(values[1].add(offset).cast(), stride);
                    self.multiply::<2, 5, 6>();
                    if WIDE == 2 {
                        self.multiply::<3, 5, 7>();
                    }
                }
                pairs = pairs.wrapping_add(2 * BYTES);
            }
        }
        let row = size_of::<f32>() * PANEL;
        let target: *mut u8 = target.cast();
        // SAFETY: two by two tiles of sums, side by side and below one another.
        unsafe {
            self.store::<0>(target, row);
            if WIDE == 2 {
                self.store::<1>(target.add(row / 2), row);
            }
            if HIGH == 2 {
                self.store::<2>(target.add(ROWS * row), row);
                if WIDE == 2 {
                    self.store::<3>(target.add(ROWS * row + row / 2), row);
                }
            }
        }
    }
}

/// Eight tiles, named by number: 16 rows of 32 bf16 values, of 16 pairs of bf16 values, or of 16 sums.
pub(crate) trait Tiles {
    /// See [`Blocks::refresh`].
    #[inline(always)]
    fn set_up(&mut self) {}

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

    /// Twice 32 × 64 times 64 × 32, rows a little apart.
    struct Product<'a> {
        values: &'a [bf16],
        pairs: &'a [bf16],
        sums: &'a mut [f32],
        wide: bool,
        high: bool,
    }

    const STRIDE: usize = 100;

    impl OnTiles for Product<'_> {
        fn run<V: Vector, B: Blocks>(self, blocks: &mut B) {
            let steps = Steps {
                values: [0, ROWS * STRIDE].map(|first| self.values[first..].as_ptr()),
                stride: 2 * STRIDE,
                offsets: &[0, DEPTH],
                pairs: self.pairs.as_ptr().cast(),
            };
            let target = self.sums.as_mut_ptr();
            for _ in 0..2 {
                blocks.refresh();
                // SAFETY: 32 rows of 100 values, twice two tiles of pairs; 32 rows of 32 sums.
                unsafe {
                    match (self.high, self.wide) {
                        (true, true) => blocks.sums::<2, 2>(&steps, target),
                        (true, false) => blocks.sums::<2, 1>(&steps, target),
                        (false, true) => blocks.sums::<1, 2>(&steps, target),
                        (false, false) => blocks.sums::<1, 1>(&steps, target),
                    }
                }
            }
        }
    }

    #[test]
    fn every_kind_of_tile_multiplies() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut numbers = |count: usize| -> Vec<bf16> {
            (0..count)
                .map(|_| bf16::from_f32(random.f32() * 2.0 - 1.0))
                .collect()
        };
        let values = numbers(2 * ROWS * STRIDE);
        let matrix = numbers(2 * DEPTH * PANEL);
        // [step][tile][pair][column][of the pair]
        let pairs: Vec<bf16> = (0..2 * DEPTH * PANEL)
            .map(|i| {
                let (step, tile) = (i / (DEPTH * PANEL), i / (DEPTH * COLUMNS) % 2);
                let (pair, column) = (i / (2 * COLUMNS) % (DEPTH / 2), i / 2 % COLUMNS);
                matrix[(step * DEPTH + pair * 2 + i % 2) * PANEL + tile * COLUMNS + column]
            })
            .collect();
        for set in TileSet::available() {
            for (high, wide) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut sums = vec![f32::NAN; 2 * ROWS * PANEL];
                set.run(Product {
                    values: &values,
                    pairs: &pairs,
                    sums: &mut sums,
                    wide,
                    high,
                });
                let rows = if high { 2 * ROWS } else { ROWS };
                for (index, sum) in sums[..rows * PANEL].iter().enumerate() {
                    let (row, column) = (index / PANEL, index % PANEL);
                    if !wide && column >= COLUMNS {
                        continue;
                    }
                    let expected: f64 = (0..2 * DEPTH)
                        .map(|k| {
                            let [a, b] = [values[row * STRIDE + k], matrix[k * PANEL + column]];
                            f64::from(a) * f64::from(b)
                        })
                        .sum();
                    assert!(
                        (f64::from(*sum) - expected).abs() < 1e-5,
                        "{set:?}, {high}, {wide}: {sum} {expected}"
                    );
                }
            }
        }
    }
}
