//! What can end a whole job; a photograph's mishap stays its own.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a job could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read.
    #[error("{}: {reason}", .path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system or the parser says.
        reason: String,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {reason}", .path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A model that cannot be read.
    #[error(transparent)]
    Model(#[from] vascx_convert::Error),
    /// A file that cannot be written whole, or a folder that another run writes to.
    #[error(transparent)]
    Unwritten(#[from] vascx_inference::Error),
    /// A folder without an eye that can be measured.
    #[error(
        "{}: no eye has a map in artery_vein/ and disc/ and a row in fovea.csv and bounds.csv{example}",
        .folder.display()
    )]
    NoEyes {
        /// The folder.
        folder: PathBuf,
        /// What the first eye lacks.
        example: String,
    },
    /// A report that is named like a table.
    #[error("{}: the report is a folder; give its name without .csv", .0.display())]
    ReportIsTable(PathBuf),
    /// A report inside the folders of maps.
    #[error(
        "{}: the report would lie among the maps of {}; name a folder elsewhere",
        .report.display(),
        .input.display()
    )]
    ReportAmongMaps {
        /// The report's folder.
        report: PathBuf,
        /// The folder of the maps.
        input: PathBuf,
    },
    /// A report that exists.
    #[error(
        "{} already holds {}; give another folder, --overwrite to replace them, or --resume to \
         go on",
        .report.display(),
        .names.join(", ")
    )]
    ReportExists {
        /// The report's folder.
        report: PathBuf,
        /// What it holds.
        names: Vec<String>,
    },
    /// A journal of another job.
    #[error(
        "{}: begun with other settings ({difference}); give the same ones, another folder, or \
         --overwrite",
        .journal.display()
    )]
    OtherJob {
        /// The journal.
        journal: PathBuf,
        /// The first setting that differs.
        difference: String,
    },
    /// A report to go on with that has no journal.
    #[error(
        "{} holds {} but no journal to go on from; give another folder, or --overwrite to \
         replace them",
        .report.display(),
        .names.join(", ")
    )]
    NoJournal {
        /// The report's folder.
        report: PathBuf,
        /// What it holds.
        names: Vec<String>,
    },
    /// A journal of something else.
    #[error("{}: of another command's results, which stay as they are; name another folder", .0.display())]
    ForeignJournal(PathBuf),
    /// A file to append warnings to that is no log.
    #[error("{}: holds something else than warnings and stays as it is; name another file", .0.display())]
    NoLog(PathBuf),
    /// Eyes asked for that are not there.
    #[error("no eye is called {}", .0.join(", "))]
    UnknownEyes(Vec<String>),
    /// The hub does not give a model.
    #[error("{name}: {}", causes(&**.source))]
    Hub {
        /// The model's name.
        name: String,
        /// Why not.
        source: Box<vascx_hub::Error>,
    },
    /// A condition on photographs' quality that cannot be read.
    #[error("{given}: give a column, a comparison and a number, such as p3>0.5")]
    Condition {
        /// What was given.
        given: String,
    },
    /// A condition on a column that no table has.
    #[error("no table has the column {column}; {}", .known)]
    NoColumn {
        /// The column.
        column: String,
        /// Which there are.
        known: String,
    },
    /// A scale that is no number.
    #[error("{given}: give a positive number of millimetres per pixel, or FILE.csv:COLUMN")]
    Scale {
        /// What was given.
        given: String,
    },
}

/// An error with all that caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Error {
    pub(crate) fn input(path: &Path, reason: impl Display) -> Self {
        Self::Input {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn output(path: &Path, reason: impl Display) -> Self {
        Self::Output {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}
