//! How a repository decides about resources that the cache fetches.
//!
//! The cache fetches, verifies and stores. The repository knows its rules and the checksum ledger: it decides whether a
//! changed checksum is accepted, and what happens when the upstream removes something.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use futures_util::future::BoxFuture;

use super::error::{CacheError, Internal};
use super::fill::ExpectedFile;
use super::payload::Payload;
use crate::hex::index::Index;
use crate::hex::resource::RegistryResource;
use crate::hex::wire::WireError;

/// A release by package and version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReleaseId {
    /// Package name.
    pub package: Box<str>,
    /// Version as written upstream.
    pub version: Box<str>,
}

/// Releases in the index that may not be served.
pub type RefusedReleases = Box<[ReleaseId]>;

/// A repository's decision about an index that may be served.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Releases in the index that may not be served.
    pub refused: RefusedReleases,
    /// By version: the checksums that the file of a release must have, if more of them are known than its index lists.
    pub expected_files: BTreeMap<Box<str>, ExpectedFile>,
}

impl From<RefusedReleases> for Admission {
    fn from(refused: RefusedReleases) -> Self {
        Self { refused, expected_files: BTreeMap::new() }
    }
}

/// Something that the upstream has removed.
#[derive(Debug)]
pub enum UpstreamLoss<'a> {
    /// The whole resource.
    Removed {
        /// The last known index.
        last: Option<&'a Index>,
    },
    /// Releases that the older index had.
    Releases {
        /// Their versions.
        versions: Vec<Box<str>>,
        /// The older index.
        before: &'a Index,
    },
    /// An index of the whole repository is older than the last one.
    RolledBack {
        /// A sentence with the figures.
        detail: String,
    },
}

/// A repository's decisions about resources that arrive.
pub trait Gate: Send + Sync + fmt::Debug {
    /// Called for every verified index before it is served, freshly fetched or read from disk, with its signed payload.
    fn admit<'a>(
        &'a self,
        resource: &'a RegistryResource,
        index: &'a Index,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<Admission, Internal>>;

    /// The releases that the repository's list of versions may not show, as far as is known now.
    fn refused(&self) -> BoxFuture<'_, Result<RefusedReleases, Internal>>;

    /// Called once when the upstream has removed something, and a second fetch past its caches has confirmed it.
    fn on_upstream_loss<'a>(
        &'a self,
        resource: &'a RegistryResource,
        loss: UpstreamLoss<'a>,
    ) -> BoxFuture<'a, Result<(), Internal>>;

    /// Called when the served content of a resource changes, or the resource is removed. Returns at once.
    fn on_replaced(&self, resource: &RegistryResource);

    /// The payload that we sign and serve, edited at the wire level.
    fn edit_for_clients<'a>(
        &self,
        resource: &RegistryResource,
        payload: &'a [u8],
        refused: &RefusedReleases,
    ) -> Result<Cow<'a, [u8]>, WireError>;

    /// Signs the served payload of a resource before clients request it.
    fn sign<'a>(&'a self, resource: &'a RegistryResource, shown: &'a Payload) -> BoxFuture<'a, Result<(), CacheError>>;
}
