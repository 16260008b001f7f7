//! Cohorts of fundus photographs: what stands in a folder of results, and the report on it.
//!
//! ```no_run
//! let summary = vascx_pipeline::Report::new("results").write(|_, _| ())?;
//! println!("{} photographs, {} to look at", summary.photographs, summary.flagged);
//! # Ok::<(), vascx_pipeline::Error>(())
//! ```

mod error;
mod exclusions;
mod report;
mod table;

pub use error::{Error, Result};
pub use exclusions::{Exclusions, Mark};
pub use report::{Report, Summary};
