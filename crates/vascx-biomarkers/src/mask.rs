//! Binary images.

use std::ops::Range;

use crate::geometry::Point;

/// A binary image: a byte for each pixel, 0 or 1, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Mask {
    /// An empty mask.
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![0; width * height],
        }
    }

    /// The pixels whose value satisfies `set`; `image` holds `width` × `height` values.
    pub(crate) fn from_image(
        width: usize,
        height: usize,
        image: &[u8],
        set: impl Fn(u8) -> bool,
    ) -> Self {
        debug_assert_eq!(image.len(), width * height);
        let pixels = image.iter().map(|&value| u8::from(set(value))).collect();
        Self {
            width,
            height,
            pixels,
        }
    }

    /// The pixels for which `set` holds, given row and column.
    #[cfg(test)]
    pub(crate) fn from_fn(width: usize, height: usize, set: impl Fn(usize, usize) -> bool) -> Self {
        let mut mask = Self::new(width, height);
        for y in 0..height {
            for (x, pixel) in mask.row_mut(y).iter_mut().enumerate() {
                *pixel = u8::from(set(y, x));
            }
        }
        mask
    }

    /// One stretch of columns in each row.
    pub(crate) fn from_stretches(
        width: usize,
        height: usize,
        stretch: impl Fn(usize) -> Range<usize>,
    ) -> Self {
        let mut mask = Self::new(width, height);
        for y in 0..height {
            let Range { start, end } = stretch(y);
            if start < end {
                mask.row_mut(y)[start..end].fill(1);
            }
        }
        mask
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All pixels, 0 or 1, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// A row's pixels.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..(y + 1) * self.width]
    }

    /// The columns whose pixels in a row are set.
    pub fn columns(&self, y: usize) -> impl Iterator<Item = usize> {
        places_set(self.row(y))
    }

    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [u8] {
        &mut self.pixels[y * self.width..(y + 1) * self.width]
    }

    /// Whether the pixel is set; outside the image none is.
    pub fn get(&self, y: i64, x: i64) -> bool {
        y >= 0
            && x >= 0
            && (y as usize) < self.height
            && (x as usize) < self.width
            && self.pixels[y as usize * self.width + x as usize] != 0
    }

    /// Whether the pixel that a point lies in, fractions cut off, is set.
    pub fn holds(&self, point: Point) -> bool {
        self.get(point.y as i64, point.x as i64)
    }

    pub(crate) fn set(&mut self, y: usize, x: usize, value: bool) {
        self.pixels[y * self.width + x] = u8::from(value);
    }

    /// Number of pixels set.
    pub fn count(&self) -> usize {
        // Sums of bytes in blocks short enough for a byte.
        let blocks = self.pixels.chunks(255);
        blocks
            .map(|block| usize::from(block.iter().sum::<u8>()))
            .sum()
    }

    /// Whether no pixel is set.
    pub fn is_empty(&self) -> bool {
        self.pixels.iter().all(|&pixel| pixel == 0)
    }

    /// Clears the pixels that `other` lacks.
    pub(crate) fn keep(&mut self, other: &Self) {
        for (pixel, &kept) in self.pixels.iter_mut().zip(&other.pixels) {
            *pixel &= kept;
        }
    }

    /// Clears the pixels that `other` has.
    pub(crate) fn clear(&mut self, other: &Self) {
        for (pixel, &cleared) in self.pixels.iter_mut().zip(&other.pixels) {
            *pixel &= cleared ^ 1;
        }
    }

    /// Number of pixels set in both.
    pub(crate) fn count_common(&self, other: &Self) -> usize {
        let blocks = self.pixels.chunks(255).zip(other.pixels.chunks(255));
        blocks
            .map(|(a, b)| usize::from(a.iter().zip(b).map(|(a, b)| a & b).sum::<u8>()))
            .sum()
    }
}

/// The first number below `end` of which `holds` is true, where it is true of all that follow; else
/// `end`.
pub(crate) fn first_place(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Where values are not 0. Most of an image is, so that blocks are looked at first.
pub(crate) fn places_set(pixels: &[u8]) -> impl Iterator<Item = usize> {
    const BLOCK: usize = 64;
    let blocks = pixels.chunks(BLOCK).enumerate();
    blocks
        .filter(|(_, block)| block.iter().any(|&pixel| pixel != 0))
        .flat_map(|(number, block)| {
            let set = block.iter().enumerate().filter(|(_, pixel)| **pixel != 0);
            set.map(move |(place, _)| number * BLOCK + place)
        })
}
