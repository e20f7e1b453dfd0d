//! Access to a store: through the socket of a running daemon, or else by opening the store in this process.

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

/// How a command reaches the store.
pub(super) enum Access {
    /// Through the daemon that has the store open.
    Running(Daemon),
    /// Directly: this process has opened the store.
    Direct(Arc<Core>),
}

/// Opens the store of `settings`, or connects to the daemon that has it open.
pub(super) async fn access(settings: Settings) -> Result<Access, CommandError> {
    match StoreLock::take(&settings.storage.path) {
        Ok(lock) => Ok(Access::Direct(Core::open(settings, lock, Inputs::default()).await?)),
        Err(OpenError::InUse(path)) => Ok(Access::Running(Daemon::of(&path))),
        Err(error) => Err(StartError::Store(error).into()),
    }
}

/// Sends `question` to `path` on the socket of the running daemon; without a daemon, runs `at_rest` on the store.
pub(super) fn request<Q: Serialize, A: DeserializeOwned>(
    source: Source,
    path: &str,
    question: Q,
    at_rest: impl AsyncFnOnce(&Core, Q) -> Result<A, OperationError>,
) -> Result<A, CommandError> {
    request_with_settings(load(source)?.settings, path, question, at_rest)
}

/// Does the same as [`request`] with settings that are already loaded.
pub(super) fn request_with_settings<Q: Serialize, A: DeserializeOwned>(
    settings: Settings,
    path: &str,
    question: Q,
    at_rest: impl AsyncFnOnce(&Core, Q) -> Result<A, OperationError>,
) -> Result<A, CommandError> {
    block_on(async {
        match access(settings).await? {
            Access::Running(daemon) => Ok(daemon.call(Method::POST, path, &question).await?),
            Access::Direct(core) => {
                let answer = at_rest(&core, question).await;
                core.close().await;
                Ok::<_, CommandError>(answer?)
            }
        }
    })?
}
