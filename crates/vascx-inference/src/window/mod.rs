//! Sliding windows: an image of any size through a network of fixed window size.
//!
//! Where the windows lie and how they are weighted is the same everywhere ([`WindowPlan`]). They are
//! cut and blended where images and maps are: in memory by all cores ([`HostWindows`]), or on a card
//! without leaving it ([`DeviceWindows`]).

mod device;
mod host;

use burn::tensor::{Tensor, backend::Backend};
use vascx_format::{Blend, InferenceSettings};

pub(crate) use device::DeviceWindows;
pub(crate) use host::{HostMaps, HostWindows};

use crate::preprocess::PreprocessMode;

/// The windows of images of one size, where those images are.
#[derive(Debug)]
pub(crate) enum Windows<B: Backend> {
    Host(HostWindows),
    Device(DeviceWindows<B>),
}

impl<B: Backend> Windows<B> {
    /// Height and width of the images they are for.
    pub(crate) fn image(&self) -> [usize; 2] {
        match self {
            Self::Host(windows) => windows.image(),
            Self::Device(windows) => windows.image(),
        }
    }
}

/// How the maps of members become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    Mean,
    Sum,
    /// They stay apart: the K maps of the first member, those of the second, and so on.
    Each,
}

impl Members {
    /// What each of `members` counts.
    fn share(self, members: usize) -> f32 {
        match self {
            Self::Mean => 1.0 / members as f32,
            Self::Sum | Self::Each => 1.0,
        }
    }

    /// One tensor `[n, K, h, w]`, or `[n, M · K, h, w]`, of those of at least one member.
    pub(crate) fn combine<B: Backend>(self, maps: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        if self == Self::Each {
            return Tensor::cat(maps, 1);
        }
        let share = self.share(maps.len());
        // Sums and factors are one pass over the maps on devices that fuse them.
        let sum = maps.into_iter().reduce(|sum, map| sum + map);
        sum.expect("an ensemble has a member") * share
    }
}

/// Where the windows lie and how they are weighted, for images of one size. Both axes are alike:
/// a window is one stretch of rows and one of columns.
///
/// A window answers for all of its pixels, or for those inside its halo. Where windows lie is said
/// in pixels that are answered for.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    /// Rows, columns.
    axes: [WindowAxis; 2],
    /// The least importance of a pixel.
    floor: f32,
}

/// The windows along one axis.
#[derive(Debug)]
struct WindowAxis {
    /// Pixels of the image.
    length: usize,
    /// Zero pixels before the image, where it is smaller than what a window answers for.
    padding: usize,
    /// Pixels of the padded image.
    padded: usize,
    /// Pixels before and after those that are answered for, which a window shows besides.
    halo: usize,
    /// First answered pixel of every window in the padded image.
    starts: Vec<usize>,
    /// Importance of a window's answered pixels.
    importance: Vec<f32>,
}

/// How overlapping windows are weighted where the reference packages differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weighting {
    /// A thousandth at least, as in retinalysis-inference.
    Floored,
    /// Whatever the Gaussian gives, as in vascx_simplify.
    Unbounded,
}

impl Weighting {
    /// Those of the package that prepares photographs so.
    pub(crate) fn of(mode: PreprocessMode) -> Self {
        match mode {
            PreprocessMode::Simple | PreprocessMode::Resize => Self::Unbounded,
            PreprocessMode::Full | PreprocessMode::Crop | PreprocessMode::Basic { .. } => {
                Self::Floored
            }
        }
    }

    /// The least importance of a pixel.
    fn floor(self, settings: &InferenceSettings) -> f32 {
        match self {
            // Only one of the packages has these.
            _ if settings.halo > 0 => f32::EPSILON,
            Self::Floored => 1e-3,
            Self::Unbounded => 0.0,
        }
    }
}

