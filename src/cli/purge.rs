//! `hexkeep purge`

use http::Method;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print};
use crate::admin::Operations as _;
use crate::admin::protocol::{Purge, PurgeReport};
use crate::config::Source;
use crate::state::audit::By;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Key of the repository
    #[arg(value_name = "REPO")]
    repository: String,
    /// Only this package
    #[arg(value_name = "NAME")]
    package: Option<String>,
    /// Only this version of it
    #[arg(value_name = "VERSION", requires = "package")]
    version: Option<String>,
}

pub(super) fn run(args: Args, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let purge = Purge { repository: args.repository, package: args.package, version: args.version };
    let report: PurgeReport = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.call(Method::POST, "/purge", &purge).await,
            Access::AtRest(core) => {
                let report = core.purge(purge, By::console()).await;
                core.close().await;
                report
            }
        }
        .map_err(CommandError::Failure)
    })??;
    print(&format!(
        "removed {} registry resources, {} tarballs and {} docs; they are fetched again when they are wanted",
        report.resources, report.tarballs, report.docs
    ));
    Ok(())
}
