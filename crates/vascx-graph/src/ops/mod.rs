//! The operators, a file per family with its tests beside it.

pub(crate) mod activation;
pub(crate) mod binary;
pub(crate) mod convolution;
pub(crate) mod create;
pub(crate) mod index;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod pad;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod scatter;
pub(crate) mod shape;