impl WindowPlan {
    pub(crate) fn new(
        image: [usize; 2],
        settings: &InferenceSettings,
        weighting: Weighting,
    ) -> Self {
        let axes = [0, 1].map(|axis| {
            let (length, answered) = (image[axis], answered(axis, settings));
            let padded = length.max(answered);
            // Models with a halo were trained with images in the corner.
            let padding = if settings.halo == 0 {
                (padded - length) / 2
            } else {
                0
            };
            WindowAxis {
                length,
                padding,
                padded,
                halo: settings.halo,
                starts: starts(padded, answered, stride(answered, settings)),
                importance: importance(answered, settings),
            }
        });
        Self {
            axes,
            floor: weighting.floor(settings),
        }
    }

    fn image(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].length)
    }

    /// What the network sees.
    fn window(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].importance.len() + 2 * self.axes[axis].halo)
    }

    /// What it answers for.
    fn answered(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].importance.len())
    }

    /// Importance of a window's answered pixels, row by row.
    fn importance(&self) -> Vec<f32> {
        let [rows, columns] = &self.axes;
        self.products(&rows.importance, &columns.importance)
            .collect()
    }

    /// Sum of the importance of all windows at every pixel of the padded image, row by row.
    fn total(&self) -> Vec<f32> {
        let [rows, columns] = &self.axes;
        if self.floor == 0.0 {
            return self.products(&rows.total(), &columns.total()).collect();
        }
        let importance = self.importance();
        let [height, width] = self.answered();
        let mut total = vec![0.0; rows.padded * columns.padded];
        for row in &rows.starts {
            for column in &columns.starts {
                for (y, importance) in (0..height).zip(importance.chunks_exact(width)) {
                    let line = &mut total[(row + y) * columns.padded + column..][..width];
                    for (total, importance) in line.iter_mut().zip(importance) {
                        *total += importance;
                    }
                }
            }
        }
        total
    }

    fn products<'a>(
        &self,
        rows: &'a [f32],
        columns: &'a [f32],
    ) -> impl Iterator<Item = f32> + use<'a> {
        let floor = self.floor;
        let product = move |row: &f32, column: &f32| (row * column).max(floor);
        let line = move |row: &'a f32| columns.iter().map(move |column| product(row, column));
        rows.iter().flat_map(line)
    }
}

impl WindowAxis {
    /// Sum of the importance of all windows at every pixel of the padded image.
    fn total(&self) -> Vec<f32> {
        let mut total = vec![0.0; self.padded];
        for &start in &self.starts {
            for (total, importance) in total[start..].iter_mut().zip(&self.importance) {
                *total += importance;
            }
        }
        total
    }
}

/// Windows along one axis of an image of `length` pixels.
pub(crate) fn starts_along(length: usize, axis: usize, settings: &InferenceSettings) -> usize {
    let answered = answered(axis, settings);
    starts(length.max(answered), answered, stride(answered, settings)).len()
}

/// Pixels of a window that the network answers for.
fn answered(axis: usize, settings: &InferenceSettings) -> usize {
    settings.window[axis] - 2 * settings.halo
}

/// From one window to the next.
fn stride(answered: usize, settings: &InferenceSettings) -> usize {
    let stride = answered as f64 * (1.0 - settings.overlap);
    // The two kinds of ensemble round differently.
    let stride = if settings.halo == 0 {
        stride.trunc()
    } else {
        stride.round_ties_even()
    };
    (stride as usize).max(1)
}

/// First pixels of the windows along one axis: regular steps, and one flush with the far edge.
fn starts(length: usize, window: usize, stride: usize) -> Vec<usize> {
    let last = length - window;
    let mut starts: Vec<usize> = (0..=last).step_by(stride).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// Importance along one axis of what a window answers for.
fn importance(length: usize, settings: &InferenceSettings) -> Vec<f32> {
    let centre = (length as f64 - 1.0) / 2.0;
    let mut sigma = settings.relative_sigma * length as f64;
    if settings.halo > 0 {
        sigma = sigma.max(1.0);
    }
    (0..length)
        .map(|index| match settings.blend {
            // Ensembles with a halo know no other weights.
            Blend::Constant if settings.halo == 0 => 1.0,
            _ => (-0.5 * ((index as f64 - centre) / sigma).powi(2)).exp() as f32,
        })
        .collect()
}

#[cfg(test)]
mod tests;
