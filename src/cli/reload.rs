//! `hexkeep reload`

use http::Method;

use super::{CommandError, block_on, load, print};
use crate::admin::Failure;
use crate::admin::client::Daemon;
use crate::app::StartError;
use crate::config::Source;
use crate::store::{OpenError, StoreLock};

pub(super) fn run(source: Source) -> Result<(), CommandError> {
    let settings = load(source)?.settings;
    let daemon = match StoreLock::take(&settings.storage.path) {
        Err(OpenError::InUse(path)) => Daemon::of(&path),
        Ok(_) => {
            return Err(Failure("no daemon runs on this store; the next one reads the configuration".to_owned()).into());
        }
        Err(error) => return Err(StartError::Store(error).into()),
    };
    let changes: Vec<String> = block_on(daemon.call(Method::POST, "/reload", &()))??;
    if changes.is_empty() {
        print("nothing has changed");
    }
    for change in changes {
        print(&change);
    }
    Ok(())
}
