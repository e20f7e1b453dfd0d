//! Who has the store: a daemon, reached by its socket, or nobody, and then the command opens it.

use std::sync::Arc;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CommandError, block_on, load};
use crate::admin::client::Daemon;
use crate::app::{Core, Inputs, StartError};
use crate::config::Source;
use crate::config::settings::Settings;
use crate::operations::OperationError;
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

/// Asks the running daemon at `path` of its socket, or the store at rest by `at_rest`.
pub(super) fn ask<Q: Serialize, A: DeserializeOwned>(
    source: Source,
    path: &str,
    question: Q,
    at_rest: impl AsyncFnOnce(&Core, Q) -> Result<A, OperationError>,
) -> Result<A, CommandError> {
    ask_of(load(source)?.settings, path, question, at_rest)
}

/// The same, where the configuration was read before.
pub(super) fn ask_of<Q: Serialize, A: DeserializeOwned>(
    settings: Settings,
    path: &str,
    question: Q,
    at_rest: impl AsyncFnOnce(&Core, Q) -> Result<A, OperationError>,
) -> Result<A, CommandError> {
    block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => Ok(daemon.call(Method::POST, path, &question).await?),
            Access::AtRest(core) => {
                let answer = at_rest(&core, question).await;
                core.close().await;
                Ok::<_, CommandError>(answer?)
            }
        }
    })?
}
