//! What an administrator reaches: a unix socket in the storage path, and the ops listener. May import ground, what `tasks`
//! report, `shutdown`, and of `state` who does something; what it commands is behind [`Operations`], which the composition
//! root implements.

pub mod client;
pub mod commands;
pub mod locked;
pub mod ops;
pub mod protocol;
pub mod server;

use std::fmt;

use futures_util::future::BoxFuture;

use self::commands::{Command, Outcome};
use self::protocol::{Job, Key, Purge, PurgeReport};
use crate::state::audit::By;
use crate::tasks::report::Reporter;

/// What can be asked of a store, whether a daemon has it open or a command does.
pub trait Operations: Send + Sync + fmt::Debug {
    /// Forgets cached entries.
    fn purge(&self, purge: Purge, by: By) -> BoxFuture<'_, Result<PurgeReport, Failure>>;
    /// The public keys of a repository, the one that signs first.
    fn public_keys(&self, repository: String) -> BoxFuture<'_, Result<Vec<Key>, Failure>>;
    /// Does work that takes a while, and tells of it on the way. Dropped, it stops where it can.
    fn work(&self, job: Job, report: Reporter) -> BoxFuture<'_, Result<Outcome, Failure>>;
    /// Carries out an order about accounts or local repositories.
    fn administer(&self, command: Command, by: By) -> BoxFuture<'_, Result<Outcome, Failure>>;
    /// The effective configuration as YAML, secrets redacted.
    fn show_config(&self) -> BoxFuture<'_, Result<String, Failure>>;
    /// Reads the configuration again; what changed, or why nothing did.
    fn reload(&self) -> BoxFuture<'_, Result<Vec<String>, Failure>>;
}

/// Why an operation was not done: a sentence for the administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    /// The whole chain of causes in one line.
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        Self(text)
    }
}
