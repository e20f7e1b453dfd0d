//! The doorbell: arguments in, exit code out.

use std::process::ExitCode;

use clap::Parser as _;
use hexkeep::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
