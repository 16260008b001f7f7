//! Windows in memory, cut and blended by all cores.
//!
//! Every line of every map is written by one core, window after window, so that results do not
//! depend on the number of cores.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rayon::prelude::*;
use vascx_format::Normalisation;

use super::{Members, WindowAxis, WindowPlan};
use crate::preprocess::{Pixels, level_tables};

/// Windows of images of one size that are in memory.
#[derive(Debug)]
pub(crate) struct HostWindows {
    image: [usize; 2],
    /// What the network sees and answers for.
    window: [usize; 2],
    answered: [usize; 2],
    /// Rows and columns, per window along the axis.
    stretches: [Vec<Stretch>; 2],
    /// The least importance of a pixel.
    floor: f32,
    /// One over the importance of all windows at every pixel of the image, row by row: weights
    /// sum to one, so that nothing is left to divide after blending.
    scale: Vec<f32>,
    /// Network inputs for grey levels, per colour.
    levels: [Vec<f32>; 3],
}

/// A window along one axis.
#[derive(Debug)]
struct Stretch {
    /// The pixels of the image that it shows.
    seen: Span,
    /// The pixels of the image that it answers for.
    answered: Span,
    /// Importance of each of those.
    importance: Vec<f32>,
}

/// Neighbouring pixels of an image along one axis, which lie in a window or in its answer.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The first of them in the window or answer; those before are padding.
    offset: usize,
    /// The first of them in the image.
    first: usize,
    count: usize,
}

/// Maps of one image.
#[derive(Clone, Debug)]
pub(crate) struct HostMaps {
    /// K, height, width.
    pub(crate) shape: [usize; 3],
    /// Row-major.
    pub(crate) values: Vec<f32>,
    /// Whether all of them were numbers when they came from the network.
    pub(crate) finite: bool,
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

impl Span {
    /// Those of `count` pixels from `start` on that an image of `length` has after `padding`.
    fn new(start: usize, count: usize, padding: usize, length: usize) -> Self {
        let offset = padding.saturating_sub(start);
        let end = (padding + length).saturating_sub(start).min(count);
        Self {
            offset,
            first: start + offset - padding,
            count: end - offset,
        }
    }
}

impl Stretch {
    fn all(axis: &WindowAxis) -> Vec<Self> {
        let WindowAxis {
            length,
            padding,
            halo,
            ref importance,
            ..
        } = *axis;
        let stretch = |&start: &usize| {
            // A window begins a halo before its answer: counted from there, so does the padding.
            let seen = Span::new(start, importance.len() + 2 * halo, padding + halo, length);
            let answered = Span::new(start, importance.len(), padding, length);
            Self {
                seen,
                answered,
                importance: importance[answered.offset..][..answered.count].to_vec(),
            }
        };
        axis.starts.iter().map(stretch).collect()
    }
}

impl Side<'_> {
    /// Where a span lies in the image as it is.
    fn pixels(self, span: Span) -> Range<usize> {
        let start = if self.mirrored {
            self.length - span.first - span.count
        } else {
            span.first
        };
        start..start + span.count
    }

