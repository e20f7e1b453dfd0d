//! Registry resources of one repository, read through memory, disk and upstream.
//!
//! What is on disk is what the upstream signed; it is verified again whenever it is read, so a damaged or foreign file
//! is dropped, never served. What is served may be those bytes, or the same payload signed with a key of ours.

mod bundle_io;
mod confirmed;
mod refresh;
mod staged;
mod stored;

pub use bundle_io::{BundleAge, TakenIn};
pub use confirmed::Confirmation;
pub use staged::{StagedIndex, TakenOver};

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::SharedCaches;
use super::error::CacheError;
use super::freshness::FreshnessRules;
use super::gate::Gate;
use super::memory::EntryOwner;
use super::read_through::{CacheSource, FetchedEntry, ReadThrough};
use super::ready_resource::ReadyResource;
use super::served::Served;
use super::single_flight::Flights;
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::store::slots::{Area, Slot};
use crate::telemetry::metrics::{ReasonLabels, Word};
use crate::trust::PublicKey;
use crate::upstream::{Heard, Upstream};

/// What becomes of what the upstream has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemoved {
    /// It is not served any more; its file stays.
    Hide,
    /// It is served as it was.
    Keep,
    /// It is not served any more, and its file is removed.
    Purge,
}

/// What a registry cache needs to know of its repository.
#[derive(Debug)]
pub struct RegistryOptions {
    /// The repository's key in the configuration: where its files are.
    pub key: RepoName,
    /// The name its payloads must carry.
    pub name: RepoName,
    /// The upstream's base URL: validators are used only with the upstream that gave them.
    pub origin: String,
    /// Keys of which one must have signed.
    pub public_keys: Vec<PublicKey>,
    /// Freshness.
    pub rules: FreshnessRules,
    /// How long "it does not exist" and "what came is no good" are remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take until its answer begins.
    pub deadline: Duration,
    /// What becomes of packages and policies that the upstream has removed.
    pub on_removed: OnRemoved,
    /// Keep the upstream's bytes to serve them.
    pub pass_through: bool,
    /// What is served may go out under our signature.
    pub own: bool,
}

/// The registry resources of one repository.
#[derive(Debug)]
pub struct RegistryCache {
    options: RegistryOptions,
    owner: EntryOwner,
    shared: SharedCaches,
    upstream: Arc<dyn Upstream>,
    gate: Arc<dyn Gate>,
    loads: Flights<RegistryResource, Result<Option<Arc<ReadyResource>>, CacheError>>,
    through: ReadThrough<Self>,
}

impl CacheSource for RegistryCache {
    type Key = RegistryResource;
    type Entry = Arc<ReadyResource>;

    fn confirmed_at(entry: &Arc<ReadyResource>) -> Timestamp {
        entry.confirmed_at
    }

    fn is_same(one: &Arc<ReadyResource>, other: &Arc<ReadyResource>) -> bool {
        one.confirmed_at == other.confirmed_at && one.source == other.source
    }

    fn is_removed(entry: &Arc<ReadyResource>) -> bool {
        entry.removed_at.is_some()
    }

    fn in_memory(&self, resource: &RegistryResource) -> Option<Arc<ReadyResource>> {
        self.shared.memory.resource(self.owner, resource)
    }

    /// At most once at a time: what is read is verified.
    async fn load(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<ReadyResource>>, CacheError> {
        let ticket = self.loads.join(resource.clone(), || stored::load(Arc::clone(self), resource.clone()));
        ticket.wait(deadline).await?
    }

    async fn fetch(
        self: Arc<Self>,
        resource: RegistryResource,
        known: Option<Arc<ReadyResource>>,
        past_caches: bool,
        heard: Heard,
    ) -> Result<FetchedEntry<Arc<ReadyResource>>, CacheError> {
        refresh::run(self, resource, known, past_caches, heard).await
    }
}

impl RegistryCache {
    /// A cache with nothing in memory. `owner` is a number that no other cache has.
    pub fn new(
        options: RegistryOptions,
        owner: EntryOwner,
        shared: SharedCaches,
        upstream: Arc<dyn Upstream>,
        gate: Arc<dyn Gate>,
    ) -> Self {
        let loads = Flights::new(shared.tasks.clone());
        let through = ReadThrough::new(options.rules, options.missing_ttl, options.key.as_str(), &shared);
        Self { options, owner, shared, upstream, gate, loads, through }
    }

    /// The resource, by the rules of freshness, before `deadline`. Cancel safe: fetches go on without their caller.
    pub async fn get(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get(self, resource, deadline).await
    }

    /// The resource as the upstream has it now, whatever is cached; `past_caches` asks the caches on the way not to
    /// answer. Fails where the upstream does.
    pub async fn get_newest(
        self: &Arc<Self>,
        resource: &RegistryResource,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get_newest(self, resource, past_caches, deadline).await
    }

    /// The resource as the upstream has confirmed it at `since` or later, where it does so before `patience`; else by the
    /// rules of freshness.
    pub async fn get_since(
        self: &Arc<Self>,
        resource: &RegistryResource,
        since: Timestamp,
        patience: Instant,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get_since(self, resource, since, patience, deadline).await
    }

    /// The resource as it is stored, ready to be served, however old it is.
    pub async fn present(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<ReadyResource>>, CacheError> {
        self.through.present(self, resource, deadline).await
    }

    /// Forgets one resource, or all of them; says how many were there. Blocks.
    pub fn purge(&self, resource: Option<&RegistryResource>) -> Result<usize, CacheError> {
        stored::purge(self, resource)
    }

    /// Proves every stored resource again, and says of each whether it is sound; with `repair` the others are removed.
    /// Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        stored::scrub(self, repair, seen)
    }

    /// What becomes of a resource that the upstream does not have any more. A registry without `names` or `versions` is
    /// broken or in the wrong place, and not one that has removed all that it had.
    fn on_removed(&self, resource: &RegistryResource) -> OnRemoved {
        if refresh::is_list(resource) { OnRemoved::Keep } else { self.options.on_removed }
    }

    fn slot(&self, area: Area, resource: &RegistryResource) -> Result<Slot, CacheError> {
        // Typed names always make a sound path; the store checks all the same.
        Slot::new(area, self.options.key.as_str(), &resource.path()).map_err(CacheError::internal)
    }

    fn word(&self) -> Word {
        Word::from(self.options.key.as_str())
    }

    fn reason_labels(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels { repository: self.word(), reason }
    }
}
