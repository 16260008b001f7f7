//! Cohorts of fundus photographs: a folder of maps becomes a folder of tables and pictures, and a report
//! to look at.
//!
//! [`BiomarkerJob`] reads what retinalysis-vascx wrote, measures every eye
//! on several threads in bounded memory, and writes `biomarkers.csv`, why values are undefined,
//! what became of each eye, and pictures. What is done is kept in a journal, from which an
//! interrupted job goes on.
//!
//! ```no_run
//! use vascx_biomarkers::{FeatureSet, Naming};
//! use vascx_inference::Cancel;
//! use vascx_pipeline::{BiomarkerJob, Existing, Extras, Scale};
//!
//! let job = BiomarkerJob {
//!     input: "out".into(),
//!     report: "report".into(),
//!     set: FeatureSet::FullV3,
//!     naming: Naming::Resolved,
//!     threads: 8,
//!     sample: None,
//!     scale: Scale::Unknown,
//!     extras: Extras::default(),
//!     log: None,
//!     existing: Existing::Refuse,
//! };
//! let summary = job.run(&Cancel::default(), |_| {}, |_| {})?;
//! println!("{} eyes measured", summary.measured);
//! # Ok::<(), vascx_pipeline::Error>(())
//! ```
//!
//! [`Report`] makes a page of whatever a folder of results holds.
//!
//! ```no_run
//! let summary = vascx_pipeline::Report::new("results").write(|_, _| ())?;
//! println!("{} photographs, {} to look at", summary.photographs, summary.flagged);
//! # Ok::<(), vascx_pipeline::Error>(())
//! ```

mod biomarkers;
mod bounds;
mod error;
mod exclusions;
mod literal;
mod report;
mod table;

pub use biomarkers::{
    BiomarkerJob, BiomarkerSummary, Existing, Extras, Mapping, Outcome, Pictures, Scale,
    write_mapping, write_readme,
};
pub use error::{Error, Result};
pub use exclusions::{Exclusions, Mark};
pub use report::{Report, Summary};
