//! Cohorts of fundus photographs: photographs or a folder of maps become a folder of tables and pictures,
//! and a report to look at.
//!
//! [`WholeJob`] does all of it: photographs through the models that a [`ModelChoice`] finds, biomarkers,
//! report.
//!
//! [`BiomarkerJob`] reads what retinalysis-vascx wrote, measures every eye
//! on several threads in bounded memory, and writes `biomarkers.csv`, why values are undefined,
//! what became of each eye, and pictures. What is done is kept in a journal, from which an
//! interrupted job goes on.
//!
//! ```no_run
//! use vascx_biomarkers::FeatureSet;
//! use vascx_inference::Cancel;
//! use vascx_pipeline::BiomarkerJob;
//!
//! let mut job = BiomarkerJob::new("out", "report", FeatureSet::FullV3);
//! job.threads = 8;
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
mod condition;
mod error;
mod exclusions;
mod literal;
mod models;
mod redraw;
mod report;
mod table;
mod whole;

pub use biomarkers::{
    BiomarkerJob, BiomarkerSummary, Extras, Mapping, Outcome, Pictures, Scale, write_mapping,
    write_readme,
};
pub use condition::Condition;
pub use error::{Error, Result};
pub use exclusions::{Exclusions, Mark};
pub use models::{Loaded, Located, ModelCache, ModelChoice, cache_folder, locate};
pub use redraw::Redraw;
pub use report::{Report, Summary};
pub use vascx_inference::Existing;
pub use whole::{BIOMARKERS, Step, WholeJob, WholeSummary};
