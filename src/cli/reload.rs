//! `hexkeep reload`

use http::Method;

use super::{CommandError, TerminalError, block_on, load, print};
use crate::admin::client::Daemon;
use crate::config::Source;
use crate::store::StoreLock;

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    if !StoreLock::is_held(&settings.storage.path) {
        return Err(TerminalError::NoDaemon(settings.storage.path).into());
    }
    let daemon = Daemon::of(&settings.storage.path);
    let changes: Vec<String> = block_on(daemon.call(Method::POST, "/reload", &()))??;
    if changes.is_empty() {
        print("the configuration has not changed")?;
    }
    for change in changes {
        print(&change)?;
    }
    Ok(())
}
