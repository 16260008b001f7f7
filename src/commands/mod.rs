//! One module per command.

pub(crate) mod bench;
pub(crate) mod calc_biomarkers;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod folders;
pub(crate) mod forward;
pub(crate) mod inspect;
mod layers;
mod names;
pub(crate) mod packaging;
pub(crate) mod predict;
pub(crate) mod preprocess;
pub(crate) mod pull;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod run_models;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use vascx::inference::{Device, Summary, Warnings, keep_autotune};
use vascx::pipeline::cache_folder;

use crate::arguments::KernelArguments;
use crate::terminal::{Kind, tell};

/// The commit that this program was built from; empty where that is not known.
pub(crate) const BUILD: &str = env!("VASCX_BUILD");

/// What to do about folders that were not looked into.
pub(crate) const SUBFOLDERS: &str = "--recursive takes the photographs of subfolders, too";

/// How far a command got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Everything.
    All,
    /// Some inputs failed, as the manifest says, or were not begun.
    Some,
    /// Every input failed.
    Nothing,
}

impl From<&Summary> for Done {
    fn from(summary: &Summary) -> Self {
        if summary.failed == 0 && summary.left == 0 {
            Self::All
        } else if summary.succeeded == 0 && summary.left == 0 {
            Self::Nothing
        } else {
            Self::Some
        }
    }
}

/// Why a command could not run; printed as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Convert(#[from] vascx::convert::Error),
    #[error(transparent)]
    Format(#[from] vascx::format::Error),
    #[error(transparent)]
    Inference(#[from] vascx::inference::Error),
    #[error(transparent)]
    Pipeline(#[from] vascx::pipeline::Error),
    /// Of a command that takes the place of retinalysis-vascx's.
    #[error(transparent)]
    Biomarkers(vascx::pipeline::Error),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// What the user can type against it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Pipeline(vascx::pipeline::Error::Unwritten(error)) | Self::Inference(error) => {
                Self::hint_of(error)
            }
            _ => None,
        }
    }

    fn hint_of(error: &vascx::inference::Error) -> Option<&'static str> {
        use vascx::inference::Error;
        match error {
            Error::Occupied(_) => Some("--overwrite replaces what is there"),
            Error::OtherJob { .. } => Some(
                "--overwrite replaces them; --resume keeps those of the same model and settings, \
                 and adds to them",
            ),
            Error::DuplicateId { .. } => {
                Some("--ids name or --ids path takes more of their paths for ids")
            }
            Error::Device(_) => {
                Some("vascx devices lists what there is; --device cpu is always there")
            }
            Error::Precision(_) => Some("--dtype f32"),
            Error::Pass { .. } => Some("--batch-size and --window-batch-size choose fewer"),
            Error::Channels { .. } => Some("vascx forward takes tensors"),
            Error::EmptyFolder { left_out, .. } if left_out.folders > 0 => Some(SUBFOLDERS),
            Error::Stopped { .. } => Some("the same command with --resume goes on from there"),
            _ => None,
        }
    }

    /// Whether the exit code is 1, as that of the program whose command line this one has.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Biomarkers(_))
    }

    /// A problem with a file.
    fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Other(format!("{}: {reason}", path.display()))
    }
}

/// What a command or a part of it comes to.
pub(crate) type Result<T = Done> = std::result::Result<T, Failure>;

/// What all commands need: instructions that exist, and threads. Threads wait for each other awake, so
/// that more of them than processors would only be in each other's way.
pub(crate) fn prepare(threads: Option<usize>) -> Result<()> {
    vascx::models::check_instruction_set().map_err(Failure::Other)?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let asked = threads.or_else(|| std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok());
    // 0 asks rayon for its default.
    let threads = asked.filter(|&threads| threads > 0).unwrap_or(processors);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.min(processors));
    let built = pool.build_global();
    built.map_err(|error| Failure::Other(format!("cannot start threads: {error}")))
}

/// Prints a line. A reader that has seen enough, such as `head`, is no failure.
pub(crate) fn print(line: impl std::fmt::Display) -> Result<()> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// The same for a whole text.
pub(crate) fn print_bytes(text: &[u8]) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints what a command that has written its results to files says at its end. That it cannot be
/// printed changes nothing about them.
pub(crate) fn print_result(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Warnings of a job, on standard error.
fn warnings() -> Warnings {
    Warnings::to(|warning| tell(Kind::Warning, warning))
}

/// The files that a model is read from.
fn model_files(model: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(model).into_iter().flatten();
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.chain([model.to_owned()]).collect()
}

/// Keeps a GPU's kernels where the user says, else where programs keep such things. The latter is a
/// convenience: if it fails, kernels are compiled every time.
fn keep_kernels(arguments: &KernelArguments, device: Device) -> Result<()> {
    if let Some(folder) = &arguments.autotune_cache {
        keep_autotune(folder)?;
    } else if device.is_gpu()
        && let Some(cache) = cache_folder()
    {
        let _ = keep_autotune(&cache);
    }
    Ok(())
}
