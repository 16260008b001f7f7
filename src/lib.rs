//! VascX retinal model ensembles in pure Rust: define, convert, run.
//!
//! This crate re-exports its parts:
//! * [`graph`]: networks as graphs of operators, and the executor that runs them;
//! * [`models`]: the networks in burn, generic over the backend;
//! * [`convert`]: PyTorch checkpoints to model directories, offline;
//! * [`mod@format`]: model directories, read and written;
//! * [`inference`]: photographs in, answers out;
//! * [`biomarkers`]: class maps and landmarks of an eye in, calibres, angles, tortuosity out;
//! * [`pipeline`]: folders of maps in, tables, pictures and the report out;
//! * `program` (feature `cli`): the command line;
//! * [`burn`] and [`image`], whose types the parts take and give, in the versions they use.
//!
//! ```no_run
//! use vascx::convert::Model;
//! use vascx::inference::{Device, HeatmapEnsemble};
//!
//! let model = Model::open("weights/demo/fovea.pt")?;
//! let ensemble = HeatmapEnsemble::load(&model, Device::Cpu)?;
//! for keypoints in ensemble.predict(std::path::Path::new("fundus.jpg"))? {
//!     let fovea = keypoints?.points[0];
//!     println!("fovea at ({:.1}, {:.1})", fovea.x, fovea.y);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The `vascx` binary does the same from the command line.

// The program is written as a user of the library.
#[cfg(feature = "cli")]
extern crate self as vascx;

pub use burn;
pub use image;
pub use vascx_biomarkers as biomarkers;
pub use vascx_convert as convert;
pub use vascx_format as format;
pub use vascx_graph as graph;
pub use vascx_inference as inference;
pub use vascx_models as models;
pub use vascx_pipeline as pipeline;

#[cfg(feature = "cli")]
mod arguments;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
pub mod program;
#[cfg(feature = "cli")]
mod report;
#[cfg(feature = "cli")]
mod signals;
#[cfg(feature = "cli")]
mod terminal;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
