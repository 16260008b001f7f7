//! Arguments of the commands that measure biomarkers, as retinalysis-vascx has them.

use std::path::PathBuf;

use clap::Args;
use vascx::biomarkers::{FeatureSet, Naming};
use vascx::pipeline::Scale;

use super::choices::at_least_one;

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // Each is a flag of its own.
pub(crate) struct CalcBiomarkersArguments {
    /// Folder with artery_vein/, disc/, vessels/, preprocessed_rgb/, fovea.csv and bounds.csv.
    pub(crate) input: PathBuf,
    /// Folder for the tables and pictures; created when missing.
    pub(crate) report: PathBuf,
    /// Biomarkers to measure: full_v3 for most purposes, vascx_rs for corrected definitions.
    #[arg(long, alias = "feature_set", value_name = "NAME")]
    pub(crate) feature_set: FeatureSet,
    /// Threads.
    #[arg(long, alias = "n_jobs", default_value_t = 8, value_name = "N", value_parser = at_least_one)]
    pub(crate) n_jobs: usize,
    /// File to append warnings to, each once with how often it happened.
    #[arg(long, value_name = "FILE")]
    pub(crate) logfile: Option<PathBuf>,
    /// Measure only the first N photographs.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) sample: Option<usize>,
    /// Write README.md, report.json, plots/ and sheets/ [default].
    #[arg(long = "report", overrides_with = "no_report")]
    pub(crate) with_report: bool,
    /// Write the tables alone.
    #[arg(long, overrides_with = "with_report")]
    pub(crate) no_report: bool,
    /// Photographs to draw, the first N.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) report_samples: usize,
    /// A photograph to draw instead; may be given several times.
    #[arg(long = "report-image", value_name = "ID")]
    pub(crate) report_images: Vec<String>,
    /// Replace the files of a report that is there.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Go on with a report that was interrupted, or measure what was added since.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Names of the columns: short ones, or with every part.
    #[arg(long, default_value = "resolved", value_name = "resolved|canonical")]
    pub(crate) naming: Naming,
    /// Length of a pixel of the crop in millimetres: a number, or a table with a column
    /// `mm_per_pixel` or COLUMN.
    #[arg(long, value_name = "MM|FILE.csv[:COLUMN]")]
    pub(crate) mm_per_pixel: Option<Scale>,
    /// Also write segments.csv, a row per vessel segment.
    #[arg(long)]
    pub(crate) segments: bool,
    /// Also write bifurcations.csv, a row per bifurcation.
    #[arg(long)]
    pub(crate) bifurcations: bool,
    /// Print errors only.
    #[arg(long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WriteMappingArguments {
    #[command(flatten)]
    pub(crate) document: DocumentArguments,
    /// Write a JSON object of display names instead of CSV.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Of commands that write what there is to know of a feature set.
#[derive(Debug, Args)]
pub(crate) struct DocumentArguments {
    /// File to write.
    pub(crate) output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Biomarkers to describe.
    #[arg(long, alias = "feature_set", value_name = "NAME")]
    pub(crate) feature_set: FeatureSet,
    /// Names of the columns: short ones, or with every part.
    #[arg(long, default_value = "resolved", value_name = "resolved|canonical")]
    pub(crate) naming: Naming,
}
