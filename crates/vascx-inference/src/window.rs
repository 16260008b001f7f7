//! Sliding-window inference: an image of any size through a network of fixed window size.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use vascx_convert::{Blend, InferenceSettings};

/// Standard deviation of the Gaussian importance, relative to the window's side.
const RELATIVE_SIGMA: f64 = 0.125;

/// Where the windows lie and how they are weighted, for images of one size on one device.
#[derive(Debug)]
pub(crate) struct WindowPlan<B: Backend> {
    /// Height and width of a window.
    window: [usize; 2],
    /// Zero rows and columns before the image, where it is smaller than the window.
    padding: [usize; 2],
    /// Height and width of the padded image.
    padded: [usize; 2],
    /// Height and width of the image.
    image: [usize; 2],
    /// Top-left corners in the padded image, row by row.
    corners: Vec<[usize; 2]>,
    /// Importance of a window's pixels, `[1, 1, 1, h, w]`.
    importance: Tensor<B, 5>,
    /// Sum of the importance of all windows, `[1, 1, 1, H, W]` of the padded image.
    total: Tensor<B, 5>,
}

/// The same window of neighbouring images.
struct Run {
    corner: [usize; 2],
    images: Range<usize>,
}

impl<B: Backend> WindowPlan<B> {
    pub(crate) fn new(image: [usize; 2], settings: &InferenceSettings, device: &B::Device) -> Self {
        let window = settings.window;
        let padded = [0, 1].map(|axis| image[axis].max(window[axis]));
        let padding = [0, 1].map(|axis| (padded[axis] - image[axis]) / 2);
        let [rows, columns] =
            [0, 1].map(|axis| starts(padded[axis], window[axis], settings.overlap));
        let corners: Vec<[usize; 2]> = rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |&column| [row, column]))
            .collect();
        let importance = window.map(|length| importance(length, settings.blend));
        let map = |values: Vec<f32>, [height, width]: [usize; 2]| {
            Tensor::from_data(TensorData::new(values, [1, 1, 1, height, width]), device)
        };
        Self {
            window,
            padding,
            padded,
            image,
            importance: map(importance_map(&importance), window),
            total: map(total_importance(&corners, &importance, padded), padded),
            corners,
        }
    }

    /// Height and width of the images this is for.
    pub(crate) fn image(&self) -> [usize; 2] {
        self.image
    }

    /// Runs `network` over images `[N, C, H, W]` and blends its answers to `[M, N, K, H, W]`.
    ///
    /// `network` maps windows `[n, C, h, w]` to `[M, n, K, h, w]`. Every window is computed once;
    /// windows of neighbouring images share passes of at most `per_pass`.
    pub(crate) fn run(
        &self,
        images: Tensor<B, 4>,
        per_pass: usize,
        network: impl Fn(Tensor<B, 4>) -> Tensor<B, 5>,
    ) -> Tensor<B, 5> {
        let device = images.device();
        let [count, channels, ..] = images.dims();
        let images = self.pad(images);
        let mut sum: Option<Tensor<B, 5>> = None;
        for pass in self.passes(count, per_pass) {
            let batch = pass
                .iter()
                .map(|run| {
                    let [rows, columns] = self.area(run.corner);
                    let images = images.clone();
                    images.slice([run.images.clone(), 0..channels, rows, columns])
                })
                .collect();
            let weighted = network(Tensor::cat(batch, 0)) * self.importance.clone();
            let [members, _, outputs, ..] = weighted.dims();
            let mut blended = sum.take().unwrap_or_else(|| {
                let [height, width] = self.padded;
                Tensor::zeros([members, count, outputs, height, width], &device)
            });
            let mut first = 0;
            for Run { corner, images } in pass {
                let [rows, columns] = self.area(corner);
                let addend = weighted.clone().narrow(1, first, images.len());
                first += images.len();
                let target = [0..members, images, 0..outputs, rows, columns];
                let updated = blended.clone().slice(target.clone()) + addend;
                blended = blended.slice_assign(target, updated);
            }
            sum = Some(blended);
        }
        let sum = sum.expect("at least one image and one window");
        self.crop(sum / self.total.clone())
    }

    /// Windows in passes: one window of all images after the other, so that few large pieces are
    /// cut and blended.
    fn passes(&self, count: usize, per_pass: usize) -> Vec<Vec<Run>> {
        let mut passes: Vec<Vec<Run>> = Vec::new();
        let mut room = 0;
        for &corner in &self.corners {
            let mut first = 0;
            while first < count {
                if room == 0 {
                    passes.push(Vec::new());
                    room = per_pass;
                }
                let images = first..count.min(first + room);
                (first, room) = (images.end, room - images.len());
                let pass = passes.last_mut().expect("just begun");
                pass.push(Run { corner, images });
            }
        }
        passes
    }

    fn area(&self, [row, column]: [usize; 2]) -> [Range<usize>; 2] {
        [row..row + self.window[0], column..column + self.window[1]]
    }

    fn image_area(&self) -> [Range<usize>; 2] {
        [0, 1].map(|axis| self.padding[axis]..self.padding[axis] + self.image[axis])
    }

    fn pad(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.padded == self.image {
            return images;
        }
        let [count, channels, ..] = images.dims();
        let [height, width] = self.padded;
        let [rows, columns] = self.image_area();
        Tensor::zeros([count, channels, height, width], &images.device())
            .slice_assign([0..count, 0..channels, rows, columns], images)
    }

    fn crop(&self, maps: Tensor<B, 5>) -> Tensor<B, 5> {
        if self.padded == self.image {
            return maps;
        }
        let [members, count, outputs, ..] = maps.dims();
        let [rows, columns] = self.image_area();
        maps.slice([0..members, 0..count, 0..outputs, rows, columns])
    }
}

