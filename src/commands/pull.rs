//! `vascx pull`, and models that are given by their name on the Hugging Face hub.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use vascx_hub::{Hub, HubName};

use super::{Done, Failure, Result, print};
use crate::arguments::PullArguments;
use crate::terminal::says_objects;

pub(crate) fn run(arguments: &PullArguments) -> Result {
    for name in &arguments.names {
        let path = fetch(&name.parse().map_err(failure)?)?;
        print(path.display())?;
    }
    Ok(Done::All)
}

/// The file or folder that a `--model` means: a path as it is, a hub name fetched.
pub(super) fn locate(model: &Path) -> Result<PathBuf> {
    match model.to_str().filter(|model| HubName::is_meant_by(model)) {
        Some(name) => fetch(&name.parse().map_err(failure)?),
        None => Ok(model.to_owned()),
    }
}

fn fetch(name: &HubName) -> Result<PathBuf> {
    let bar = ProgressBar::hidden();
    if let Ok(style) = ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
    ) {
        bar.set_style(style);
    }
    bar.set_message(name.path().to_owned());
    let path = Hub::from_environment()
        .and_then(|hub| {
            hub.fetch(name, |progress| {
                // Shown only when there is something to download.
                if bar.is_hidden() && !says_objects() {
                    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                }
                bar.set_length(progress.total);
                bar.set_position(progress.received);
            })
        })
        .map_err(failure)?;
    bar.finish_and_clear();
    Ok(path)
}

fn failure(error: vascx_hub::Error) -> Failure {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Failure::Other(message)
}
