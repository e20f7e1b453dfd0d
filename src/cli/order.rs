//! Orders to whoever has the store.

use http::Method;

use super::store::{Access, access};
use super::{CommandError, block_on, load, tell};
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::commands::Command;
use crate::operations::outcome::Outcome;
use crate::state::audit::By;

/// Gives an order to the running daemon, or carries it out on the store at rest, and prints what came of it.
pub(super) fn give(command: impl Into<Command>, source: Source) -> Result<(), CommandError> {
    let (command, settings) = (command.into(), load(source)?.settings);
    let outcome: Outcome = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => Ok(daemon.call(Method::POST, "/administer", &command).await?),
            Access::AtRest(core) => {
                let outcome = core.administer(command, By::console()).await;
                core.close().await;
                Ok::<_, CommandError>(outcome?)
            }
        }
    })??;
    tell(&outcome.text())
}
