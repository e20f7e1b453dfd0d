//! What a repository decides about resources that arrive, as the cache sees it.
//!
//! The cache knows how to fetch, prove and keep; whether a changed checksum may stand, and what is to be said when
//! upstream takes something away, is for the repository, which knows its rules and the ledger.

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

/// Releases that the index lists and that may not be served.
pub type RefusedReleases = Box<[ReleaseId]>;

/// What a repository says to an index that may be served.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Releases that the index lists and that may not be served.
    pub refused: RefusedReleases,
    /// By version what the file of a release has to be, where more is known of it than its index says.
    pub demands: BTreeMap<Box<str>, ExpectedFile>,
}

impl From<RefusedReleases> for Admission {
    fn from(refused: RefusedReleases) -> Self {
        Self { refused, demands: BTreeMap::new() }
    }
}

/// What upstream took away.
#[derive(Debug)]
pub enum UpstreamLoss<'a> {
    /// The whole resource.
    Removed {
        /// What was known of it last.
        last: Option<&'a Index>,
    },
    /// Releases that the older index had.
    Releases {
        /// Their versions.
        versions: Vec<Box<str>>,
        /// The older index.
        before: &'a Index,
    },
    /// An index of the whole repository went back in time.
    RolledBack {
        /// A sentence with the figures.
        detail: String,
    },
}

/// A repository's say in what arrives.
pub trait Gate: Send + Sync + fmt::Debug {
    /// Called for every verified index before it is served, freshly fetched or read from disk, with its signed payload.
    fn admit<'a>(
        &'a self,
        resource: &'a RegistryResource,
        index: &'a Index,
        payload: &'a [u8],
    ) -> BoxFuture<'a, Result<Admission, Internal>>;

    /// The releases of a repository that its list of versions may not show, as far as is known now.
    fn refused(&self) -> BoxFuture<'_, Result<RefusedReleases, Internal>>;

    /// Called once when upstream was seen, and seen again past its caches, to have taken something away.
    fn lost<'a>(
        &'a self,
        resource: &'a RegistryResource,
        loss: UpstreamLoss<'a>,
    ) -> BoxFuture<'a, Result<(), Internal>>;

    /// Called when something else is served of a resource from now on, or nothing. Returns at once.
    fn replaced(&self, resource: &RegistryResource);

    /// The payload as it is shown under our signature, edited at the wire level.
    fn present<'a>(
        &self,
        resource: &RegistryResource,
        payload: &'a [u8],
        refused: &RefusedReleases,
    ) -> Result<Cow<'a, [u8]>, WireError>;

    /// Signs what is shown of a resource, for those who will ask for it.
    fn sign<'a>(&'a self, resource: &'a RegistryResource, shown: &'a Payload) -> BoxFuture<'a, Result<(), CacheError>>;
}
