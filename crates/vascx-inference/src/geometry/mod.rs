//! Where network-input pixels lie in the photograph, and the way back for maps and points.
//!
//! Coordinates are continuous (x, y) in pixels; the centre of the first pixel is (0.5, 0.5).

mod tap;
mod warp;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::photograph::Photograph;
pub(crate) use tap::Tap;
pub(crate) use warp::Warp;

/// A point in the photograph's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Horizontal, from the left edge.
    pub x: f64,
    /// Vertical, from the top edge.
    pub y: f64,
}

/// A point in the network input's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InputPoint {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Size {
    pub(crate) fn square(side: usize) -> Self {
        Self {
            width: side,
            height: side,
        }
    }

    pub(crate) fn area(self) -> usize {
        self.width * self.height
    }

    pub(crate) fn of(photograph: &Photograph) -> Self {
        Self {
            width: photograph.width(),
            height: photograph.height(),
        }
    }
}

/// How a photograph was placed in the square network input. Both directions and both kinds of
/// answer (maps, points) go through it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Geometry {
    /// Size of the network input.
    pub(crate) input: Size,
    pub(crate) horizontal: Axis,
    pub(crate) vertical: Axis,
}

/// One axis of a [`Geometry`], in photograph pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Axis {
    Padded(Padded),
    Cropped(Cropped),
}

/// Padded with black, then resized: pixel centres lie at .5, beyond the outermost ones the edge
/// pixel counts alone, maps return bilinearly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Padded {
    /// Pixels of the photograph.
    length: usize,
    /// Black pixels before the first one.
    padding: usize,
    /// Pixels including the padding on both sides.
    total: usize,
    /// Black pixels of the network input before the resized ones.
    offset: usize,
    /// Pixels of the network input that it was resized to; those behind are black again.
    extent: usize,
}

/// The diameter of a circle, as OpenCV warps it: coordinates are pixel indices, in steps of 1/32;
/// everything outside the photograph is black; maps return by nearest neighbour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cropped {
    /// Pixels of the photograph.
    length: usize,
    /// Centre of the circle, as a pixel index.
    centre: f64,
    /// Radius of the circle.
    radius: f64,
    /// Side of the crop, which is resized to the input size where they differ.
    crop: usize,
}

impl Axis {
    fn length(self) -> usize {
        match self {
            Self::Padded(Padded { length, .. }) | Self::Cropped(Cropped { length, .. }) => length,
        }
    }

    /// For each pixel of a network input of `side` pixels, the photograph pixels that it is mixed
    /// of; those outside the photograph are black. `walk` goes along a warp.
    fn taps_in_photograph(self, side: usize, walk: fn(Warp, usize) -> Vec<Tap>) -> Vec<Tap> {
        match self {
            Self::Padded(axis) => {
                let scale = axis.total as f32 / axis.extent as f32;
                let tap = |index: usize| match index.checked_sub(axis.offset) {
                    Some(index) if index < axis.extent => {
                        Tap::interpolated(index, scale, axis.total)
                            .shifted(-(axis.padding as isize))
                    }
                    _ => Tap::NOTHING,
                };
                (0..side).map(tap).collect()
            }
            Self::Cropped(axis) => {
                let warp = Warp {
                    scale: side as f64 / (2.0 * axis.radius),
                    source: axis.centre,
                    middle: side as f64 / 2.0,
                };
                walk(warp, side)
            }
        }
    }

    /// For each photograph pixel, the pixels of a network input of `side` pixels that it is mixed
    /// of; none outside it.
    fn taps_in_input(self, side: usize) -> Vec<Option<Tap>> {
        let tap = |index: usize| match self {
            Self::Padded(axis) => {
                let scale = axis.extent as f32 / axis.total as f32;
                let tap = Tap::interpolated(index + axis.padding, scale, axis.extent);
                Some(tap.shifted(axis.offset as isize))
            }
            Self::Cropped(axis) => {
                let scale = axis.crop as f64 / (2.0 * axis.radius);
                let nearest = ((index as f64 - axis.centre) * scale + axis.crop as f64 / 2.0)
                    .round_ties_even();
                let inside = (0.0..axis.crop as f64).contains(&nearest);
                let resized = side as f64 / axis.crop as f64;
                inside.then(|| Tap::at(((nearest + 0.5) * resized) as f32, side))
            }
        };
        (0..self.length()).map(tap).collect()
    }

    /// For each photograph pixel, the nearest pixel of a network input of `side` pixels; none
    /// outside it.
    fn nearest_in_input(self, side: usize) -> Vec<Option<usize>> {
        let taps = self.taps_in_input(side).into_iter();
        taps.map(|tap| tap.map(|tap| tap.nearest() as usize))
            .collect()
    }

