//! Repositories: what is asked for, answered by their rules.
//!
//! The edge finds a repository in a [`Catalog`] by the base of the request, gets a grant from its access rules, and
//! asks. What comes back carries the story of the cache with it.

pub mod catalog;
pub mod changes;
pub mod composite;
pub mod delivery;
pub mod describe;
mod directory;
pub mod enforcer;
pub mod error;
pub mod fetch_log;
mod handle;
mod hidden_releases;
mod identity;
pub mod installs;
mod key_ring;
mod last_made;
mod ledger_gate;
pub mod local;
pub mod prefetch_queue;
pub mod private_text;
pub mod remote;
pub mod sealer;

pub use catalog::Catalog;
pub use changes::Changes;
pub use composite::VirtualRepository;
pub use delivery::{
    Condition, Delivered, DeliveryAnswer, DeliveryExtent, DeliveryOrder, DeliveryReceipt, Purpose, ReleaseFile,
};
pub use describe::{PackageView, Reading, ReleaseView};
pub use directory::Directory;
pub use error::RepoError;
pub use fetch_log::FetchLog;
pub use handle::Repository;
pub use hidden_releases::RegistryAnswer;
pub use identity::{Identity, NameRules};
pub use installs::Installs;
pub use key_ring::{KeyRing, RingKey};
pub use local::LocalRepository;
pub use remote::RemoteRepository;

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

pub use crate::cache::reader::{Artifact, BodyError, FillReader, StoredReader};
pub use crate::cache::ready_resource::SignedBy;
pub use crate::cache::status::StaleReason;
pub use crate::cache::{CacheStatus, Served};

/// What a request brings along.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// When the first byte of the answer is due.
    pub deadline: Instant,
    /// Where it comes from.
    pub client: Option<IpAddr>,
}

/// How long others may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLifetime {
    /// This long, then ask again.
    For(Duration),
    /// Not without asking.
    Revalidate,
    /// It never changes.
    Immutable,
}
