//! Which neighbours a resampled pixel is mixed of.

/// OpenCV's resolution of coordinates when it warps.
const WARP_STEPS: f64 = 32.0;
/// OpenCV's resolution of weights when it resizes.
const RESIZE_STEPS: f32 = 2048.0;

/// The two neighbours a resampled pixel is mixed of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tap {
    pub(crate) first: isize,
    pub(crate) second: isize,
    pub(super) weight_first: f32,
    pub(super) weight_second: f32,
}

impl Tap {
    /// Black: no pixel of any axis.
    pub(crate) const NOTHING: Self = Self {
        first: -1,
        second: -1,
        weight_first: 0.0,
        weight_second: 0.0,
    };

    /// The neighbours of continuous coordinate `at` (pixel centres at .5) on an axis of `length`
    /// pixels; beyond the outermost centres the edge pixel counts alone.
    pub(crate) fn at(at: f32, length: usize) -> Self {
        Self::at_index(at - 0.5, length)
    }

    /// The same of a position whose pixel centres are whole.
    fn at_index(position: f32, length: usize) -> Self {
        let position = position.max(0.0);
        let first = (position as usize).min(length - 1);
        let weight_second = (position - first as f32).min(1.0);
        Self {
            first: first as isize,
            second: (first + 1).min(length - 1) as isize,
            weight_first: 1.0 - weight_second,
            weight_second,
        }
    }

    /// The neighbours of a pixel when PyTorch interpolates an axis of `length` pixels, a step of one
    /// being `scale` there: the position is rounded once.
    pub(super) fn interpolated(index: usize, scale: f32, length: usize) -> Self {
        let position = (f64::from(scale) * (index as f64 + 0.5) - 0.5) as f32;
        Self::at_index(position, length)
    }

    /// The neighbours of a pixel when OpenCV resizes an axis from one length to another.
    pub(crate) fn resized(index: usize, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
        // Beyond the outermost centres the edge pixel counts alone.
        let position = position.clamp(0.0, (from - 1) as f32);
        let weight_second = position.fract();
        let first = position as usize;
        Self {
            first: first as isize,
            second: (first + 1).min(from - 1) as isize,
            weight_first: 1.0 - weight_second,
            weight_second,
        }
    }

    /// The weights in 1/2048, as OpenCV has them when it resizes bytes.
    pub(crate) fn resize_steps(&self) -> [i32; 2] {
        let steps = |weight: f32| (weight * RESIZE_STEPS).round_ties_even() as i32;
        [steps(self.weight_first), steps(self.weight_second)]
    }

    /// The neighbours of pixel index `position / unit` on an axis without ends, in OpenCV's steps.
    pub(super) fn warped(position: f64, unit: f64) -> Self {
        let position = (position * (WARP_STEPS / unit)).round_ties_even() / WARP_STEPS;
        let first = position.floor();
        let weight_second = (position - first) as f32;
        Self {
            first: first as isize,
            second: first as isize + 1,
            weight_first: 1.0 - weight_second,
            weight_second,
        }
    }

    pub(crate) fn weight_first(&self) -> f32 {
        self.weight_first
    }

    pub(crate) fn weight_second(&self) -> f32 {
        self.weight_second
    }

    /// The weights of a tap that [`Self::warped`] gave, in 1/32.
    pub(crate) fn warp_steps(&self) -> [u16; 2] {
        let second = (self.weight_second * WARP_STEPS as f32) as u16;
        [WARP_STEPS as u16 - second, second]
    }

    pub(super) fn nearest(&self) -> isize {
        if self.weight_second > 0.5 {
            self.second
        } else {
            self.first
        }
    }

    pub(super) fn shifted(self, by: isize) -> Self {
        Self {
            first: self.first + by,
            second: self.second + by,
            ..self
        }
    }

    pub(crate) fn mix(&self, first: f32, second: f32) -> f32 {
        first * self.weight_first + second * self.weight_second
    }

    /// [`Self::mix`] as PyTorch's kernels do it on processors with fused multiplication and addition:
    /// rounded after the second product and after the sum. Where a grey level is truncated
    /// afterwards, another order would now and then lose one.
    pub(crate) fn mix_fused(&self, first: f32, second: f32) -> f32 {
        let second = f64::from(second * self.weight_second);
        // The product is exact, and rounding twice is no different unless the first meets a tie.
        (f64::from(first) * f64::from(self.weight_first) + second) as f32
    }

    /// Mixes two values of a line that holds both neighbours.
    pub(crate) fn sample(&self, line: &[f32]) -> f32 {
        self.mix(line[self.first as usize], line[self.second as usize])
    }
}
