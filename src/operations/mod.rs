//! Administrative operations on an open store: short commands and long jobs, in the daemon or in a command.
//!
//! [`Operations`] is the interface for the terminal, the administration socket and the API. [`operator::Operator`]
//! executes it with a [`setup::Setup`], which the room `app` builds from the configuration.

mod account_refusals;
mod audit;
mod backup;
mod bundle;
mod client_setup;
pub mod commands;
mod error;
mod explain;
mod fetches;
mod grants;
mod import;
mod job_exclusion;
pub mod jobs;
mod keys;
pub mod locked_releases;
mod mirror;
pub mod operator;
mod organizations;
mod orphans;
pub mod outcome;
mod pins;
mod policies;
mod prefetch;
pub mod public_keys;
pub mod purge;
mod releases;
mod schedule;
pub mod setup;
pub mod signing_keys;
mod space;
mod summary;
mod users;
mod verify_store;
mod waivers;

use std::fmt;

use futures_util::future::BoxFuture;

pub use self::backup::restore;
use self::commands::Command;
pub use self::error::{Blame, OperationError, Refusal};
use self::jobs::Job;
use self::outcome::CommandOutcome;
use self::public_keys::Key;
use self::purge::{Purge, PurgeReport};
use crate::state::audit::Actor;
use crate::tasks::report::Reporter;
pub use crate::tasks::report::sentence;

/// The operations on an open store.
pub trait Operations: Send + Sync + fmt::Debug {
    /// Removes entries from the cache.
    fn purge(&self, purge: Purge, by: Actor) -> BoxFuture<'_, Result<PurgeReport, OperationError>>;
    /// The public keys of a repository, the one that signs first.
    fn public_keys(&self, repository: String) -> BoxFuture<'_, Result<Vec<Key>, OperationError>>;
    /// Runs a job and reports its progress. If the future is dropped, the job stops at the next safe point.
    fn work(&self, job: Job, report: Reporter) -> BoxFuture<'_, Result<CommandOutcome, OperationError>>;
    /// Runs a command.
    fn administer(&self, command: Command, by: Actor) -> BoxFuture<'_, Result<CommandOutcome, OperationError>>;
    /// The effective configuration as YAML, secrets redacted.
    fn show_config(&self) -> BoxFuture<'_, Result<String, OperationError>>;
    /// Reloads the configuration. Returns the changes, or the reason why the old one stays active.
    fn reload(&self) -> BoxFuture<'_, Result<Vec<String>, OperationError>>;
}
