//! Windows in memory, cut and blended by all cores.
//!
//! Every line of every map is written by one core, window after window, so that results do not
//! depend on the number of cores.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;
use vascx_convert::Normalisation;

use super::{Members, WindowAxis, WindowPlan};
use crate::preprocess::{Pixels, level_tables};

/// Windows of images of one size that are in memory.
#[derive(Debug)]
pub(crate) struct HostWindows {
    image: [usize; 2],
    window: [usize; 2],
    /// Rows and columns, per window along the axis.
    stretches: [Vec<Stretch>; 2],
    /// Network inputs for grey levels, per colour.
    levels: [Vec<f32>; 3],
}

/// The pixels of an image that a window covers along one axis.
#[derive(Debug)]
struct Stretch {
    /// The first of them in the window; those before are padding.
    offset: usize,
    /// The first of them in the image.
    first: usize,
    /// Importance of each, as a share of that of all windows there: shares sum to one, so that
    /// nothing is left to divide after blending.
    shares: Vec<f32>,
}

/// Maps of one image. Public only because an ensemble's hidden methods name it; not exported.
#[derive(Clone, Debug)]
pub struct HostMaps {
    /// K, height, width.
    pub(crate) shape: [usize; 3],
    /// Row-major.
    pub(crate) values: Vec<f32>,
}

/// Which window of which image, mirrored how.
#[derive(Clone, Copy)]
struct Place<'a> {
    image: usize,
    rows: Side<'a>,
    columns: Side<'a>,
}

/// A stretch of an image that may have been mirrored before windows were laid.
#[derive(Clone, Copy)]
struct Side<'a> {
    stretch: &'a Stretch,
    /// Pixels of the image along this axis.
    length: usize,
    mirrored: bool,
}

impl Stretch {
    fn all(axis: &WindowAxis) -> Vec<Self> {
        let total = axis.total();
        let stretch = |&start: &usize| {
            let offset = axis.padding.saturating_sub(start);
            let end = (axis.padding + axis.length - start).min(axis.importance.len());
            let shares = (offset..end).map(|at| axis.importance[at] / total[start + at]);
            Self {
                offset,
                first: start + offset - axis.padding,
                shares: shares.collect(),
            }
        };
        axis.starts.iter().map(stretch).collect()
    }
}

impl Side<'_> {
    /// The pixels of the image as it is.
    fn pixels(self) -> Range<usize> {
        let (first, count) = (self.stretch.first, self.stretch.shares.len());
        let start = if self.mirrored {
            self.length - first - count
        } else {
            first
        };
        start..start + count
    }

    /// The place of one of [`Self::pixels`] among the window's covered ones.
    fn index_of(self, pixel: usize) -> Option<usize> {
        let pixels = self.pixels();
        pixels.contains(&pixel).then(|| {
            if self.mirrored {
                pixels.end - 1 - pixel
            } else {
                pixel - pixels.start
            }
        })
    }

    /// The pixel that a pixel of the window shows; none for padding.
    fn pixel(self, at: usize) -> Option<usize> {
        let index = at.checked_sub(self.stretch.offset)?;
        let pixels = self.pixels();
        if index >= pixels.len() {
            None
        } else if self.mirrored {
            Some(pixels.end - 1 - index)
        } else {
            Some(pixels.start + index)
        }
    }
}

impl HostWindows {
    pub(crate) fn new(plan: &WindowPlan, normalisation: Option<Normalisation>) -> Self {
        Self {
            image: plan.image(),
            window: plan.window(),
            stretches: [0, 1].map(|axis| Stretch::all(&plan.axes[axis])),
            levels: level_tables(normalisation),
        }
    }

    pub(crate) fn image(&self) -> [usize; 2] {
        self.image
    }

    pub(crate) fn window(&self) -> [usize; 2] {
        self.window
    }