    /// The place among the window's answered pixels of a pixel of the image.
    fn index_of(self, pixel: usize) -> Option<usize> {
        let pixels = self.pixels(self.stretch.answered);
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
        let index = at.checked_sub(self.stretch.seen.offset)?;
        let pixels = self.pixels(self.stretch.seen);
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
    pub(crate) fn new(plan: &WindowPlan, normalisation: Normalisation) -> Self {
        let [rows, columns] = &plan.axes;
        let total = plan.total();
        let lines = total.chunks_exact(columns.padded);
        let scale = lines.skip(rows.padding).take(rows.length).flat_map(|line| {
            let line = &line[columns.padding..][..columns.length];
            line.iter().map(|total| 1.0 / total)
        });
        Self {
            image: plan.image(),
            window: plan.window(),
            answered: plan.answered(),
            stretches: [0, 1].map(|axis| Stretch::all(&plan.axes[axis])),
            floor: plan.floor,
            scale: scale.collect(),
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
    /// `network` maps windows `[n, C, h, w]` to every member's `[n, K, …]` of what it answers for.
    /// Every window is computed once; windows of neighbouring images share passes of at most
    /// `per_pass`.
    pub(crate) fn run<B: Backend>(
        &self,
        images: &[&Pixels],
        flips: &[Vec<usize>],
        per_pass: usize,
        members: Members,
        device: &B::Device,
        network: impl Fn(Tensor<B, 4>) -> Vec<Tensor<B, 4>>,
    ) -> Vec<HostMaps> {
        let mirrored = |axes: &Vec<usize>| [2, 3].map(|axis| flips_axis(axes, axis));
        let mut views = vec![[false; 2]];
        views.extend(flips.iter().map(mirrored));
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
            let keeps_each = members == Members::Each;
            let kept = if keeps_each { maps.len() } else { 1 };
            let share = members.share(maps.len()) / views.len() as f32;
            let maps = maps.into_iter();
            let maps = maps.map(|map| map.permute([0, 2, 3, 1]).into_data());
            let maps: Vec<_> = maps.collect();
            for (index, place) in pass.iter().enumerate() {
                if place.image == blended.len() {
                    let [height, width] = self.image;
                    let outputs = kept * outputs;
                    blended.push(HostMaps {
                        shape: [outputs, height, width],
                        values: vec![0.0; outputs * height * width],
                        finite: true,
                    });
                }
                let size = self.answered.iter().product::<usize>() * outputs;
                let of_members: Vec<_> = maps
                    .iter()
                    .map(|map| map.as_slice().expect("networks answer in f32"))
                    .map(|map: &[f32]| &map[index * size..][..size])
                    .collect();
                let blended = &mut blended[place.image].values;
                let part = blended.len() / kept;
                let parts = blended.chunks_exact_mut(part);
                for (part, members) in parts.zip(of_members.chunks(maps.len() / kept)) {
                    self.add(part, outputs, *place, members, share);
                }
            }
        }
        for maps in &mut blended {
            let bands = maps.values.par_chunks(HostMaps::BAND);
            maps.finite = bands.all(|band| band.iter().all(|value| value.is_finite()));
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
            let seen = columns.stretch.seen;
            let covered = columns.pixels(seen);
            let line = &mut line[seen.offset * channels..][..covered.len() * channels];
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

    /// Adds the members' maps `[h, w, K]` of a window, each of which counts `share`, to `[K, H, W]`.
    fn add(
        &self,
        blended: &mut [f32],
        outputs: usize,
        place: Place,
        members: &[&[f32]],
        share: f32,
    ) {
        let Place { rows, columns, .. } = place;
        let [height, width] = self.image;
        let (above, left) = (rows.stretch.answered, columns.stretch.answered);
        let lines = blended.par_chunks_exact_mut(width).enumerate();
        lines.for_each(|(index, line)| {
            let (output, row) = (index / height, index % height);
            let Some(at) = rows.index_of(row) else {
                return;
            };
            let importance = rows.stretch.importance[at];
            let scale = &self.scale[(above.first + at) * width + left.first..];
            let line = &mut line[columns.pixels(left)];
            let start = (above.offset + at) * self.answered[1] + left.offset;
            for map in members {
                let values = map[start * outputs..].chunks_exact(outputs);
                let weights = columns.stretch.importance.iter().zip(scale);
                let addends = values.zip(weights).map(|(values, (column, scale))| {
                    let importance = (importance * column).max(self.floor);
                    values[output] * (share * importance * scale)
                });
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
    /// Pixels that are worked on at a time.
    const BAND: usize = 1 << 12;

    /// The logistic function of every value.
    pub(crate) fn sigmoid(mut self) -> Self {
        let bands = self.values.par_chunks_mut(Self::BAND);
        bands.for_each(|band| {
            for value in band {
                *value = 1.0 / (1.0 + (-*value).exp());
            }
        });
        self
    }

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
