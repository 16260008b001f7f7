//! Some rows of results: copies of what is under the kernel, products, results.
#![allow(unsafe_code, reason = "tiles read copies and write sums")]

use half::bf16;

use super::Packed;
use crate::activation::{activate, for_activation};
use crate::simd::Vector;
use crate::tiles::{self, Blocks, COLUMNS, DEPTH, OnTiles, PANEL, ROWS, Steps};
use crate::{Activation, Epilogue, Memory, Shape, Sliding};

/// Neighbouring results that a tile's rows are.
const RESULTS: usize = ROWS;
/// Sums of two by two tiles: rows of a panel's columns.
const SUMS: usize = 2 * RESULTS * PANEL;
/// Blocks after which tiles are set up anew; some microseconds.
const REFRESHED: usize = 16;
/// Bytes of panels that all results are multiplied with before others; a quarter of a second-level cache
/// of 2 MB.
const HELD: usize = 512 << 10;

/// Where the columns of panels go.
pub(super) struct Columns {
    /// For every panel: where its first column goes in the output, and how many there are.
    pub(super) places: Vec<(usize, usize)>,
    /// Values from a line of results to the next.
    pub(super) lines: usize,
    /// Values from a result to its neighbour.
    pub(super) pixels: usize,
}

/// Some rows of results of one image.
pub(super) struct Band<'a> {
    pub(super) packed: &'a Packed,
    pub(super) shape: Shape,
    pub(super) parts: &'a [(&'a [bf16], usize)],
    pub(super) image: usize,
    pub(super) first_row: usize,
    /// Of the results.
    pub(super) width: usize,
    /// Values of a row of results.
    pub(super) row: usize,
    pub(super) columns: &'a Columns,
    pub(super) epilogue: Epilogue,
    pub(super) copies: &'a mut Memory<bf16>,
    pub(super) output: &'a mut [bf16],
}

impl OnTiles for Band<'_> {
    #[inline(always)]
    fn run<V: Vector, B: Blocks>(self, blocks: &mut B) {
        let Packed {
            inputs,
            sliding,
            pieces,
            ..
        } = *self.packed;
        let lines = self.output.len() / self.row;
        let rows = (lines - 1) * sliding.stride[0] + sliding.reach(0);
        let row = (self.shape.width + 2 * sliding.padding[1]) * inputs;
        // Tiles' last rows may lie beyond the last result, and their last values beyond the last tap.
        let beyond = RESULTS * sliding.stride[1] * inputs + (pieces.steps + 1) * DEPTH;
        let copies = self.copies.room(rows * row + beyond);
        let top = self.first_row * sliding.stride[0];
        for (y, target) in (top..).zip(copies.chunks_exact_mut(row).take(rows)) {
            copy_row::<V>(sliding, self.shape, self.parts, (self.image, y), target);
        }
        copies[rows * row..].fill(bf16::ZERO);
        let order = pieces.order(sliding);
        let offsets: Vec<usize> = order
            .into_iter()
            .map(|(y, x, first)| {
                y * sliding.dilation[0] * row + x * sliding.dilation[1] * inputs + first
            })
            .collect();
        let products = Products {
            packed: self.packed,
            copies,
            copied_row: row,
            offsets: &offsets,
            width: self.width,
            lines,
            columns: self.columns,
            epilogue: self.epilogue,
            output: self.output,
        };
        products.run::<V, B>(blocks);
    }
}

/// Copies a row of an image, counted from the first of the zeros above, with the zeros around.
#[inline(always)]
fn copy_row<V: Vector>(
    sliding: Sliding,
    shape: Shape,
    parts: &[(&[bf16], usize)],
    (image, y): (usize, usize),
    target: &mut [bf16],
) {
    let Shape { height, width, .. } = shape;
    let Some(y) = y.checked_sub(sliding.padding[0]).filter(|&y| y < height) else {
        return target.fill(bf16::ZERO);
    };
    let all = target.len() / (width + 2 * sliding.padding[1]);
    let (left, target) = target.split_at_mut(sliding.padding[1] * all);
    let (target, right) = target.split_at_mut(width * all);
    left.fill(bf16::ZERO);
    right.fill(bf16::ZERO);
    let first = (image * height + y) * width;
    if let [(values, _)] = parts {
        return target.copy_from_slice(&values[first * all..(first + width) * all]);
    }
    let mut from = 0;
    for &(values, channels) in parts {
        let pixels = values[first * channels..(first + width) * channels].chunks_exact(channels);
        for (pixel, target) in pixels.zip(target.chunks_exact_mut(all)) {
            let target = &mut target[from..from + channels];
            let mut whole = pixel
                .chunks_exact(DEPTH)
                .zip(target.chunks_exact_mut(DEPTH));
            // A length that is known makes for instructions instead of calls.
            (&mut whole).for_each(|(pixel, target)| target.copy_from_slice(pixel));
            let rest = channels / DEPTH * DEPTH;
            for (pixel, target) in pixel[rest..].iter().zip(&mut target[rest..]) {
                *target = *pixel;
            }
        }
        from += channels;
    }
}

/// The products of all tiles of a band.
struct Products<'a> {
    packed: &'a Packed,
    copies: &'a [bf16],
    /// Values of a copied row.
    copied_row: usize,
    /// Where every step's values begin, for the first result.
    offsets: &'a [usize],
    /// Results per line.
    width: usize,
    lines: usize,
    columns: &'a Columns,
    epilogue: Epilogue,
    output: &'a mut [bf16],
}

/// Sixteen neighbouring results, or fewer at the end of a line.
#[derive(Clone, Copy)]
struct Results {
    line: usize,
    first: usize,
    count: usize,
}

