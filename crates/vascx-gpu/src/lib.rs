//! Convolution on tensor cores of NVIDIA cards, written in CubeCL for feature maps that lie channels
//! last: a square window of 1 to 7 pixels, stride 1 or 2, over one input or two that are
//! concatenated, with bias, residual sum and (leaky) ReLU on the way to the result. The transposed
//! convolution that doubles height and width is one of a single pixel with four times the outputs.
//!
//! f16 and bf16 are multiplied as they are and summed in f32. f32 is multiplied as sums of two bf16,
//! three products for one, which keeps 16 bits of every factor, more than TF32's 11, at a third of
//! the speed of bf16.
//!
//! What is planned and packed on the host needs no card and is always there:
//!
//! ```
//! use vascx_gpu::{Activation, Convolution, Element};
//!
//! let convolution = Convolution {
//!     element: Element::F16,
//!     inputs: 8, // of which 3 are the image's
//!     outputs: 32,
//!     side: 3,
//!     stride: 1,
//!     spread: false,
//!     activation: Activation::LeakyRelu(0.0),
//! };
//! let packing = convolution.packing(99 << 10).expect("fits a consumer card");
//! let packed = packing.weights(&convolution, &[0.5; 32 * 3 * 9], 3);
//! assert_eq!(packed.len(), 32 * 16 * 9);
//! ```
//!
//! With the feature `cuda` there is `convolve`, which launches the kernel.

mod convolution;
#[cfg(feature = "cuda")]
mod kernel;
#[cfg(feature = "cuda")]
mod launch;
mod layer;
mod pack;

pub use convolution::{Activation, Convolution, Element, Packing};
#[cfg(feature = "cuda")]
pub use launch::{Maps, Operands, convolve, packing};
