//! `vascx completions` and `vascx man`: what packagers install beside the program.

use clap::CommandFactory;
use clap_mangen::Man;

use super::{Done, Failure, Result, print_bytes};
use crate::arguments::{Cli, CompletionsArguments, ManArguments};

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "vascx", &mut script);
    print_bytes(&script)?;
    Ok(Done::All)
}

pub(crate) fn man(arguments: &ManArguments) -> Result {
    let mut program = Cli::command();
    // Names the commands' pages after the program.
    program.build();
    let described = match &arguments.command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::Other(format!("there is no command `{name}`; see `vascx help`"))
        })?,
    };
    let mut page = Vec::new();
    let rendered = Man::new(described).render(&mut page);
    rendered.map_err(|error| Failure::Other(error.to_string()))?;
    print_bytes(&page)?;
    Ok(Done::All)
}
