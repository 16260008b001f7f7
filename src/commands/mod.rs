//! One module per command.

pub(crate) mod bench;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod forward;
pub(crate) mod inspect;
mod layers;
pub(crate) mod predict;
pub(crate) mod preprocess;
pub(crate) mod pull;
pub(crate) mod report;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use vascx::inference::{Device, Summary, keep_autotune};

use crate::arguments::KernelArguments;

/// How far a command got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Everything.
    All,
    /// Some inputs failed, as the manifest says, or were not begun.
    Some,
}

impl From<Summary> for Done {
    fn from(summary: Summary) -> Self {
        if summary.failed == 0 && summary.left == 0 {
            Self::All
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
    Inference(#[from] vascx::inference::Error),
    #[error(transparent)]
    Pipeline(#[from] vascx::pipeline::Error),
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// A problem with a file.
    fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Other(format!("{}: {reason}", path.display()))
    }
}

/// What a command or a part of it comes to.
pub(crate) type Result<T = Done> = std::result::Result<T, Failure>;

/// Prints a line. A reader that has seen enough, such as `head`, is no failure.
pub(crate) fn print(line: impl std::fmt::Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("cannot print: {error}")))
        }
        _ => Ok(()),
    }
}

/// Keeps a GPU's kernels where the user says, else where programs keep such things. The latter is a
/// convenience: if it fails, kernels are compiled every time.
fn keep_kernels(arguments: &KernelArguments, device: Device) -> Result<()> {
    if let Some(folder) = &arguments.autotune_cache {
        keep_autotune(folder)?;
    } else if device.is_gpu() {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME")
            .or_else(|| variable("LOCALAPPDATA"))
            .or_else(|| Some(std::env::home_dir()?.join(".cache")));
        if let Some(cache) = cache {
            let _ = keep_autotune(&cache.join("vascx"));
        }
    }
    Ok(())
}

/// True once the user has asked to stop (^C or a termination signal): what is begun is finished,
/// the rest is left. A second request stops at once.
pub(crate) fn interrupt() -> Result<&'static AtomicBool> {
    static INTERRUPT: AtomicBool = AtomicBool::new(false);
    static HANDLER: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let installed = HANDLER.get_or_init(|| {
        ctrlc::set_handler(|| {
            if INTERRUPT.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("stopping after what is begun; once more to stop at once");
        })
        .map_err(|error| error.to_string())
    });
    match installed {
        Ok(()) => Ok(&INTERRUPT),
        Err(reason) => Err(Failure::Other(format!("cannot watch for ^C: {reason}"))),
    }
}
