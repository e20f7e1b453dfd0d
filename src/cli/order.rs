//! Runs short operations, in the daemon or on the store directly.

use super::store::request_with_settings;
use super::{CommandError, TerminalError, load, print_outcome};
use crate::app::Core;
use crate::config::Source;
use crate::operations::Operations as _;
use crate::operations::commands::Command;
use crate::operations::outcome::CommandOutcome;
use crate::state::audit::Actor;
use crate::store::StoreLock;

/// Runs `command` in the daemon if one is running, otherwise on the store directly, and prints the result.
pub(super) fn run_command(command: impl Into<Command>, source: Source) -> Result<(), CommandError> {
    let (command, settings) = (command.into(), load(source)?.settings);
    let path = &settings.storage.path;
    if command.reads_only_the_store() && !StoreLock::is_there(path) {
        return Err(TerminalError::NoStore(path.clone()).into());
    }
    let administer = async |core: &Core, command| core.administer(command, Actor::console()).await;
    let outcome: CommandOutcome = request_with_settings(settings, "/administer", command, administer)?;
    print_outcome(&outcome.text())
}
