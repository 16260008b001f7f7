//! CPU kernels for the networks of VascX, on plain slices: convolution by Winograd's algorithm
//! (3 × 3), as matrix products (any other) and depthwise, pooling, normalisation, resizing and
//! arithmetic, with residual sums and activations taken along. Feature maps
//! are f32 with the channels last, `[N, H, W, C]`; weights are packed once. The instruction set
//! (AVX-512, AVX2 with FMA, NEON, or whatever the compiler makes of plain arrays) is chosen at run
//! time; threads are rayon's, and their number does not change a single bit of the results.
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
//! convolution.run(shape, &[(&image, 1)], Activation::Identity.into(), &mut sums);
//! assert!((sums[0] - 4.0).abs() < 1e-5); // a corner has four neighbours with itself
//! assert!((sums[2 * (5 + 1)] - 9.0).abs() < 1e-5);
//! ```

#![allow(
    clippy::inline_always,
    reason = "only what is inlined into a function of an instruction set is compiled for it"
)]

mod activation;
mod convolution;
mod cores;
mod depthwise;
mod elementwise;
mod gemm;
mod layout;
mod matrix;
mod memory;
mod normalise;
mod peak;
mod pool;
mod resize;
mod simd;
mod tiled;
mod tiles;
mod transposed;
mod winograd;

pub use activation::{Activation, Epilogue};
pub use convolution::{Convolution, Sliding};
pub use cores::on_all_cores;
pub use depthwise::DepthwiseConvolution;
pub use elementwise::{Arithmetic, activate_all, combine};
pub use layout::{convert, put_channels_last};
pub use memory::Memory;
pub use normalise::{Affine, GroupNorm, layer_norm};
pub use peak::{peak_bytes, peak_operations};
pub use pool::{global_average, max_pool};
pub use resize::{Neighbours, resize};
pub use simd::{Element, InstructionSet};
pub use tiled::{TiledConvolution, TiledTransposedConv2x2};
pub use tiles::TileSet;
pub use transposed::TransposedConv2x2;
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
