//! `hexkeep reload`

use http::Method;

use super::{CommandError, block_on, load, print};
use crate::admin::client::Daemon;
use crate::config::Source;
use crate::operations::Failure;
use crate::store::StoreLock;

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    if !StoreLock::is_held(&settings.storage.path) {
        let path = settings.storage.path.display();
        return Err(Failure(format!(
            "no daemon runs on the store in {path}; the next one reads the configuration when it starts. One that runs on \
             another store has to be restarted: storage.path cannot be changed by a reload"
        ))
        .into());
    }
    let daemon = Daemon::of(&settings.storage.path);
    let changes: Vec<String> = block_on(daemon.call(Method::POST, "/reload", &()))??;
    if changes.is_empty() {
        print("nothing has changed");
    }
    for change in changes {
        print(&change);
    }
    Ok(())
}
