//! The program: parses the arguments, runs the command and returns its exit code.

use std::process::ExitCode;

use hexkeep::cli::Cli;

fn main() -> ExitCode {
    Cli::main()
}
