//! Orders to whoever has the store.

use super::store::ask;
use super::{CommandError, tell};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::commands::Command;
use crate::operations::outcome::Outcome;
use crate::state::audit::By;

/// Gives an order to the running daemon, or carries it out on the store at rest, and prints what came of it.
pub(super) fn give(command: impl Into<Command>, source: Source) -> Result<(), CommandError> {
    let administer = async |core: &Core, command| core.administer(command, By::console()).await;
    let outcome: Outcome = ask(source, "/administer", command.into(), administer)?;
    tell(&outcome.text())
}
