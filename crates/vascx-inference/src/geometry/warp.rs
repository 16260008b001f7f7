//! Coordinates of OpenCV's warp.

use super::Tap;

/// Columns that OpenCV walks through before it computes the position afresh.
const BLOCK: usize = 64;

/// A scaling as OpenCV's `warpPerspective` takes it: the source's pixel index `source` comes to
/// `middle`, and one source pixel becomes `scale` pixels.
///
/// OpenCV inverts the transform as a matrix, multiplies by what that leaves of one, and rounds to 1/32
/// pixel. Photographs of many common sizes have every second position right between two such steps, so
/// that the last bit decides; each operation is therefore taken as there, in the same order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Warp {
    pub(crate) scale: f64,
    pub(crate) source: f64,
    pub(crate) middle: f64,
}

impl Warp {
    /// For each of `count` columns, the source's columns that it is mixed of.
    pub(crate) fn columns(self, count: usize) -> Vec<Tap> {
        self.taps(count, BLOCK)
    }

    /// For each of `count` rows, the source's rows that it is mixed of.
    pub(crate) fn rows(self, count: usize) -> Vec<Tap> {
        self.taps(count, 1)
    }

    /// The way back.
    pub(crate) fn back(self) -> Self {
        Self {
            scale: 1.0 / self.scale,
            source: self.middle,
            middle: self.source,
        }
    }

    fn taps(self, count: usize, block: usize) -> Vec<Tap> {
        let Self {
            scale,
            source,
            middle,
        } = self;
        let shift = scale * -source + middle;
        let inverse = 1.0 / (scale * scale);
        let step = scale * inverse;
        let offset = -(shift * scale) * inverse;
        let unit = scale * scale * inverse;
        let position = |index: usize| {
            let begin = index - index % block;
            (step * begin as f64 + offset) + step * (index - begin) as f64
        };
        (0..count)
            .map(|index| Tap::warped(position(index), unit))
            .collect()
    }
}
