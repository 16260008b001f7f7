//! The `vascx` command line.

mod arguments;
mod commands;
mod report;
mod signals;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Cli, Command, LogFormat};
use terminal::Kind;

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

fn main() -> ExitCode {
    signals::make_limits_errors();
    notice_panics();
    // Clap exits with 2 on bad arguments, which is our code for that as well.
    let cli = Cli::parse();
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
    code.into()
}
