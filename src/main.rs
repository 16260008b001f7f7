//! The `vascx` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    vascx::program::run(std::env::args_os()).into()
}
