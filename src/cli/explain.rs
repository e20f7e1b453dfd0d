//! `hexkeep explain`

use super::CommandError;
use super::order::give;
use crate::config::Source;
use crate::operations::commands::InspectCommand;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// The package
    #[arg(value_name = "NAME")]
    package: String,
    /// One version of it; without, all of it is explained
    version: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let Args { repository, package, version, json } = args;
    give(InspectCommand::Explain { repository, package, version, json }, source)
}