    fn to_photograph(self, at: f64, side: usize) -> f64 {
        match self {
            Self::Padded(axis) => {
                (at - axis.offset as f64) * axis.total as f64 / axis.extent as f64
                    - axis.padding as f64
            }
            Self::Cropped(axis) => (at / side as f64 - 0.5) * 2.0 * axis.radius + axis.centre,
        }
    }

    fn to_input(self, at: f64, side: usize) -> f64 {
        match self {
            Self::Padded(axis) => {
                (at + axis.padding as f64) * axis.extent as f64 / axis.total as f64
                    + axis.offset as f64
            }
            Self::Cropped(axis) => ((at - axis.centre) / (2.0 * axis.radius) + 0.5) * side as f64,
        }
    }
}

impl Geometry {
    /// Stretched to the network input without padding.
    pub(crate) fn stretched(photograph: Size, input: Size) -> Self {
        let axis = |length, extent| {
            Axis::Padded(Padded {
                length,
                padding: 0,
                total: length,
                offset: 0,
                extent,
            })
        };
        Self {
            input,
            horizontal: axis(photograph.width, input.width),
            vertical: axis(photograph.height, input.height),
        }
    }

    /// Centred in a black square of the longer side; an odd pixel goes right or below.
    pub(crate) fn padded_to_square(photograph: Size, side: usize) -> Self {
        let longest = photograph.width.max(photograph.height);
        Self::fitted(photograph, [longest; 2], side)
    }

    /// Filled up with black to at least `pad`, height and width, the longer side then resized to
    /// `side`, and the result centred in a black square of that side; odd pixels go right or below.
    pub(crate) fn fitted(photograph: Size, pad: [usize; 2], side: usize) -> Self {
        let Size { width, height } = photograph;
        let padded = [height.max(pad[0]), width.max(pad[1])];
        let longest = padded[0].max(padded[1]) as f64;
        let axis = |length: usize, padded: usize| {
            let extent = (padded as f64 * (side as f64 / longest)).round_ties_even() as usize;
            let extent = extent.max(1);
            Axis::Padded(Padded {
                length,
                padding: (padded - length) / 2,
                total: padded,
                offset: (side - extent) / 2,
                extent,
            })
        };
        Self {
            input: Size::square(side),
            horizontal: axis(width, padded[1]),
            vertical: axis(height, padded[0]),
        }
    }

    /// A circle (centre in pixel indices) brought to a square of side `crop` that it touches, and
    /// from there to the input size.
    pub(crate) fn cropped(
        photograph: Size,
        centre: Point,
        radius: f64,
        crop: usize,
        side: usize,
    ) -> Self {
        let axis = |length, centre| {
            Axis::Cropped(Cropped {
                length,
                centre,
                radius,
                crop,
            })
        };
        Self {
            input: Size::square(side),
            horizontal: axis(photograph.width, centre.x),
            vertical: axis(photograph.height, centre.y),
        }
    }

    /// Size of the photograph.
    pub(crate) fn photograph(&self) -> Size {
        Size {
            width: self.horizontal.length(),
            height: self.vertical.length(),
        }
    }

    /// Where a point of the network input lies in the photograph.
    pub(crate) fn point_to_photograph(&self, point: InputPoint) -> Point {
        Point {
            x: self.horizontal.to_photograph(point.x, self.input.width),
            y: self.vertical.to_photograph(point.y, self.input.height),
        }
    }

    /// Where a point of the photograph lies in the network input.
    pub(crate) fn point_to_input(&self, point: Point) -> InputPoint {
        InputPoint {
            x: self.horizontal.to_input(point.x, self.input.width),
            y: self.vertical.to_input(point.y, self.input.height),
        }
    }

