//! `hexkeep explain`

use super::CommandError;
use super::order::run_command;
use crate::config::Source;
use crate::operations::commands::InspectCommand;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Name of the package
    #[arg(value_name = "NAME")]
    package: String,
    /// Explain only this version; without it, all versions
    version: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let Args { repository, package, version, json } = args;
    run_command(InspectCommand::Explain { repository, package, version, json }, source)
}
