//! Windows on a card: images and maps stay in its memory.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::WindowPlan;

/// Windows of images of one size that are on a device.
#[derive(Debug)]
pub(crate) struct DeviceWindows<B: Backend> {
    plan: WindowPlan,
    /// Top-left corners in the padded image, row by row.
    corners: Vec<[usize; 2]>,
    /// Importance of a window's answered pixels, `[1, 1, h, w]`.
    importance: Tensor<B, 4>,
    /// Sum of the importance of all windows, `[1, 1, H, W]` of the padded image.
    total: Tensor<B, 4>,
}

/// The same window of neighbouring images.
struct Run {
    corner: [usize; 2],
    images: Range<usize>,
}

impl<B: Backend> DeviceWindows<B> {
    pub(crate) fn new(plan: WindowPlan, device: &B::Device) -> Self {
        let [rows, columns] = &plan.axes;
        let corner = |&row: &usize| columns.starts.iter().map(move |&column| [row, column]);
        let map = |values: Vec<f32>, [height, width]: [usize; 2]| {
            Tensor::from_data(TensorData::new(values, [1, 1, height, width]), device)
        };
        Self {
            corners: rows.starts.iter().flat_map(corner).collect(),
            importance: map(plan.importance(), plan.answered()),
            total: map(plan.total(), [rows.padded, columns.padded]),
            plan,
        }
    }

    pub(crate) fn image(&self) -> [usize; 2] {
        self.plan.image()
    }

    /// Runs `network` over images `[N, C, H, W]` and blends its answers to `[N, K, H, W]`.
    ///
    /// `network` maps windows `[n, C, h, w]` to `[n, K, …]` of what it answers for. Every window is computed once;
    /// windows of neighbouring images share passes of at most `per_pass`.
    pub(crate) fn run(
        &self,
        images: Tensor<B, 4>,
        per_pass: usize,
        network: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let device = images.device();
        let [count, channels, ..] = images.dims();
        let images = self.pad(images);
        let mut sum: Option<Tensor<B, 4>> = None;
        for pass in self.passes(count, per_pass) {
            let batch = pass
                .iter()
                .map(|run| {
                    let [rows, columns] = area(run.corner, self.plan.window());
                    let images = images.clone();
                    images.slice([run.images.clone(), 0..channels, rows, columns])
                })
                .collect();
            let weighted = network(Tensor::cat(batch, 0)) * self.importance.clone();
            let [_, outputs, ..] = weighted.dims();
            let mut blended = sum.take().unwrap_or_else(|| {
                let [height, width] = self.padded();
                Tensor::zeros([count, outputs, height, width], &device)
            });
            let mut first = 0;
            for Run { corner, images } in pass {
                let [rows, columns] = area(corner, self.plan.answered());
                let addend = weighted.clone().narrow(0, first, images.len());
                first += images.len();
                let target = [images, 0..outputs, rows, columns];
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

    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.plan.axes[axis].padded)
    }

    /// Where the image lies in the padded one, with `halo` more before it.
    fn image_area(&self, halo: usize) -> [Range<usize>; 2] {
        [0, 1].map(|axis| {
            let axis = &self.plan.axes[axis];
            let start = axis.padding + halo;
            start..start + axis.length
        })
    }

    /// All that windows show: the padded images and the halo around them.
    fn pad(&self, images: Tensor<B, 4>) -> Tensor<B, 4> {
        let halo = self.plan.axes[0].halo;
        let [height, width] = self.padded().map(|side| side + 2 * halo);
        if [height, width] == self.image() {
            return images;
        }
        let [count, channels, ..] = images.dims();
        let [rows, columns] = self.image_area(halo);
        Tensor::zeros([count, channels, height, width], &images.device())
            .slice_assign([0..count, 0..channels, rows, columns], images)
    }

    fn crop(&self, maps: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.padded() == self.image() {
            return maps;
        }
        let [count, outputs, ..] = maps.dims();
        let [rows, columns] = self.image_area(0);
        maps.slice([0..count, 0..outputs, rows, columns])
    }
}

fn area([row, column]: [usize; 2], [height, width]: [usize; 2]) -> [Range<usize>; 2] {
    [row..row + height, column..column + width]
}