/// Importance of a window's pixels, row by row.
fn importance_map([rows, columns]: &[Vec<f32>; 2]) -> Vec<f32> {
    rows.iter()
        .flat_map(|row| columns.iter().map(move |column| row * column))
        .collect()
}

/// Sum of the importance of all windows at every pixel of the padded image, row by row.
fn total_importance(
    corners: &[[usize; 2]],
    importance: &[Vec<f32>; 2],
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let mut total = vec![0.0_f32; height * width];
    for &[row, column] in corners {
        for (y, weight_y) in importance[0].iter().enumerate() {
            let line = &mut total[(row + y) * width + column..][..importance[1].len()];
            for (value, weight_x) in line.iter_mut().zip(&importance[1]) {
                *value += weight_y * weight_x;
            }
        }
    }
    total
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
mod tests {
    use super::*;
    use crate::test_backend::TestBackend;
    use burn::tensor::Distribution;
    use std::cell::Cell;

    fn settings(window: [usize; 2], overlap: f64) -> InferenceSettings {
        InferenceSettings {
            window,
            overlap,
            blend: Blend::Gaussian,
            batch_size: 4,
            window_batch_size: 16,
            tta_flips: Vec::new(),
        }
    }

    #[test]
    fn windows_cover_the_axis_and_end_flush() {
        assert_eq!(starts(1024, 512, 0.5), [0, 256, 512]);
        assert_eq!(starts(1000, 512, 0.5), [0, 256, 488]);
        assert_eq!(starts(512, 512, 0.5), [0]);
        assert_eq!(starts(10, 4, 0.0), [0, 4, 6]);
        assert_eq!(starts(7, 4, 0.99), [0, 1, 2, 3]);
    }

    /// A "network" that returns its input twice as two members.
    fn echo(windows: Tensor<TestBackend, 4>) -> Tensor<TestBackend, 5> {
        Tensor::stack(vec![windows.clone(), windows.neg()], 0)
    }

    #[test]
    fn blending_an_echo_returns_the_image_whatever_the_passes() {
        let device = Default::default();
        let images: Tensor<TestBackend, 4> =
            Tensor::random([3, 2, 21, 13], Distribution::Uniform(-1.0, 1.0), &device);
        for (window, overlap, passes) in [
            ([8, 8], 0.5, 1),
            ([8, 4], 0.25, 5),
            ([32, 32], 0.5, 16),
            ([16, 16], 0.0, 4),
        ] {
            let plan = WindowPlan::new([21, 13], &settings(window, overlap), &device);
            let blended = plan.run(images.clone(), passes, echo);
            assert_eq!(blended.dims(), [2, 3, 2, 21, 13]);
            for (member, sign) in [(0, 1.0), (1, -1.0)] {
                let member: Tensor<TestBackend, 4> =
                    blended.clone().narrow(0, member, 1).squeeze_dim(0);
                let worst = (member * sign - images.clone()).abs().max().into_scalar();
                assert!(worst < 1e-6, "window {window:?}: {worst}");
            }
        }
    }

    #[test]
    fn each_window_is_computed_once_and_passes_are_full_across_images() {
        let device = Default::default();
        let plan = WindowPlan::new([8, 8], &settings([4, 4], 0.5), &device);
        let images = Tensor::<TestBackend, 4>::zeros([3, 1, 8, 8], &device);
        let (passes, windows) = (Cell::new(0), Cell::new(0));
        plan.run(images, 4, |batch| {
            passes.set(passes.get() + 1);
            windows.set(windows.get() + batch.dims()[0]);
            echo(batch)
        });
        // 3 × 3 windows per image; 27 windows fill seven passes of four.
        assert_eq!((windows.get(), passes.get()), (27, 7));
    }
}
