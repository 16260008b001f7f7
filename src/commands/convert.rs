//! `vascx convert`: checkpoint → model directory.

use std::path::Path;

use vascx::convert::{ArchitectureChoice, ConvertOptions, Model, Verification, discard_unfinished};
use vascx::models::Precision;

use super::pull::locate;
use super::{Done, Failure, Result, print_result};
use crate::arguments::ConvertArguments;
use crate::signals::at_interrupt;
use crate::terminal::{Kind, tell};

pub(crate) fn run(arguments: &ConvertArguments) -> Result {
    let options = ConvertOptions {
        task: arguments.task,
        names: arguments.names.clone(),
        architecture: arguments.arch.as_deref().map(architecture).transpose()?,
        config: arguments.config.as_deref().map(read).transpose()?,
        key: arguments.key.clone(),
    };
    let dtype = arguments.dtype;
    at_interrupt(discard_unfinished)?;
    let checkpoints = arguments.checkpoints.iter().map(|path| locate(path));
    let checkpoints = checkpoints.collect::<Result<Vec<_>>>()?;
    let model = Model::convert_ensemble(&checkpoints, &options)?;
    model.save(&arguments.out, dtype, arguments.force)?;
    for note in model.notes().iter().chain(&model.manifest().notice) {
        tell(Kind::Note, note);
    }
    if !arguments.quiet {
        let manifest = model.manifest();
        print_result(format_args!(
            "{}: {}, {} of {} members → {}",
            manifest.source.file,
            manifest.task.name(),
            manifest.architecture.family(),
            manifest.members,
            arguments.out.display()
        ));
    }
    if arguments.verify {
        let verification = model.verify(&arguments.out, dtype)?;
        if !arguments.quiet {
            report(&verification, dtype);
        }
    }
    Ok(Done::All)
}

fn report(verification: &Verification, dtype: Precision) {
    let Verification {
        tensors,
        values,
        image,
        difference,
        rounding,
    } = verification;
    print_result(format_args!(
        "verified: {tensors} tensors of {values} values equal to the checkpoint's rounded to {}; \
         answers to a random image {image:?} differ by {difference:.1e} of the largest, by \
         {rounding:.1e} from those without rounding",
        dtype.name()
    ));
}

/// A name, or the content of a `.json` file.
fn architecture(argument: &str) -> Result<ArchitectureChoice> {
    let path = Path::new(argument);
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(ArchitectureChoice::Named(argument.to_owned()));
    }
    let architecture = serde_json::from_str(&read(path)?);
    let architecture = architecture.map_err(|error| Failure::file(path, error))?;
    Ok(ArchitectureChoice::Exactly(Box::new(architecture)))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))
}
