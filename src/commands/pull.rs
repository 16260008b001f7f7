//! `vascx pull`, and models that are given by their name on the Hugging Face hub.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use vascx_hub::{HubName, Progress};

use super::{Done, Failure, Result, print};
use crate::arguments::PullArguments;
use crate::terminal::says_objects;

pub(crate) fn run(arguments: &PullArguments) -> Result {
    for name in &arguments.names {
        name.parse::<HubName>()
            .map_err(|error| Failure::Other(error.to_string()))?;
        let path = locate(Path::new(name))?;
        print(path.display())?;
    }
    Ok(Done::All)
}

/// The file or folder that a `--model` means: a path as it is, a hub name fetched.
pub(super) fn locate(model: &Path) -> Result<PathBuf> {
    // That there is no such file is said when it is opened.
    match model.to_str().filter(|model| HubName::is_meant_by(model)) {
        Some(_) => fetched(|progress| vascx::pipeline::locate(model, progress)),
        None => Ok(model.to_owned()),
    }
}

/// Does what may fetch files, with a progress bar for those that are downloaded.
pub(super) fn fetched<T>(
    work: impl FnOnce(&mut dyn FnMut(&str, Progress)) -> vascx::pipeline::Result<T>,
) -> Result<T> {
    let bar = ProgressBar::hidden();
    if let Ok(style) = ProgressStyle::with_template(
        "{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
    ) {
        bar.set_style(style);
    }
    let done = work(&mut |name, progress| {
        // Shown only when there is something to download.
        if bar.is_hidden() && !says_objects() {
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        bar.set_message(name.to_owned());
        bar.set_length(progress.total);
        bar.set_position(progress.received);
    })?;
    bar.finish_and_clear();
    Ok(done)
}
