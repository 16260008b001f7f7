//! Sliding windows: an image of any size through a network of fixed window size.
//!
//! Where the windows lie and how they are weighted is the same everywhere ([`WindowPlan`]). They are
//! cut and blended where images and maps are: in memory by all cores ([`HostWindows`]), or on a card
//! without leaving it ([`DeviceWindows`]).

mod device;
mod host;

use burn::tensor::{Tensor, backend::Backend};
use vascx_convert::{Blend, InferenceSettings};

pub(crate) use device::DeviceWindows;
pub(crate) use host::{HostMaps, HostWindows};

/// Standard deviation of the Gaussian importance, relative to the window's side.
const RELATIVE_SIGMA: f64 = 0.125;

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
}

impl Members {
    /// What each of `members` counts.
    fn share(self, members: usize) -> f32 {
        match self {
            Self::Mean => 1.0 / members as f32,
            Self::Sum => 1.0,
        }
    }

    /// One map `[n, K, h, w]` of those of at least one member.
    pub(crate) fn combine<B: Backend>(self, maps: Vec<Tensor<B, 4>>) -> Tensor<B, 4> {
        let share = self.share(maps.len());
        // Sums and factors are one pass over the maps on devices that fuse them.
        let sum = maps.into_iter().reduce(|sum, map| sum + map);
        sum.expect("an ensemble has a member") * share
    }
}

/// Where the windows lie and how they are weighted, for images of one size. Both axes are alike:
/// a window is one stretch of rows and one of columns.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    /// Rows, columns.
    axes: [WindowAxis; 2],
}

/// The windows along one axis.
#[derive(Debug)]
struct WindowAxis {
    /// Pixels of the image.
    length: usize,
    /// Zero pixels before the image, where it is smaller than the window.
    padding: usize,
    /// Pixels of the padded image.
    padded: usize,
    /// First pixel of every window in the padded image.
    starts: Vec<usize>,
    /// Importance of a window's pixels.
    importance: Vec<f32>,
}

impl WindowPlan {
    pub(crate) fn new(image: [usize; 2], settings: &InferenceSettings) -> Self {
        let axes = [0, 1].map(|axis| {
            let (length, window) = (image[axis], settings.window[axis]);
            let padded = length.max(window);
            WindowAxis {
                length,
                padding: (padded - length) / 2,
                padded,
                starts: starts(padded, window, settings.overlap),
                importance: importance(window, settings.blend),
            }
        });
        Self { axes }
    }

    fn image(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].length)
    }

    fn window(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.axes[axis].importance.len())
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
    let window = settings.window[axis];
    starts(length.max(window), window, settings.overlap).len()
}

/// First pixels of the windows along one axis: regular steps, and one flush with the far edge.
fn starts(length: usize, window: usize, overlap: f64) -> Vec<usize> {
    let stride = ((window as f64 * (1.0 - overlap)) as usize).max(1);
    let last = length - window;
    let mut starts: Vec<usize> = (0..=last).step_by(stride).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// Importance along one axis of a window.
fn importance(length: usize, blend: Blend) -> Vec<f32> {
    let centre = (length as f64 - 1.0) / 2.0;
    let sigma = RELATIVE_SIGMA * length as f64;
    (0..length)
        .map(|index| match blend {
            Blend::Constant => 1.0,
            Blend::Gaussian => (-0.5 * ((index as f64 - centre) / sigma).powi(2)).exp() as f32,
        })
        .collect()
}

#[cfg(test)]
mod tests;
