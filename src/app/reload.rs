//! Reloads the configuration: reads it again, and replaces the parts that are built from it.

use std::sync::Arc;

use super::accounts;
use super::build::BuildContext;
use super::changes::{changes, log_enforced};
use super::configured::{configure, fetch_log};
use super::core::{Core, level};
use super::error::StartError;
use crate::config::{ConfigError, unreloadable_changes};
use crate::operations::sentence;
use crate::shutdown::{self, TaskError};
use crate::telemetry::metrics::ReasonLabels;

/// Why a reload failed. The old configuration stays active.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The process has no source for its configuration.
    #[error("this process has no configuration file to reload")]
    NoConfiguration,
    /// The new configuration is invalid.
    #[error("{0}")]
    Config(ConfigError),
    /// The new configuration changes keys that need a restart.
    #[error("these keys cannot be changed by a reload; restart hexkeep to change them: {}", .0.join(", "))]
    Fixed(Vec<&'static str>),
    /// A part of the program cannot be built from the new configuration.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Core {
    /// Reloads the configuration, and counts and logs the result. Returns the changes, or the reason of the failure.
    pub(super) async fn reread(&self) -> Result<Vec<String>, ReloadError> {
        let outcome = self.try_reload().await;
        let reason = if outcome.is_ok() { "taken" } else { "refused" };
        let metrics = &self.shared.metrics;
        metrics.reloads.get_or_create(&ReasonLabels { repository: "-".into(), reason }).inc();
        metrics.config_current.set(if outcome.is_ok() { 1.0 } else { 0.0 });
        match &outcome {
            Ok(changes) if changes.is_empty() => {
                tracing::info!("configuration reloaded: nothing has changed")
            }
            Ok(changes) => tracing::info!(changes = changes.join("; "), "configuration reloaded"),
            Err(error) => {
                let failure = sentence(error);
                tracing::error!(%failure, "reload failed: the old configuration stays active")
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<Vec<String>, ReloadError> {
        let _one = self.reloading.lock().await;
        let reread = self.inputs.reread.clone();
        let reread = reread.ok_or(ReloadError::NoConfiguration)?;
        let settings = shutdown::blocking(move || reread()).await?;
        let settings = settings.map_err(ReloadError::Config)?;
        let before = self.configured.load_full();
        let fixed = unreloadable_changes(&before.settings, &settings);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        let (shared, state) = (self.shared.clone(), self.state.clone());
        let (directory, told) = (Arc::clone(&self.directory), Arc::clone(&self.changes));
        let (log, together) = (Arc::clone(&self.fetch_log), Arc::clone(&self.together));
        let ground = BuildContext {
            shared,
            state,
            directory,
            changes: told,
            fetch_log: log,
            together,
            asked: self.asked.clone(),
        };
        let after = configure(settings, ground, self.secret.clone(), Some(Arc::clone(&before))).await?;
        let live = self.live_by(&after)?;
        if let Some(on_reload) = &*self.on_reload.lock() {
            (on_reload.0)(live, &after.settings)?;
        }
        let (store, limit) = (Arc::clone(&self.shared.store), after.settings.storage.cache_limit);
        if limit != before.settings.storage.cache_limit {
            let _ = shutdown::blocking(move || store.set_limit(limit.as_limit())).await;
        }
        if let Some(logging) = &self.inputs.logging {
            logging.set_level(level(after.settings.log.level));
        }
        self.fetch_log.set(fetch_log(&after.settings.fetch_log));
        let changes = changes(&before, &after);
        log_enforced(&before, &after);
        after.introduce(&self.directory);
        self.operator.replace_setup(after.setup(self.public_url_by(&after.settings)));
        self.configured.store(Arc::new(after));
        accounts::warn_about_name_conflicts(&self.accounts(), &self.repositories()).await;
        Ok(changes)
    }
}
