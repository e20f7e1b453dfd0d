//! `hexkeep purge`

use super::store::request;
use super::{CommandError, print};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::purge::{Purge, PurgeReport};
use crate::state::audit::Actor;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the repository in the configuration
    #[arg(value_name = "REPO", required_unless_present = "installs")]
    repository: Option<String>,
    /// Remove only this package
    #[arg(value_name = "NAME")]
    package: Option<String>,
    /// Remove only this version
    #[arg(value_name = "VERSION", requires = "package")]
    version: Option<String>,
    /// Remove the cached installers of Hex, rebar3, Elixir and Erlang and their lists, instead of packages
    #[arg(long, conflicts_with = "repository")]
    installs: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let order = Purge { repository: args.repository, package: args.package, version: args.version };
    let purge = async |core: &Core, order| core.purge(order, Actor::console()).await;
    let report: PurgeReport = request(source, "/purge", order, purge)?;
    let removed = if args.installs {
        format!("{} installer lists and {} installers", report.lists, report.installers)
    } else {
        format!("{} registry resources, {} tarballs and {} docs", report.resources, report.tarballs, report.docs)
    };
    print(&format!("removed {removed}; they are downloaded again at the next request"))?;
    Ok(())
}