/// Two neighbouring groups of results, or the last one, and a panel of columns.
#[derive(Clone, Copy)]
struct Block {
    results: [Results; 2],
    /// Whether the second group is there.
    both: bool,
    panel: usize,
}

impl Products<'_> {
    #[inline(always)]
    fn run<V: Vector, B: Blocks>(mut self, blocks: &mut B) {
        let mut sums = [Sums([0.0; SUMS]), Sums([0.0; SUMS])];
        let (width, per_line) = (self.width, self.width.div_ceil(RESULTS));
        let all = self.lines * per_line;
        let results = |index: usize| {
            let (line, first) = (index / per_line, index % per_line * RESULTS);
            Results {
                line,
                first,
                count: RESULTS.min(width - first),
            }
        };
        let panels = self.columns.places.len();
        let size = self.offsets.len() * 2 * tiles::BYTES;
        let together = (HELD / size).clamp(1, panels);
        for first in (0..panels).step_by(together) {
            let panels = together.min(panels - first);
            let block = |index: usize| {
                let (pair, panel) = (index / panels * 2, first + index % panels);
                let both = pair + 1 < all;
                let results = [results(pair), results(pair + usize::from(both))];
                Block {
                    results,
                    both,
                    panel,
                }
            };
            let count = all.div_ceil(2) * panels;
            let mut former = None;
            // Results are finished while the next ones' products are under way.
            for index in 0..=count {
                let [even, odd] = &mut sums;
                let (current, finished) = if index % 2 == 0 {
                    (even, odd)
                } else {
                    (odd, even)
                };
                if index % REFRESHED == 0 {
                    blocks.refresh();
                }
                let next = (index < count).then(|| block(index));
                if let Some(block) = &next {
                    let narrow = self.columns.places[block.panel].1 <= COLUMNS;
                    match (block.both, narrow) {
                        (true, false) => self.multiply::<B, 2, 2>(blocks, block, current),
                        (true, true) => self.multiply::<B, 2, 1>(blocks, block, current),
                        (false, false) => self.multiply::<B, 1, 2>(blocks, block, current),
                        (false, true) => self.multiply::<B, 1, 1>(blocks, block, current),
                    }
                }
                if let Some(block) = &former {
                    self.finish::<V>(block, finished);
                }
                former = next;
            }
        }
    }
}

/// Rows of a panel's columns.
#[repr(align(64))]
struct Sums([f32; SUMS]);

impl Products<'_> {
    /// The sums of `HIGH` tiles of results and `WIDE` tiles of a panel's columns.
    #[inline(always)]
    fn multiply<B: Blocks, const HIGH: usize, const WIDE: usize>(
        &self,
        blocks: &mut B,
        block: &Block,
        sums: &mut Sums,
    ) {
        let Block { results, panel, .. } = *block;
        let Packed {
            inputs,
            sliding,
            ref weights,
            ..
        } = *self.packed;
        let pixel = sliding.stride[1] * inputs;
        let stride = size_of::<bf16>() * pixel;
        let place = |results: Results| {
            results.line * sliding.stride[0] * self.copied_row + results.first * pixel
        };
        let places = results.map(place);
        let last = places[0].max(places[1]) + self.offsets.iter().max().copied().unwrap_or(0);
        assert!(
            last + (RESULTS - 1) * pixel + DEPTH <= self.copies.len(),
            "copied rows"
        );
        let steps = self.offsets.len();
        let weights = &weights[panel * steps * DEPTH * PANEL..][..steps * DEPTH * PANEL];
        let steps = Steps {
            values: places.map(|place| self.copies[place..].as_ptr()),
            stride,
            offsets: self.offsets,
            pairs: weights.as_ptr().cast(),
        };
        // SAFETY: the last of all rows ends within the copies, as was checked; a panel's weights are two
        // tiles for every step.
        unsafe { blocks.sums::<HIGH, WIDE>(&steps, sums.0.as_mut_ptr()) };
    }

    /// Adds bias and residual, activates, rounds and writes.
    #[inline(always)]
    fn finish<V: Vector>(&mut self, block: &Block, sums: &Sums) {
        for_activation!(self.epilogue.activation, |activation| {
            self.finish_with::<V>(activation, block, sums);
        });
    }

    #[inline(always)]
    fn finish_with<V: Vector>(&mut self, activation: Activation, block: &Block, sums: &Sums) {
        let Columns {
            ref places,
            lines,
            pixels,
        } = *self.columns;
        let residual = self.epilogue.residual;
        let (place, columns) = places[block.panel];
        let bias = &self.packed.bias[block.panel * PANEL..][..PANEL];
        let groups = block
            .results
            .iter()
            .zip(sums.0.chunks_exact(RESULTS * PANEL));
        for (results, sums) in groups.take(1 + usize::from(block.both)) {
            let first = place + results.line * lines + results.first * pixels;
            let output = self.output[first..].chunks_mut(pixels);
            let rows = sums.chunks_exact(PANEL).zip(output).take(results.count);
            if columns == PANEL && !residual {
                for (sums, output) in rows {
                    let output = &mut output[..PANEL];
                    for column in (0..PANEL).step_by(V::LANES) {
                        let value = V::load(&sums[column..]).add(V::load(&bias[column..]));
                        activate(value, activation).store_bf16(&mut output[column..], V::LANES);
                    }
                }
                continue;
            }
            for (sums, output) in rows {
                for column in (0..columns).step_by(V::LANES) {
                    let count = V::LANES.min(columns - column);
                    let mut value = V::load(&sums[column..]).add(V::load(&bias[column..]));
                    let output = &mut output[column..];
                    if residual {
                        value = value.add(V::load_bf16(output, count));
                    }
                    activate(value, activation).store_bf16(output, count);
                }
            }
        }
    }
}
