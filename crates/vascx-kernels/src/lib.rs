//! CPU kernels for the networks of VascX, on plain slices: 3 × 3 convolution by Winograd's
//! algorithm, 1 × 1 and transposed 2 × 2 convolution as matrix products, max-pooling. Feature maps
//! are f32 with the channels last, `[N, H, W, C]`; weights are packed once. The instruction set
//! (AVX-512, AVX2 with FMA, or whatever the compiler makes of plain arrays) is chosen at run time;
//! threads are rayon's, and their number does not change a single bit of the results.
//!
//! ```
//! use vascx_kernels::{Activation, Conv3x3, Shape};
//!
//! // Two output channels that sum the 3 × 3 neighbourhood of the one input channel.
//! let weights = [1.0; 2 * 9];
//! let convolution = Conv3x3::new(&weights, 2, 1, None);
//! let image = [1.0; 4 * 5];
//! let shape = Shape { images: 1, height: 4, width: 5 };
//! let mut sums = vec![0.0; 4 * 5 * 2];
//! convolution.run(shape, &[(&image, 1)], Activation::Identity, &mut sums);
//! assert!((sums[0] - 4.0).abs() < 1e-5); // a corner has four neighbours with itself
//! assert!((sums[2 * (5 + 1)] - 9.0).abs() < 1e-5);
//! ```

#![allow(
    clippy::inline_always,
    reason = "only what is inlined into a function of an instruction set is compiled for it"
)]

mod gemm;
mod pointwise;
mod pool;
mod simd;
mod winograd;

pub use pointwise::{Conv1x1, TransposedConv2x2};
pub use pool::max_pool_2x2;
pub use simd::InstructionSet;
pub use winograd::Conv3x3;

/// Images, rows and columns of a feature map `[N, H, W, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// N.
    pub images: usize,
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
}

impl Shape {
    /// Pixels of all images.
    pub fn pixels(self) -> usize {
        self.images * self.height * self.width
    }
}

/// What is applied to a convolution's results before they are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x` where positive, this slope times `x` elsewhere; the slope lies in 0…1.
    LeakyRelu(f32),
}