    /// Runs `network` over images; blends its answers, averages them over the images
    /// as they are and flipped along each of `flips` (axes of `[N, C, H, W]`), and combines members.
    ///
    /// `network` maps windows `[n, C, h, w]` to every member's `[n, K, h, w]`. Every window is computed once;
    /// windows of neighbouring images share passes of at most `per_pass`.
    pub(crate) fn run<B: Backend>(
        &self,
        images: &[&Pixels],
        flips: &[Vec<usize>],
        per_pass: usize,
        members: Members,
        device: &B::Device,
        network: impl Fn(Tensor<B, 4>) -> Vec<Tensor<B, 4>>,
    ) -> Vec<HostMaps> {
        let views: Vec<[bool; 2]> = std::iter::once([false; 2])
            .chain(
                flips
                    .iter()
                    .map(|axes| [2, 3].map(|axis| flips_axis(axes, axis))),
            )
            .collect();
        let places = self.places(images.len(), &views);
        let [height, width] = self.window;
        let channels = images[0].len() / self.image.iter().product::<usize>();
        let mut blended: Vec<HostMaps> = Vec::with_capacity(images.len());
        for pass in places.chunks(per_pass) {
            let windows = self.cut(images, channels, pass);
            // Channels last, as kernels read and write them.
            let shape = [pass.len(), height, width, channels];
            let windows = Tensor::<B, 4>::from_data(TensorData::new(windows, shape), device);
            let maps = network(windows.permute([0, 3, 1, 2]));
            let [_, outputs, ..] = maps[0].dims();
            let share = members.share(maps.len()) / views.len() as f32;
            let maps = maps
                .into_iter()
                .map(|map| map.permute([0, 2, 3, 1]).into_data());
            let maps: Vec<_> = maps.collect();
            for (index, place) in pass.iter().enumerate() {
                if place.image == blended.len() {
                    let [height, width] = self.image;
                    blended.push(HostMaps {
                        shape: [outputs, height, width],
                        values: vec![0.0; outputs * height * width],
                    });
                }
                let size = height * width * outputs;
                let of_members: Vec<_> = maps
                    .iter()
                    .map(|map| map.as_slice().expect("networks answer in f32"))
                    .map(|map: &[f32]| &map[index * size..][..size])
                    .collect();
                self.add(&mut blended[place.image], *place, &of_members, share);
            }
        }
        blended
    }

