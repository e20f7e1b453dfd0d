//! Repositories: they answer requests for registry resources and files by their rules.
//!
//! The HTTP layer finds a repository in a [`Catalog`] by the base of the request, gets a grant from its access rules,
//! and requests the content. The answer includes the cache status.

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
mod last_resource;
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

/// The context of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// When the first byte of the answer has to be sent.
    pub deadline: Instant,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// How long clients may cache an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLifetime {
    /// For this time; then they have to ask again.
    For(Duration),
    /// They have to ask each time whether it has changed.
    Revalidate,
    /// It never changes.
    Immutable,
}
