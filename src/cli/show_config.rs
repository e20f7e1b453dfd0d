//! `hexkeep show-config`

use http::Method;

use super::{CommandError, TerminalError, block_on, load, print};
use crate::admin::client::Daemon;
use crate::config::{Source, show};
use crate::store::StoreLock;

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let text = if StoreLock::is_held(&settings.storage.path) {
        let daemon = Daemon::of(&settings.storage.path);
        block_on(daemon.call::<String>(Method::GET, "/config", &()))??
    } else {
        show(&settings).map_err(|error| TerminalError::Show(error.into()))?
    };
    print(&text)?;
    Ok(())
}
