//! The `vascx` command line, for the binary and for packages that bring it along.

use std::ffi::OsString;

use clap::Parser;

use crate::arguments::{Cli, Command, LogFormat};
use crate::terminal::{self, Kind};
use crate::{commands, signals};

/// All inputs done.
const SUCCESS: u8 = 0;
/// Some inputs failed, all others are done.
const SOME_FAILED: u8 = 1;
/// Nothing could run, or every input failed.
const NOTHING_RAN: u8 = 2;

/// Ensembles on a GPU learn of panics on its threads; exhausted memory is not printed, for it is handled.
fn notice_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !vascx::inference::notice_panic(panic) {
            print(panic);
        }
    }));
}

/// Runs the program on a command line, its own name first, to its exit code: 0 for success, 1 where some inputs
/// failed, 2 where nothing could run. It watches signals and has the process's threads for itself. A command
/// line that is wrong, or asks for help, ends the process with a message.
pub fn run(command_line: impl IntoIterator<Item = OsString>) -> u8 {
    signals::make_limits_errors();
    notice_panics();
    // Clap exits with 2 on bad arguments, which is our code for that as well.
    let cli = Cli::parse_from(command_line);
    if cli.log_format == LogFormat::Json {
        terminal::say_objects();
    }
    let prepared = commands::prepare(cli.threads);
    let result = prepared.and_then(|()| match cli.command {
        Command::Convert(arguments) => commands::convert::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Predict(arguments) => commands::predict::run(&arguments),
        Command::Preprocess(arguments) => commands::preprocess::run(&arguments),
        Command::Forward(arguments) => commands::forward::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Pull(arguments) => commands::pull::run(&arguments),
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::RunModels(arguments) => commands::run_models::run(&arguments),
        Command::Overlay(arguments) => commands::folders::overlay(&arguments),
        Command::Tables(arguments) => commands::folders::tables(&arguments),
        Command::Merge(arguments) => commands::folders::merge_parts(&arguments),
        Command::CalcBiomarkers(arguments) => commands::calc_biomarkers::run(&arguments),
        Command::WriteMapping(arguments) => commands::calc_biomarkers::write_mapping(&arguments),
        Command::WriteReadme(arguments) => commands::calc_biomarkers::write_readme(&arguments),
        Command::Devices => commands::devices::run(),
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Completions(arguments) => commands::packaging::completions(&arguments),
        Command::Man(arguments) => commands::packaging::man(&arguments),
    });
    let code = match result {
        Ok(commands::Done::All) => SUCCESS,
        Ok(commands::Done::Some) => SOME_FAILED,
        Ok(commands::Done::Nothing) => NOTHING_RAN,
        Err(error) => {
            terminal::end_bar();
            terminal::tell_all(Kind::Error, &error);
            if let Some(hint) = error.hint() {
                terminal::tell_all(Kind::Hint, hint);
            }
            if error.is_refusal() {
                SOME_FAILED
            } else {
                NOTHING_RAN
            }
        }
    };
    terminal::flush();
    code
}
