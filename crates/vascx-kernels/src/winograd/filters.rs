//! Filters, transformed in advance or on the way.

use super::{POSITIONS, transform};
use crate::Memory;
use crate::gemm::Tile;
use crate::simd::{InstructionSet, Kernel, Vector};

/// Most bytes of transformed filters that are kept; about what the third-level cache holds. They are
/// four times the weights: networks that kept all of them took 1.3 to 2.1 times the memory.
const MOST: usize = 24 << 20;

pub(super) fn transformed_on_the_way(outputs: usize, inputs: usize) -> bool {
    size_of::<f32>() * POSITIONS * inputs * outputs > MOST
}

#[derive(Clone, Debug)]
pub(super) enum Filters {
    /// `[panel][position][input][column]`.
    Transformed(Memory),
    /// `[panel][input][tap][column]`.
    Plain(Memory),
}

impl Filters {
    /// From weights `[outputs, inputs, 3, 3]`.
    pub(super) fn new(
        set: InstructionSet,
        tile: Tile,
        weights: &[f32],
        outputs: usize,
        inputs: usize,
    ) -> Self {
        let columns = tile.columns;
        let mut plain = Memory::zeros(tile.panels(outputs) * inputs * 9 * columns);
        for (output, weights) in weights.chunks_exact(inputs * 9).enumerate() {
            let (panel, column) = (output / columns, output % columns);
            let panel = &mut plain[panel * inputs * 9 * columns..];
            for (target, &weight) in panel.chunks_exact_mut(columns).zip(weights) {
                target[column] = weight;
            }
        }
        if transformed_on_the_way(outputs, inputs) {
            return Self::Plain(plain);
        }
        let mut transformed = Memory::zeros(tile.panels(outputs) * POSITIONS * inputs * columns);
        let panels = transformed.chunks_exact_mut(POSITIONS * inputs * columns);
        for (filters, taps) in panels.zip(plain.chunks_exact(inputs * 9 * columns)) {
            set.run(Transform {
                columns,
                taps,
                stride: inputs * columns,
                filters,
            });
        }
        Self::Transformed(transformed)
    }
}

/// Transforms the filters of a panel, or of some of its inputs.
pub(super) struct Transform<'a> {
    pub(super) columns: usize,
    /// `[input][tap][column]`.
    pub(super) taps: &'a [f32],
    /// Between positions.
    pub(super) stride: usize,
    /// `[position][input][column]`.
    pub(super) filters: &'a mut [f32],
}

impl Kernel for Transform<'_> {
    #[inline(always)]
    fn run<V: Vector>(self) {
        let columns = self.columns;
        for (input, taps) in self.taps.chunks_exact(9 * columns).enumerate() {
            // Those that come after these, a whole step later, lie in memory.
            V::prefetch_for_later(taps, self.taps.len()..self.taps.len() + taps.len());
            for column in (0..columns).step_by(V::LANES) {
                let filters = &mut self.filters[input * columns + column..];
                transform::filter::<V>(&taps[column..], columns, self.stride, filters);
            }
        }
    }
}
