//! The red channel on a small square, where the field of view is looked for.

use crate::geometry::{Point, Size, Tap, Warp};
use crate::photograph::Photograph;

use super::circle::Circle;

/// Side of the thumbnail.
pub(super) const SIDE: usize = 256;
const MIDDLE: f64 = SIDE as f64 / 2.0;
/// Side of the blocks that the surround is judged by.
const BLOCK: usize = SIDE / 8;
/// Width of the frame that the surround is judged by.
const FRAME: usize = 4;

/// Red channel on 256 × 256 pixels; the photograph is centred, its surround black.
pub(super) struct Thumbnail {
    pub(super) pixels: Vec<u8>,
    /// Thumbnail pixels per photograph pixel.
    pub(super) scale: f64,
    /// The photograph's pixel in the middle of the thumbnail.
    middle: Point,
}

impl Thumbnail {
    pub(super) fn new(photograph: &Photograph) -> Self {
        let Size { width, height } = Size::of(photograph);
        let scale = SIDE as f64 / width.max(height) as f64;
        let middle = Point {
            x: (width / 2) as f64,
            y: (height / 2) as f64,
        };
        let warp = |source: f64| Warp {
            scale,
            source,
            middle: MIDDLE,
        };
        let (columns, rows) = (warp(middle.x).columns(SIDE), warp(middle.y).rows(SIDE));
        let red = |x: isize, y: isize| {
            let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
            let inside = x < width && y < height;
            inside.then(|| f32::from(photograph.rgb().as_raw()[(y * width + x) * 3]))
        };
        let value = |row: &Tap, column: &Tap| {
            let line = |y| {
                let at = |x| red(x, y).unwrap_or(0.0);
                column.mix(at(column.first), at(column.second))
            };
            (row.mix(line(row.first), line(row.second)) + 0.5) as u8
        };
        let pixels = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| (row, column)))
            .map(|(row, column)| value(row, column))
            .collect();
        Self {
            pixels,
            scale,
            middle,
        }
    }

    /// Where a point of the thumbnail lies in the photograph.
    pub(super) fn to_photograph(&self, point: Point) -> Point {
        Point {
            x: (point.x - MIDDLE) / self.scale + self.middle.x,
            y: (point.y - MIDDLE) / self.scale + self.middle.y,
        }
    }

    /// The circle around the thumbnail's square and a pixel more, in the photograph's pixels.
    pub(super) fn circle_around(&self) -> Circle {
        Circle {
            centre: self.middle,
            radius: (MIDDLE.hypot(MIDDLE) + 1.0) / self.scale,
        }
    }

    /// Whether there is nothing to see in the middle.
    pub(super) fn is_dark(&self) -> bool {
        median(&mut self.central_block()) == 0.0
    }

    /// Whether corners and frame are dark compared with the middle.
    pub(super) fn has_surround(&self) -> bool {
        let mut centre = self.central_block();
        let dark = percentile(&mut centre, 0.05);
        let middle = median(&mut centre);
        let edge = |index: usize, width: usize| index < width || index >= SIDE - width;
        let mut corners = self.collect(|x, y| edge(x, BLOCK) && edge(y, BLOCK));
        let is_dark = |value: &&u8| f64::from(**value) < dark;
        let dark_share = corners.iter().filter(is_dark).count() as f64 / corners.len() as f64;
        // The four strips of the frame overlap in its corners, which count twice.
        let mut frame = self.collect(|x, _| edge(x, FRAME));
        frame.extend(self.collect(|_, y| edge(y, FRAME)));
        let bright = median(&mut corners) / middle > 0.145 && median(&mut frame) / middle > 0.10;
        dark_share >= 0.95 && !bright
    }

    fn central_block(&self) -> Vec<u8> {
        let central = |i: usize| (SIDE / 2 - BLOCK..SIDE / 2 + BLOCK).contains(&i);
        self.collect(|x, y| central(x) && central(y))
    }

    fn collect(&self, wanted: impl Fn(usize, usize) -> bool) -> Vec<u8> {
        let pixels = self.pixels.iter().enumerate();
        pixels
            .filter(|(index, _)| wanted(index % SIDE, index / SIDE))
            .map(|(_, &pixel)| pixel)
            .collect()
    }
}

fn median(values: &mut [u8]) -> f64 {
    percentile(values, 0.5)
}

/// Linear interpolation between the two nearest order statistics.
fn percentile(values: &mut [u8], share: f64) -> f64 {
    values.sort_unstable();
    let position = share * (values.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    let (below, above) = (f64::from(values[below]), f64::from(values[above]));
    below + (above - below) * (position - position.floor())
}
