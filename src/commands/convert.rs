//! `vascx convert`: checkpoint → model directory.

use vascx::convert::{ConvertOptions, Model};

use super::{Done, Result};
use crate::arguments::ConvertArguments;

pub(crate) fn run(arguments: &ConvertArguments) -> Result {
    let options = ConvertOptions {
        task: arguments.task.map(Into::into),
        names: arguments.names.clone(),
    };
    let model = Model::convert(&arguments.checkpoint, &options)?;
    model.save(&arguments.out, arguments.dtype.into(), arguments.force)?;
    for note in model.notes() {
        eprintln!("note: {note}");
    }
    if !arguments.quiet {
        let manifest = model.manifest();
        println!(
            "{}: {}, {} of {} members → {}",
            arguments.checkpoint.display(),
            manifest.task.name(),
            manifest.architecture.family(),
            manifest.members,
            arguments.out.display()
        );
    }
    Ok(Done::All)
}
