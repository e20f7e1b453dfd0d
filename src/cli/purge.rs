//! `hexkeep purge`

use super::store::ask;
use super::{CommandError, print};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::purge::{Purge, PurgeReport};
use crate::state::audit::Actor;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the repository
    #[arg(value_name = "REPO", required_unless_present = "installs")]
    repository: Option<String>,
    /// Only this package
    #[arg(value_name = "NAME")]
    package: Option<String>,
    /// Only this version of it
    #[arg(value_name = "VERSION", requires = "package")]
    version: Option<String>,
    /// Instead of a repository, the installers: their lists and all files that lists have named
    #[arg(long, conflicts_with = "repository")]
    installs: bool,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let order = Purge { repository: args.repository, package: args.package, version: args.version };
    let purge = async |core: &Core, order| core.purge(order, Actor::console()).await;
    let report: PurgeReport = ask(source, "/purge", order, purge)?;
    let removed = if args.installs {
        format!("{} lists and {} files of installers", report.lists, report.installers)
    } else {
        format!("{} registry resources, {} tarballs and {} docs", report.resources, report.tarballs, report.docs)
    };
    print(&format!("removed {removed}; they are fetched again when they are wanted"));
    Ok(())
}
