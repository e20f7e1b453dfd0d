//! `hexkeep client-setup`

use super::CommandError;
use super::order::run_command;
use crate::choice::Choice as _;
use crate::client_setup::{Client, Role};
use crate::config::Source;
use crate::operations::commands::InspectCommand;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The client
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Client::words()))]
    client: String,
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO")]
    repository: String,
    /// Name of the account that the client uses
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Who uses the client: a developer logs in, CI has a key
    #[arg(long, default_value = Role::Developer.word(), value_parser = clap::builder::PossibleValuesParser::new(Role::words()))]
    role: String,
    /// Version of the client, such as 2.4
    #[arg(long, value_name = "VERSION")]
    client_version: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let Args { client, repository, user, role, client_version, json } = args;
    run_command(
        InspectCommand::ClientSetup { client, repository, user, role: Some(role), client_version, json },
        source,
    )
}
