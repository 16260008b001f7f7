//! Sliding-window inference: an image of any size through a network of fixed window size.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use vascx_convert::{Blend, InferenceSettings};

/// Standard deviation of the Gaussian importance, relative to the window's side.
const RELATIVE_SIGMA: f64 = 0.125;

/// Where the windows lie and how they are weighted, for images of one size.
pub(crate) struct WindowPlan {
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
    /// Importance per axis; a window's importance map is their product.
    importance: [Vec<f32>; 2],
    /// Windows per forward pass.
    window_batch_size: usize,
}

impl WindowPlan {
    pub(crate) fn new(image: [usize; 2], settings: &InferenceSettings) -> Self {
        let window = settings.window;
        let padded = [0, 1].map(|axis| image[axis].max(window[axis]));
        let padding = [0, 1].map(|axis| (padded[axis] - image[axis]) / 2);
        let [rows, columns] =
            [0, 1].map(|axis| starts(padded[axis], window[axis], settings.overlap));
        let corners = rows
            .iter()
            .flat_map(|&row| columns.iter().map(move |&column| [row, column]))
            .collect();
        Self {
            window,
            padding,
            padded,
            image,
            corners,
            importance: window.map(|length| importance(length, settings.blend)),
            window_batch_size: settings.window_batch_size,
        }
    }

    /// Runs `network` over images `[N, C, H, W]` and blends its answers to `[M, N, K, H, W]`.
    ///
    /// `network` maps windows `[n, C, h, w]` to `[M, n, K, h, w]`. Every window is computed once;
    /// windows of neighbouring images share passes of at most `window_batch_size`.
    pub(crate) fn run<B: Backend>(
        &self,
        images: Tensor<B, 4>,
        network: impl Fn(Tensor<B, 4>) -> Tensor<B, 5>,
    ) -> Tensor<B, 5> {
        let device = images.device();
        let [count, channels, ..] = images.dims();
        let images = self.pad(images);
        let windows: Vec<(usize, [usize; 2])> = (0..count)
            .flat_map(|image| self.corners.iter().map(move |&corner| (image, corner)))
            .collect();
        let importance = self.importance_map::<B>(&device);
        let mut sum: Option<Tensor<B, 5>> = None;
        for pass in windows.chunks(self.window_batch_size) {
            let batch = pass
                .iter()
                .map(|&(image, corner)| {
                    let [rows, columns] = self.area(corner);
                    images
                        .clone()
                        .slice([image..image + 1, 0..channels, rows, columns])
                })
                .collect();
            let weighted = network(Tensor::cat(batch, 0)) * importance.clone();
            let [members, _, outputs, ..] = weighted.dims();
            let mut blended = sum.take().unwrap_or_else(|| {
                let [height, width] = self.padded;
                Tensor::zeros([members, count, outputs, height, width], &device)
            });
            for (index, &(image, corner)) in pass.iter().enumerate() {
                let [rows, columns] = self.area(corner);
                let target = [0..members, image..image + 1, 0..outputs, rows, columns];
                let addend = weighted.clone().narrow(1, index, 1);
                let updated = blended.clone().slice(target.clone()) + addend;
                blended = blended.slice_assign(target, updated);
            }
            sum = Some(blended);
        }
        let sum = sum.expect("at least one image and one window");
        self.crop(sum / self.total_importance(&device))
    }

    fn area(&self, [row, column]: [usize; 2]) -> [Range<usize>; 2] {
        [row..row + self.window[0], column..column + self.window[1]]
    }

    fn image_area(&self) -> [Range<usize>; 2] {
        [0, 1].map(|axis| self.padding[axis]..self.padding[axis] + self.image[axis])
    }

    fn pad<B: Backend>(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.padded == self.image {
            return images;
        }
        let [count, channels, ..] = images.dims();
        let [height, width] = self.padded;
        let [rows, columns] = self.image_area();
        Tensor::zeros([count, channels, height, width], &images.device())
            .slice_assign([0..count, 0..channels, rows, columns], images)
    }

    fn crop<B: Backend>(&self, maps: Tensor<B, 5>) -> Tensor<B, 5> {
        if self.padded == self.image {
            return maps;
        }
        let [members, count, outputs, ..] = maps.dims();
        let [rows, columns] = self.image_area();
        maps.slice([0..members, 0..count, 0..outputs, rows, columns])
    }

    /// `[1, 1, 1, h, w]`.
    fn importance_map<B: Backend>(&self, device: &B::Device) -> Tensor<B, 5> {
        let [rows, columns] = &self.importance;
        let map = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| row * column));
        let [height, width] = self.window;
        let data = TensorData::new(map.collect::<Vec<f32>>(), [1, 1, 1, height, width]);
        Tensor::from_data(data, device)
    }

    /// Sum of the importance of all windows, `[1, 1, 1, H, W]` of the padded image.
    fn total_importance<B: Backend>(&self, device: &B::Device) -> Tensor<B, 5> {
        let [height, width] = self.padded;
        let mut total = vec![0.0_f32; height * width];
        for &[row, column] in &self.corners {
            for (y, weight_y) in self.importance[0].iter().enumerate() {
                let line = &mut total[(row + y) * width + column..][..self.window[1]];
                for (value, weight_x) in line.iter_mut().zip(&self.importance[1]) {
                    *value += weight_y * weight_x;
                }
            }
        }
        Tensor::from_data(TensorData::new(total, [1, 1, 1, height, width]), device)
    }
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

    fn settings(window: [usize; 2], overlap: f64, window_batch_size: usize) -> InferenceSettings {
        InferenceSettings {
            window,
            overlap,
            blend: Blend::Gaussian,
            batch_size: 4,
            window_batch_size,
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
            let plan = WindowPlan::new([21, 13], &settings(window, overlap, passes));
            let blended = plan.run(images.clone(), echo);
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
        let plan = WindowPlan::new([8, 8], &settings([4, 4], 0.5, 4));
        let images = Tensor::<TestBackend, 4>::zeros([3, 1, 8, 8], &Default::default());
        let (passes, windows) = (Cell::new(0), Cell::new(0));
        plan.run(images, |batch| {
            passes.set(passes.get() + 1);
            windows.set(windows.get() + batch.dims()[0]);
            echo(batch)
        });
        // 3 × 3 windows per image; 27 windows fill seven passes of four.
        assert_eq!((windows.get(), passes.get()), (27, 7));
    }
}
