//! From folders of maps to tables and pictures of biomarkers.
//!
//! `cohort` finds the eyes, `eye_files` reads one, `measure` makes a record of it, `journal` keeps
//! records, `tables`, `documents` and `plots` write the report; `job` does all of it.

mod cohort;
mod documents;
mod eye_files;
mod job;
mod journal;
mod log;
mod maps;
mod measure;
mod output;
mod plots;
mod scale;
mod tables;

pub use documents::{Mapping, write_mapping, write_readme};
pub use job::{BiomarkerJob, BiomarkerSummary, Extras, Outcome, Pictures};
pub(crate) use journal::is_there as is_ours;
pub(crate) use maps::{Map, read_artery_vein, read_mask};
pub use scale::Scale;