    /// Resamples maps `[C, H, W]` at the photograph's pixels and hands every photograph pixel's C
    /// values to `pixel`; returns what it gives, row by row. Outside the network input the values
    /// are 0.
    pub(crate) fn maps_to_photograph<T: Clone + Default + Send + Sync>(
        &self,
        maps: &[f32],
        pixel: impl Fn(&[f32]) -> T + Sync,
    ) -> Vec<T> {
        let Size { width, height } = self.input;
        let channels = maps.len() / (width * height);
        let (columns, rows) = self.taps_to_photograph();
        let outside = pixel(&vec![0.0; channels]);
        let mut photograph = vec![T::default(); columns.len() * rows.len()];
        let lines = photograph.par_chunks_exact_mut(columns.len()).zip(&rows);
        // One line of the photograph, pixel by pixel; 0 remains 0 outside.
        let mixed = || vec![0.0; channels * columns.len()];
        lines.for_each_init(mixed, |mixed, (line, row)| {
            let Some(row) = row else {
                return line.fill(outside.clone());
            };
            for (channel, plane) in maps.chunks_exact(width * height).enumerate() {
                let plane_line = |y: isize| &plane[y as usize * width..][..width];
                let (upper, lower) = (plane_line(row.first), plane_line(row.second));
                for (values, column) in mixed.chunks_exact_mut(channels).zip(&columns) {
                    if let Some(column) = column {
                        values[channel] = row.mix(column.sample(upper), column.sample(lower));
                    }
                }
            }
            for (answer, values) in line.iter_mut().zip(mixed.chunks_exact(channels)) {
                *answer = pixel(values);
            }
        });
        photograph
    }
}

impl Geometry {
    /// For each column and each row of the network input, the photograph pixels that it is mixed of;
    /// those outside the photograph are black.
    pub(crate) fn taps_in_photograph(&self) -> (Vec<Tap>, Vec<Tap>) {
        let Size { width, height } = self.input;
        (
            self.horizontal.taps_in_photograph(width, Warp::columns),
            self.vertical.taps_in_photograph(height, Warp::rows),
        )
    }

    /// For each column and each row of the photograph, the pixels of the network input that it is
    /// mixed of; none outside it.
    pub(crate) fn taps_to_photograph(&self) -> (Vec<Option<Tap>>, Vec<Option<Tap>>) {
        (
            self.horizontal.taps_in_input(self.input.width),
            self.vertical.taps_in_input(self.input.height),
        )
    }

    /// Whether every pixel of the photograph is one pixel of the network input or outside it, so
    /// that nothing is interpolated on the way back.
    pub(crate) fn picks_pixels(&self) -> bool {
        let (columns, rows) = self.taps_to_photograph();
        let mut taps = columns.iter().chain(&rows).flatten();
        taps.all(|tap| tap.weight_second == 0.0)
    }

    /// Brings class indices `[H, W]` to the photograph's pixels, row by row; 0 outside the input.
    pub(crate) fn classes_to_photograph(&self, classes: &[u8]) -> Vec<u8> {
        let columns = self.horizontal.nearest_in_input(self.input.width);
        let rows = self.vertical.nearest_in_input(self.input.height);
        let mut photograph = vec![0; columns.len() * rows.len()];
        let lines = photograph.par_chunks_exact_mut(columns.len()).zip(&rows);
        lines.for_each(|(line, row)| {
            let Some(row) = row else { return };
            let classes = &classes[row * self.input.width..][..self.input.width];
            for (class, column) in line.iter_mut().zip(&columns) {
                *class = column.map_or(0, |column| classes[column]);
            }
        });
        photograph
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_return_to_where_they_were() {
        let portrait = Size {
            width: 300,
            height: 501,
        };
        let geometry = Geometry::padded_to_square(portrait, 100);
        // 201 columns of padding: 100 left, 101 right.
        let middle = geometry.point_to_photograph(InputPoint { x: 50.0, y: 50.0 });
        assert_eq!(middle, Point { x: 150.5, y: 250.5 });
        let stretched = Geometry::stretched(portrait, Size::square(100));
        let corner = stretched.point_to_photograph(InputPoint { x: 100.0, y: 100.0 });
        assert_eq!(corner, Point { x: 300.0, y: 501.0 });
    }

    #[test]
    fn a_linear_ramp_survives_the_way_back() {
        // Bilinear interpolation is exact for a ramp, away from the clamped border.
        let geometry = Geometry::padded_to_square(
            Size {
                width: 40,
                height: 20,
            },
            80,
        );
        let ramp: Vec<f32> = (0..80 * 80).map(|i| (i % 80) as f32 + 0.5).collect();
        let row_of = geometry.maps_to_photograph(&ramp, |values| values[0]);
        assert_eq!(row_of.len(), 40 * 20);
        for (x, value) in row_of[..40].iter().enumerate().skip(1) {
            assert!(
                (value - (x as f32 + 0.5) * 2.0).abs() < 1e-4,
                "column {x}: {value}"
            );
        }
    }

    #[test]
    fn a_single_pixel_can_be_resampled() {
        let geometry = Geometry::stretched(
            Size {
                width: 3,
                height: 2,
            },
            Size::square(1),
        );
        assert_eq!(
            geometry.maps_to_photograph(&[7.0, 8.0], <[f32]>::to_vec),
            vec![[7.0, 8.0]; 6]
        );
    }
}
