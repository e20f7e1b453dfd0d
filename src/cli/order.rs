//! Orders to whoever has the store.

use http::Method;

use super::store::{Access, access};
use super::{CommandError, block_on, load, print, say};
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::commands::{Command, Outcome};
use crate::state::audit::By;

/// Gives an order to the running daemon, or carries it out on the store at rest, and prints what came of it.
pub(super) fn give(command: Command, source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let outcome: Outcome = block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => daemon.call(Method::POST, "/administer", &command).await,
            Access::AtRest(core) => {
                let outcome = core.administer(command, By::console()).await;
                core.close().await;
                outcome
            }
        }
        .map_err(CommandError::Failure)
    })??;
    for line in &outcome.lines {
        print(line);
    }
    for remark in &outcome.remarks {
        say(remark);
    }
    if outcome.failed { Err(CommandError::Said) } else { Ok(()) }
}
