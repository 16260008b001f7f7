//! Bringing rows to where the values of a few channels lie side by side with zeros around.

use std::ops::Range;

use super::{BLOCK, Band};
use crate::activation::apply;
use crate::gemm::{Rows, Sink, product};
use crate::matrix::Matrix;
use crate::simd::{Element, Vector};
use crate::{Activation, Shape};

/// Where the values under the kernel come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, E> {
    /// `[N, H, W, channels]`.
    Map(&'a [E]),
    /// The products of `[N, H, W, inputs]` with a matrix, activated.
    Expanded {
        map: &'a [f32],
        matrix: &'a Matrix,
        activation: Activation,
    },
}

impl<E> Source<'_, E> {
    /// Blocks of channels that come together: those of a panel, which else would be computed twice.
    pub(super) fn blocks_together(&self) -> usize {
        match self {
            Self::Map(_) => 1,
            Self::Expanded { matrix, .. } => matrix.tile.columns.div_ceil(BLOCK),
        }
    }
}

impl<E: Element> Band<'_, E> {
    /// Brings channels of a row of the image to blocks, with zeros where it is outside.
    #[inline(always)]
    pub(super) fn bring<V: Vector>(
        &self,
        line: usize,
        channels: Range<usize>,
        target: &mut [f32],
        block: usize,
    ) {
        let sliding = self.convolution.sliding;
        let Shape { height, width, .. } = self.shape;
        let y = (self.first_row * sliding.stride[0] + line).checked_sub(sliding.padding[0]);
        let Some(y) = y.filter(|&y| y < height) else {
            return target.fill(0.0);
        };
        let left = block.min(sliding.padding[1] * BLOCK);
        let inside = (block - left).min(width * BLOCK);
        for target in target.chunks_exact_mut(block) {
            target[..left].fill(0.0);
            target[left + inside..].fill(0.0);
        }
        let pixels = inside / BLOCK;
        let first = (self.image * height + y) * width;
        match self.source {
            Source::Map(map) => {
                let all = self.convolution.channels;
                let row = &map[first * all..][..width * all];
                for (x, pixel) in row.chunks_exact(all).take(pixels).enumerate() {
                    let target = &mut target[left + x * BLOCK..];
                    copy_blocks::<V, E>(&pixel[channels.clone()], target, block);
                }
            }
            Source::Expanded {
                map,
                matrix,
                activation,
            } => {
                let row = &map[first * matrix.inputs..][..width * matrix.inputs];
                // A panel after the other, activated while it is in the first-level cache.
                let unit = self.source.blocks_together();
                let first = channels.start / (unit * BLOCK);
                let target = &mut target[..channels.len().div_ceil(BLOCK) * block];
                for (panel, target) in (first..).zip(target.chunks_mut(unit * block)) {
                    expand::<V>(matrix, panel, row, pixels, (left, block), target);
                    for target in target.chunks_exact_mut(block) {
                        apply::<V, f32>(activation, &mut target[left..left + inside]);
                    }
                }
            }
        }
    }
}

/// Copies channels of a pixel to blocks.
#[inline(always)]
fn copy_blocks<V: Vector, E: Element>(pixel: &[E], target: &mut [f32], block: usize) {
    let mut at = 0;
    let blocks = pixel.chunks_exact(BLOCK);
    let rest = blocks.remainder();
    for values in blocks {
        let target = &mut target[at..][..BLOCK];
        for lane in (0..BLOCK).step_by(V::LANES) {
            E::load::<V>(&values[lane..], V::LANES).store(&mut target[lane..]);
        }
        at += block;
    }
    for lane in (0..rest.len()).step_by(V::LANES) {
        let count = V::LANES.min(rest.len() - lane);
        E::load::<V>(&rest[lane..], count).store(&mut target[at + lane..]);
    }
}

/// Writes the products of a row's pixels with a panel to blocks, behind what is `left` of them.
#[inline(always)]
fn expand<V: Vector>(
    matrix: &Matrix,
    panel: usize,
    row: &[f32],
    pixels: usize,
    (left, block): (usize, usize),
    target: &mut [f32],
) {
    let Matrix { inputs, tile, .. } = *matrix;
    let rows = Rows {
        values: row,
        offsets: &[0],
        depth: inputs,
        stride: inputs,
        count: pixels,
        ahead: false,
    };
    let size = inputs * tile.columns;
    let mut sink = ToBlocks {
        bias: &matrix.bias[panel * tile.columns..],
        left,
        block,
        target,
    };
    let weights = &matrix.panels[panel * size..][..size];
    product::<V>(tile, rows, weights, &mut sink);
}

/// Adds the bias and writes the channels of a panel to blocks.
struct ToBlocks<'a> {
    bias: &'a [f32],
    /// Values before the first pixel of a block.
    left: usize,
    /// Values per block.
    block: usize,
    /// May lack the last blocks of the last panel.
    target: &'a mut [f32],
}

impl Sink for ToBlocks<'_> {
    #[inline(always)]
    fn store<V: Vector, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        x: usize,
        sums: &[[V; VECTORS]; ROWS],
    ) {
        for vector in 0..VECTORS {
            let column = vector * V::LANES;
            let first = column / BLOCK * self.block;
            if first >= self.target.len() {
                return;
            }
            let bias = V::load(&self.bias[column..]);
            let at = first + self.left + x * BLOCK + column % BLOCK;
            let target = &mut self.target[at..][..(ROWS - 1) * BLOCK + V::LANES];
            for (index, sums) in sums.iter().enumerate() {
                sums[vector].add(bias).store(&mut target[index * BLOCK..]);
            }
        }
    }
}
