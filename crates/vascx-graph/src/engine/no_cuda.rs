//! The CUDA engine of a build without CUDA: there is no tensor that it would run.

use burn::nn::conv::ConvTranspose2d;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, backend::Backend};

use super::FusedConvolution;
use crate::Activation;

/// Channels that kernels take together.
pub(super) const PIECE: usize = 1;

/// No kernel, so no weights for one.
#[derive(Clone, Debug, Default)]
pub(super) struct Packed;

pub(super) fn convolve<B: Backend>(
    _layer: &FusedConvolution<B>,
    _inputs: &[Tensor<B, 4>],
    _residual: Option<&Tensor<B, 4>>,
) -> Option<Tensor<B, 4>> {
    None
}

pub(super) fn convolve_transposed<B: Backend>(
    _packed: &Packed,
    _conv: &ConvTranspose2d<B>,
    _input: &Tensor<B, 4>,
) -> Option<Tensor<B, 4>> {
    None
}

pub(super) fn multiply<B: Backend>(
    _packed: &Packed,
    _input: &FloatTensor<B>,
    _weight: &FloatTensor<B>,
    _bias: Option<&FloatTensor<B>>,
    _activation: Option<Activation>,
) -> Option<FloatTensor<B>> {
    None
}

pub(super) fn has_kernels<B: Backend>(_tensor: &Tensor<B, 4>) -> bool {
    false
}

pub(super) fn whole_pieces<B: Backend>(inputs: Vec<Tensor<B, 4>>) -> Vec<Tensor<B, 4>> {
    inputs
}
