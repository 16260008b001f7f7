//! The transforms of tiles before and after the products.

use super::{PATCH, TILE};
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

/// One part of one image's input, `[H, W, channels]`.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) values: &'a [f32],
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Part<'_> {
    /// Bᵀ d B of the patch that begins a pixel above and left of (y, x), for `count` channels.
    /// Results of neighbouring positions go `stride` apart.
    #[inline(always)]
    pub(super) fn transform<V: Vector>(
        &self,
        (y, x): (usize, usize),
        (channel, count): (usize, usize),
        stride: usize,
        target: &mut [f32],
    ) {
        let inner = y > 0 && y + PATCH <= self.height + 1 && x > 0 && x + PATCH <= self.width + 1;
        // Spelt out: arrays filled in loops would be cleared and copied first.
        let columns = if inner && count == V::LANES {
            let first = ((y - 1) * self.width + x - 1) * self.channels + channel;
            [
                input_line(self.column::<V>(first)),
                input_line(self.column::<V>(first + self.channels)),
                input_line(self.column::<V>(first + 2 * self.channels)),
                input_line(self.column::<V>(first + 3 * self.channels)),
                input_line(self.column::<V>(first + 4 * self.channels)),
                input_line(self.column::<V>(first + 5 * self.channels)),
            ]
        } else {
            let patch = self.edge_patch((y, x), (channel, count));
            patch.map(input_line::<V>)
        };
        for i in 0..PATCH {
            let [a, b, c, d, e, f] = &columns;
            let line = input_line([a[i], b[i], c[i], d[i], e[i], f[i]]);
            let target = &mut target[i * PATCH * stride..];
            for (j, value) in line.iter().enumerate() {
                value.store_part(&mut target[j * stride..], count);
            }
        }
    }

    /// One column of a patch within the image.
    #[inline(always)]
    fn column<V: Vector>(&self, first: usize) -> [V; PATCH] {
        let row = self.width * self.channels;
        let values = &self.values[first..][..(PATCH - 1) * row + V::LANES];
        [
            V::load(values),
            V::load(&values[row..]),
            V::load(&values[2 * row..]),
            V::load(&values[3 * row..]),
            V::load(&values[4 * row..]),
            V::load(&values[5 * row..]),
        ]
    }

    /// The columns of any patch, zero outside the image.
    #[inline(always)]
    fn edge_patch<V: Vector>(
        &self,
        (y, x): (usize, usize),
        (channel, count): (usize, usize),
    ) -> [[V; PATCH]; PATCH] {
        let mut columns = [[V::splat(0.0); PATCH]; PATCH];
        let inside = |first: usize, length: usize| {
            1_usize.saturating_sub(first)..PATCH.min(length + 1 - first)
        };
        let rows = inside(y, self.height);
        for (j, column) in columns.iter_mut().enumerate() {
            if !inside(x, self.width).contains(&j) {
                continue;
            }
            let first = (y + rows.start - 1) * self.width + x + j - 1;
            let row = self.width * self.channels;
            let values = &self.values[first * self.channels + channel..];
            for (index, value) in column[rows.clone()].iter_mut().enumerate() {
                *value = V::load_part(&values[index * row..], count);
            }
        }
        columns
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
    let row = PATCH * stride;
    let products = &products[..(PATCH - 1) * row + V::LANES];
    [
        V::load(products),
        V::load(&products[row..]),
        V::load(&products[2 * row..]),
        V::load(&products[3 * row..]),
        V::load(&products[4 * row..]),
        V::load(&products[5 * row..]),
    ]
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