    /// All windows, image by image: few maps are in the making at a time.
    fn places(&self, images: usize, views: &[[bool; 2]]) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        for image in 0..images {
            for &mirrored in views {
                let side = |axis: usize, stretch| Side {
                    stretch,
                    length: self.image[axis],
                    mirrored: mirrored[axis],
                };
                for rows in &self.stretches[0] {
                    for columns in &self.stretches[1] {
                        places.push(Place {
                            image,
                            rows: side(0, rows),
                            columns: side(1, columns),
                        });
                    }
                }
            }
        }
        places
    }

    /// Windows `[n, h, w, C]`; zero beyond the image.
    fn cut(&self, images: &[&Pixels], channels: usize, places: &[Place]) -> Vec<f32> {
        let [height, width] = self.window;
        let mut windows = vec![0.0; places.len() * height * width * channels];
        let lines = windows.par_chunks_exact_mut(width * channels).enumerate();
        lines.for_each(|(index, line)| {
            let Place {
                image,
                rows,
                columns,
            } = places[index / height];
            let Some(row) = rows.pixel(index % height) else {
                return;
            };
            let covered = columns.pixels();
            let line = &mut line[columns.stretch.offset * channels..][..covered.len() * channels];
            self.copy_line(images[image], row, covered, line, channels);
            if columns.mirrored {
                reverse_pixels(line, channels);
            }
        });
        windows
    }

    /// Part of an image's line, interleaved and normalised.
    fn copy_line(
        &self,
        image: &Pixels,
        row: usize,
        columns: Range<usize>,
        line: &mut [f32],
        channels: usize,
    ) {
        let [height, width] = self.image;
        let start = row * width + columns.start;
        match image {
            Pixels::Floats(planes) => {
                for (channel, plane) in planes.chunks_exact(height * width).enumerate() {
                    let values = &plane[start..][..columns.len()];
                    for (pixel, value) in line.chunks_exact_mut(channels).zip(values) {
                        pixel[channel] = *value;
                    }
                }
            }
            Pixels::Bytes(squares) => {
                for (square, bytes) in squares.chunks_exact(3 * height * width).enumerate() {
                    let colours = &bytes.as_chunks::<3>().0[start..][..columns.len()];
                    for (pixel, colours) in line.chunks_exact_mut(channels).zip(colours) {
                        for (channel, level) in colours.iter().enumerate() {
                            pixel[3 * square + channel] = self.levels[channel][usize::from(*level)];
                        }
                    }
                }
            }
        }
    }

    /// Adds the members' maps `[h, w, K]` of a window, each of which counts `share`.
    fn add(&self, blended: &mut HostMaps, place: Place, members: &[&[f32]], share: f32) {
        let Place { rows, columns, .. } = place;
        let [outputs, height, width] = blended.shape;
        let lines = blended.values.par_chunks_exact_mut(width).enumerate();
        lines.for_each(|(index, line)| {
            let (output, row) = (index / height, index % height);
            let Some(at) = rows.index_of(row) else {
                return;
            };
            let share = share * rows.stretch.shares[at];
            let line = &mut line[columns.pixels()];
            let start = (rows.stretch.offset + at) * self.window[1] + columns.stretch.offset;
            for map in members {
                let values = map[start * outputs..].chunks_exact(outputs);
                let addends = values
                    .zip(&columns.stretch.shares)
                    .map(|(values, column)| values[output] * (share * column));
                if columns.mirrored {
                    add_all(line.iter_mut().rev(), addends);
                } else {
                    add_all(line.iter_mut(), addends);
                }
            }
        });
    }
}

/// Whether flips along `axes` leave an axis mirrored.
fn flips_axis(axes: &[usize], axis: usize) -> bool {
    axes.iter().filter(|&&other| other == axis).count() % 2 == 1
}

fn add_all<'a>(sums: impl Iterator<Item = &'a mut f32>, addends: impl Iterator<Item = f32>) {
    for (sum, addend) in sums.zip(addends) {
        *sum += addend;
    }
}

fn reverse_pixels(line: &mut [f32], channels: usize) {
    // Reversing all values and then those of every pixel leaves the pixels' own order.
    line.reverse();
    for pixel in line.chunks_exact_mut(channels) {
        pixel.reverse();
    }
}

impl HostMaps {
    /// Pixels that are turned into probabilities at a time.
    const BAND: usize = 1 << 12;

    /// Softmax over K.
    pub(crate) fn softmax(mut self) -> Self {
        let [_, height, width] = self.shape;
        let mut bands: Vec<Vec<&mut [f32]>> = Vec::new();
        bands.resize_with((height * width).div_ceil(Self::BAND), Vec::new);
        for map in self.values.chunks_exact_mut(height * width) {
            for (band, part) in bands.iter_mut().zip(map.chunks_mut(Self::BAND)) {
                band.push(part);
            }
        }
        bands.par_iter_mut().for_each(|maps| {
            let count = maps[0].len();
            let mut largest = vec![f32::NEG_INFINITY; count];
            for map in maps.iter() {
                for (largest, value) in largest.iter_mut().zip(map.iter()) {
                    *largest = largest.max(*value);
                }
            }
            let mut sums = vec![0.0; count];
            for map in maps.iter_mut() {
                for ((value, largest), sum) in map.iter_mut().zip(&largest).zip(&mut sums) {
                    *value = (*value - largest).exp();
                    *sum += *value;
                }
            }
            for map in maps.iter_mut() {
                for (value, sum) in map.iter_mut().zip(&sums) {
                    *value /= sum;
                }
            }
        });
        self
    }
}
