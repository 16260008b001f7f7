//! Model directories: `model.json`, which describes a model, and `weights.safetensors`. A program that
//! runs models needs no more than this; `vascx-convert` makes them of checkpoints.
//!
//! ```no_run
//! use burn::backend::Flex;
//! use vascx_format::Model;
//!
//! let model = Model::open("artery_vein")?;
//! let ensemble = model.load::<Flex>(&Default::default())?;
//! # Ok::<(), vascx_format::Error>(())
//! ```

mod error;
mod hash;
mod manifest;
mod model;
mod replace;
mod tensor;
mod weights;

pub use error::{Error, Result};
pub use hash::hexadecimal;
pub use manifest::{
    Blend, FORMAT_VERSION, InferenceSettings, ModelManifest, Normalisation, Preprocessing, Source,
    Task, Transform,
};
pub use model::Model;
pub use replace::discard_unfinished;
pub use tensor::{HostTensor, TensorInfo};
