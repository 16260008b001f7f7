//! Reads PyTorch checkpoints of retinal models and converts them to model directories, offline
//! and without executing anything in them.
//!
//! A checkpoint is untrusted input: its pickles are read by a stack machine that knows a handful of
//! globals, sizes are checked before memory is touched, and whatever does not fit is an error that
//! names the file, the entry and the tensor.
//!
//! ```no_run
//! use burn::backend::Flex;
//! use vascx_convert::{ConvertOptions, Model};
//! use vascx_models::Precision;
//!
//! // Once: checkpoint → model directory.
//! let model = Model::convert("artery_vein.pt", &ConvertOptions::default())?;
//! model.save("artery_vein", Precision::F32, false)?;
//!
//! // Every time: model directory → ensemble on a device.
//! let model = Model::open("artery_vein")?;
//! let ensemble = model.load::<Flex>(&Default::default())?;
//! # Ok::<(), vascx_convert::Error>(())
//! ```

mod answers;
mod archive;
mod checkpoint;
mod config;
mod error;
mod families;
mod folder;
mod foreign;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inspect;
mod lowering;
mod members;
mod model;
mod module_tree;
mod onnx;
mod pickle;
mod release;
mod resolve;
mod state_dict;
mod tensor;
mod torchscript;
mod verify;

pub use error::{Error, Result};
pub use families::{ArchitectureChoice, Candidate};
pub use inspect::Inspection;
pub use model::Model;
pub use resolve::ConvertOptions;
pub use vascx_format::{Task, discard_unfinished};
pub use verify::Verification;
