//! The transforms of tiles before and after the products.

use super::{PATCH, TILE};
use crate::Memory;
use crate::simd::Vector;

/// G g Gᵀ of filters side by side. Taps are `columns` apart, results of neighbouring positions
/// `stride`.
#[inline(always)]
pub(super) fn filter<V: Vector>(taps: &[f32], columns: usize, stride: usize, target: &mut [f32]) {
    let tap = |index: usize| V::load(&taps[index * columns..]);
    let [a, b, c] = [
        filter_line([tap(0), tap(3), tap(6)]),
        filter_line([tap(1), tap(4), tap(7)]),
        filter_line([tap(2), tap(5), tap(8)]),
    ];
    for i in 0..PATCH {
        let line = filter_line([a[i], b[i], c[i]]);
        for (j, value) in line.iter().enumerate() {
            value.store(&mut target[(i * PATCH + j) * stride..]);
        }
    }
}

/// G times a line of a filter.
#[inline(always)]
fn filter_line<V: Vector>([a, b, c]: [V; 3]) -> [V; PATCH] {
    let (two, four) = (V::splat(2.0), V::splat(4.0));
    let (sixth, small) = (V::splat(-1.0 / 6.0), V::splat(1.0 / 24.0));
    let (near, far, twice) = (a.add(c), c.mul_add(four, a), b.mul(two));
    [
        a.mul(V::splat(0.25)),
        near.add(b).mul(sixth),
        near.sub(b).mul(sixth),
        far.add(twice).mul(small),
        far.sub(twice).mul(small),
        c,
    ]
}

/// Tiles side by side whose patches are transformed together: their columns, of which neighbours
/// share two, are transformed once.
pub(super) const STRIP_TILES: usize = 6;
/// Channels that are transformed together. A strip stays in the first-level cache.
pub(super) const STRIP_CHANNELS: usize = 32;

/// One part of one image's input, `[H, W, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Patches of tiles side by side for up to [`STRIP_CHANNELS`] channels, transformed along their
/// columns: `[column][position][channel]`.
#[derive(Default)]
pub(super) struct Strip(Memory);

/// Values of a column of a strip.
const COLUMN: usize = PATCH * STRIP_CHANNELS;

impl Strip {
    /// Bᵀ d of the patches of `tiles` tiles, the first of which begins at (y, x), for `count`
    /// channels. Patches begin a pixel above and left of their tiles.
    #[inline(always)]
    pub(super) fn fill<V: Vector>(
        &mut self,
        part: Part,
        (y, x): (usize, usize),
        tiles: usize,
        (channel, count): (usize, usize),
    ) {
        let columns = self.0.room((STRIP_TILES * TILE + 2) * COLUMN);
        let columns = columns.chunks_exact_mut(COLUMN);
        for (x, column) in (x..).zip(columns.take(tiles * TILE + 2)) {
            // The strip's columns are counted from the one left of the image.
            let Some(x) = x.checked_sub(1).filter(|&x| x < part.width) else {
                column.fill(0.0);
                continue;
            };
            for lane in (0..count).step_by(V::LANES) {
                let channels = V::LANES.min(count - lane);
                let values = part.column::<V>((y, x), (channel + lane, channels));
                V::store_every(input_line(values), &mut column[lane..], STRIP_CHANNELS);
            }
        }
    }

    /// What was filled in times B for one of the tiles: the transform of its patch. Results of
    /// neighbouring positions go `stride` apart.
    #[inline(always)]
    pub(super) fn finish<V: Vector>(
        &self,
        tile: usize,
        count: usize,
        stride: usize,
        target: &mut [f32],
    ) {
        let columns = &self.0[tile * TILE * COLUMN..];
        for lane in (0..count).step_by(V::LANES) {
            let channels = V::LANES.min(count - lane);
            for i in 0..PATCH {
                let line = V::load_every(&columns[i * STRIP_CHANNELS + lane..], COLUMN);
                let line = input_line::<V>(line);
                let target = &mut target[i * PATCH * stride + lane..];
                if channels == V::LANES {
                    V::store_every(line, target, stride);
                    continue;
                }
                for (j, value) in line.iter().enumerate() {
                    value.store_part(&mut target[j * stride..], channels);
                }
            }
        }
    }
}

impl Part<'_> {
    /// A column of the patch that begins above row y, zero outside the image.
    #[inline(always)]
    fn column<V: Vector>(
        &self,
        (y, x): (usize, usize),
        (channel, count): (usize, usize),
    ) -> [V; PATCH] {
        let row = self.width * self.channels;
        let first = x * self.channels + channel;
        if y > 0 && y + PATCH <= self.height + 1 && count == V::LANES {
            return V::load_every(&self.values[(y - 1) * row + first..], row);
        }
        let mut values = [V::splat(0.0); PATCH];
        for (y, value) in (y..).zip(&mut values) {
            if let Some(y) = y.checked_sub(1).filter(|&y| y < self.height) {
                *value = V::load_part(&self.values[y * row + first..], count);
            }
        }
        values
    }
}

/// Aᵀ m A, a row at a time. Values of neighbouring positions are `stride` apart.
#[inline(always)]
pub(super) fn output<V: Vector>(products: &[f32], stride: usize) -> [[V; TILE]; TILE] {
    let [a, b, c, d, e, f] = [
        output_line(product_column::<V>(products, stride)),
        output_line(product_column::<V>(&products[stride..], stride)),
        output_line(product_column::<V>(&products[2 * stride..], stride)),
        output_line(product_column::<V>(&products[3 * stride..], stride)),
        output_line(product_column::<V>(&products[4 * stride..], stride)),
        output_line(product_column::<V>(&products[5 * stride..], stride)),
    ];
    [
        output_line([a[0], b[0], c[0], d[0], e[0], f[0]]),
        output_line([a[1], b[1], c[1], d[1], e[1], f[1]]),
        output_line([a[2], b[2], c[2], d[2], e[2], f[2]]),
        output_line([a[3], b[3], c[3], d[3], e[3], f[3]]),
    ]
}

#[inline(always)]
fn product_column<V: Vector>(products: &[f32], stride: usize) -> [V; PATCH] {
    V::load_every(products, PATCH * stride)
}

/// Bᵀ times a line of a patch.
#[inline(always)]
fn input_line<V: Vector>([a, b, c, d, e, f]: [V; PATCH]) -> [V; PATCH] {
    let (two, four, five) = (V::splat(2.0), V::splat(4.0), V::splat(-5.0));
    let minus_four = V::splat(-4.0);
    let (even, odd) = (c.mul_add(minus_four, e), b.mul_add(minus_four, d));
    let (near, far) = (e.sub(c), two.mul(d.sub(b)));
    [
        a.mul_add(four, c.mul_add(five, e)),
        even.add(odd),
        even.sub(odd),
        near.add(far),
        near.sub(far),
        b.mul_add(four, d.mul_add(five, f)),
    ]
}

/// Aᵀ times a line of products.
#[inline(always)]
fn output_line<V: Vector>([a, b, c, d, e, f]: [V; PATCH]) -> [V; TILE] {
    let (two, four, eight) = (V::splat(2.0), V::splat(4.0), V::splat(8.0));
    let (sum, difference) = (b.add(c), b.sub(c));
    let (far_sum, far_difference) = (d.add(e), d.sub(e));
    [
        a.add(sum).add(far_sum),
        far_difference.mul_add(two, difference),
        far_sum.mul_add(four, sum),
        far_difference.mul_add(eight, difference).add(f),
    ]
}
