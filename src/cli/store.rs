//! Who has the store: a daemon, reached by its socket, or nobody, and then the command opens it.

use std::sync::Arc;

use super::CommandError;
use crate::admin::client::Daemon;
use crate::app::{Core, Inputs, StartError};
use crate::config::settings::Settings;
use crate::store::{OpenError, StoreLock};

/// The way to a store.
pub(super) enum Access {
    /// A daemon has it.
    Running(Daemon),
    /// This process has it.
    AtRest(Arc<Core>),
}

/// Finds the way to the store of `settings`.
pub(super) async fn access(settings: Settings) -> Result<Access, CommandError> {
    match StoreLock::take(&settings.storage.path) {
        Ok(lock) => Ok(Access::AtRest(Core::open(settings, lock, Inputs::default()).await?)),
        Err(OpenError::InUse(path)) => Ok(Access::Running(Daemon::of(&path))),
        Err(error) => Err(StartError::Store(error).into()),
    }
}
