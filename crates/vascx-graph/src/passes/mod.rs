//! Rewriting graphs. A pass is a function from a graph to an equivalent one, in a file of its own.

mod constants;
mod dead_code;
mod fold_batch_norm;

pub use constants::{ConstantPart, split_constants};
pub use dead_code::remove_dead_code;
pub use fold_batch_norm::fold_batch_norms;
