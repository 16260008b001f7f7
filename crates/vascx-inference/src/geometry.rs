//! Where network-input pixels lie in the photograph, and the way back for maps and points.
//!
//! Coordinates are continuous (x, y) in pixels; the centre of the first pixel is (0.5, 0.5).

use rayon::prelude::*;

/// A point in the photograph's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// How a photograph was placed in the square network input: padded, then scaled per axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Geometry {
    /// Side of the network input.
    pub(crate) input_size: usize,
    pub(crate) horizontal: Axis,
    pub(crate) vertical: Axis,
}

/// One axis of a [`Geometry`], in photograph pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    /// Pixels of the photograph.
    length: usize,
    /// Black pixels before the first one.
    pub(crate) padding: usize,
    /// Pixels including the padding on both sides.
    padded: usize,
}

impl Axis {
    /// The photograph pixels (counted with the padding) that network pixel `index` of `side` is
    /// mixed of.
    pub(crate) fn tap_in_photograph(&self, index: usize, side: usize) -> Tap {
        let scale = self.padded as f32 / side as f32;
        Tap::at((index as f32 + 0.5) * scale, self.padded)
    }

    /// For each photograph pixel, the network pixels of `side` that it is mixed of.
    fn taps_in_input(&self, side: usize) -> Vec<Tap> {
        let scale = side as f64 / self.padded as f64;
        (0..self.length)
            .map(|index| {
                Tap::at(
                    ((index + self.padding) as f64 + 0.5) as f32 * scale as f32,
                    side,
                )
            })
            .collect()
    }

    fn to_photograph(self, at: f64, side: usize) -> f64 {
        at * self.padded as f64 / side as f64 - self.padding as f64
    }
}

impl Geometry {
    /// Stretched to the square without padding.
    pub(crate) fn stretched(photograph: Size, input_size: usize) -> Self {
        let axis = |length| Axis {
            length,
            padding: 0,
            padded: length,
        };
        let Size { width, height } = photograph;
        Self {
            input_size,
            horizontal: axis(width),
            vertical: axis(height),
        }
    }

    /// Centred in a black square of the longer side; an odd pixel goes right or below.
    pub(crate) fn padded_to_square(photograph: Size, input_size: usize) -> Self {
        let Size { width, height } = photograph;
        let padded = width.max(height);
        let axis = |length| Axis {
            length,
            padding: (padded - length) / 2,
            padded,
        };
        Self {
            input_size,
            horizontal: axis(width),
            vertical: axis(height),
        }
    }

    /// Size of the photograph.
    pub(crate) fn photograph(&self) -> Size {
        Size {
            width: self.horizontal.length,
            height: self.vertical.length,
        }
    }

    /// Where a point of the network input lies in the photograph.
    pub(crate) fn point_to_photograph(&self, point: InputPoint) -> Point {
        Point {
            x: self.horizontal.to_photograph(point.x, self.input_size),
            y: self.vertical.to_photograph(point.y, self.input_size),
        }
    }

    /// Resamples maps `[C, S, S]` bilinearly at the photograph's pixel centres and hands every
    /// photograph pixel's C values to `pixel`; returns what it gives, row by row.
    pub(crate) fn maps_to_photograph<T: Send>(
        &self,
        maps: &[f32],
        pixel: impl Fn(&[f32]) -> T + Sync,
    ) -> Vec<T> {
        let side = self.input_size;
        let columns = self.horizontal.taps_in_input(side);
        let rows = self.vertical.taps_in_input(side);
        rows.par_iter()
            .flat_map_iter(|row| {
                let planes: Vec<(&[f32], &[f32])> = maps
                    .chunks_exact(side * side)
                    .map(|plane| {
                        let line = |index: usize| &plane[index * side..(index + 1) * side];
                        (line(row.first), line(row.second))
                    })
                    .collect();
                let mut values = vec![0.0; planes.len()];
                let pixel = &pixel;
                columns.iter().map(move |column| {
                    for (value, (upper, lower)) in values.iter_mut().zip(&planes) {
                        *value = row.mix(column.sample(upper), column.sample(lower));
                    }
                    pixel(&values)
                })
            })
            .collect()
    }
}

/// The two neighbours a resampled pixel is mixed of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tap {
    pub(crate) first: usize,
    pub(crate) second: usize,
    weight_first: f32,
    weight_second: f32,
}

impl Tap {
    /// The neighbours of continuous coordinate `at` (pixel centres at .5) on an axis of `length`
    /// pixels; beyond the outermost centres the edge pixel counts alone.
    pub(crate) fn at(at: f32, length: usize) -> Self {
        let position = (at - 0.5).max(0.0);
        let first = (position as usize).min(length - 1);
        let weight_second = (position - first as f32).min(1.0);
        Self {
            first,
            second: (first + 1).min(length - 1),
            weight_first: 1.0 - weight_second,
            weight_second,
        }
    }

    pub(crate) fn mix(&self, first: f32, second: f32) -> f32 {
        first * self.weight_first + second * self.weight_second
    }

    pub(crate) fn sample(&self, line: &[f32]) -> f32 {
        self.mix(line[self.first], line[self.second])
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
        let stretched = Geometry::stretched(portrait, 100);
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
            1,
        );
        assert_eq!(
            geometry.maps_to_photograph(&[7.0, 8.0], <[f32]>::to_vec),
            vec![[7.0, 8.0]; 6]
        );
    }
}
