//! What administrators have done: orders and works, carried out on an open store, whether a daemon has it or a command
//! does.
//!
//! [`Operations`] is what the terminal, the administration socket and the API call. [`operator::Operator`] carries it out, by
//! what the composition root has made of the configuration: [`setup::Setup`].

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

/// What can be asked of a store, whether a daemon has it open or a command does.
pub trait Operations: Send + Sync + fmt::Debug {
    /// Forgets cached entries.
    fn purge(&self, purge: Purge, by: Actor) -> BoxFuture<'_, Result<PurgeReport, OperationError>>;
    /// The public keys of a repository, the one that signs first.
    fn public_keys(&self, repository: String) -> BoxFuture<'_, Result<Vec<Key>, OperationError>>;
    /// Does work that takes a while, and tells of it on the way. Dropped, it stops where it can.
    fn work(&self, job: Job, report: Reporter) -> BoxFuture<'_, Result<CommandOutcome, OperationError>>;
    /// Carries out an order about accounts or local repositories.
    fn administer(&self, command: Command, by: Actor) -> BoxFuture<'_, Result<CommandOutcome, OperationError>>;
    /// The effective configuration as YAML, secrets redacted.
    fn show_config(&self) -> BoxFuture<'_, Result<String, OperationError>>;
    /// Reads the configuration again; what changed, or why nothing did.
    fn reload(&self) -> BoxFuture<'_, Result<Vec<String>, OperationError>>;
}
