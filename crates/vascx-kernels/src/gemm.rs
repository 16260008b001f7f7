//! The innermost product: a few rows of A times a packed panel of B, held in registers.
use std::ops::Range;

use crate::Memory;
use crate::simd::{InstructionSet, Vector};

/// Register tiles: rows times vectors. Large enough to hide the latency of multiply-add, small
/// enough for 32 (AVX-512) or 16 registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) rows: usize,
    /// Values per row; the width of a panel.
    pub(crate) columns: usize,
}

impl Tile {
    /// The tile for products with this many columns.
    pub(crate) fn new(set: InstructionSet, columns: usize) -> Self {
        let (rows, columns) = match (set, columns) {
            (InstructionSet::Avx512, ..=16) => (12, 16),
            (InstructionSet::Avx512, _) => (12, 32),
            (_, ..=8) => (12, 8),
            _ => (6, 16),
        };
        Self { rows, columns }
    }

    /// At least `count`, so many that no row is computed by itself.
    pub(crate) fn whole_rows(self, count: usize) -> usize {
        let short = self.rows / 3 * 2;
        count.next_multiple_of(short / 2).max(short)
    }

    /// Panels that hold `columns` columns.
    pub(crate) fn panels(self, columns: usize) -> usize {
        columns.div_ceil(self.columns)
    }
}

/// Packs a matrix `[depth, columns]`, given by its values, in panels `[panel][depth][columns]` of
/// a tile's width. The last one is filled with zeros.
pub(crate) fn pack(
    tile: Tile,
    depth: usize,
    columns: usize,
    value: impl Fn(usize, usize) -> f32,
) -> Memory {
    let mut packed = Memory::zeros(tile.panels(columns) * depth * tile.columns);
    for (index, line) in packed.chunks_exact_mut(tile.columns).enumerate() {
        let (panel, k) = (index / depth, index % depth);
        for (column, packed) in (panel * tile.columns..columns).zip(line) {
            *packed = value(k, column);
        }
    }
    packed
}

/// Rows of A. Each is made of pieces of `depth` values, which begin at `offsets`; rows begin
/// `stride` apart and may overlap.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) offsets: &'a [usize],
    pub(crate) depth: usize,
    pub(crate) stride: usize,
    pub(crate) count: usize,
    /// Whether the next rows are to be asked for: those that come from afar.
    pub(crate) ahead: bool,
}

/// Where products go. A trait and not a closure, because closures cannot be forced inline, and what
/// is not inline does not get the vector instructions.
pub(crate) trait Sink {
    /// Takes the results of some rows, from `row` on. None comes twice.
    fn store<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        row: usize,
        sums: &[[V; VECTORS]; ROWS],
    );

    /// Asks for the memory of some rows' results.
    #[inline(always)]
    fn ask_for<V: Vector, const ROWS: usize>(&self, _row: usize) {}
}

/// Products of rows of A with a packed panel. Rows are independent of one another, so that results
/// do not depend on how rows are grouped.
#[inline(always)]
pub(crate) fn product<V: Vector>(tile: Tile, a: Rows, panel: &[f32], sink: &mut impl Sink) {
    match (tile.columns / V::LANES, tile.rows) {
        (1, 12) => product_tiles::<V, 12, 8, 1>(a, panel, sink),
        (1, _) => product_tiles::<V, 6, 4, 1>(a, panel, sink),
        (2, 12) => product_tiles::<V, 12, 8, 2>(a, panel, sink),
        _ => product_tiles::<V, 6, 4, 2>(a, panel, sink),
    }
}

/// Tiles of `TALL` rows, one or two of `SHORT` rows where those fit better, and single rows at the
/// end. `TALL` is three, `SHORT` two times the same.
#[inline(always)]
fn product_tiles<V: Vector, const TALL: usize, const SHORT: usize, const VECTORS: usize>(
    a: Rows,
    panel: &[f32],
    sink: &mut impl Sink,
) {
    let unit = SHORT / 2;
    let (tall, short) = match (a.count / unit / 3, a.count / unit % 3) {
        (0, 1) => (0, 0),
        (threes, 1) => (threes - 1, 2),
        (threes, 2) => (threes, 1),
        (threes, _) => (threes, 0),
    };
    let tall = tall * TALL;
    let short = tall + short * SHORT;
    let count = a.count;
    product_rows::<V, TALL, VECTORS>(a, 0..tall, panel, sink);
    product_rows::<V, SHORT, VECTORS>(a, tall..short, panel, sink);
    product_rows::<V, 1, VECTORS>(a, short..count, panel, sink);
}

/// Tiles of `ROWS` rows.
#[inline(always)]
fn product_rows<V: Vector, const ROWS: usize, const VECTORS: usize>(
    a: Rows,
    range: Range<usize>,
    panel: &[f32],
    sink: &mut impl Sink,
) {
    let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
    for row in range.step_by(ROWS) {
        sink.ask_for::<V, ROWS>(row);
        if a.ahead {
            for row in row + ROWS..row + 2 * ROWS {
                let first = row * a.stride;
                V::prefetch(a.values, first..first + a.depth);
            }
        }
        let pieces = panel.chunks_exact(a.depth * VECTORS * V::LANES);
        for (index, (offset, panel)) in a.offsets.iter().zip(pieces).enumerate() {
            let values = &a.values[offset + row * a.stride..];
            V::multiply(&mut sums, index > 0, values, a.stride, panel);
        }
        sink.store(row, &sums);
    }
}
