//! Cache for the registry resources of one repository: reads them from memory, disk or the upstream.
//!
//! The store has the bytes that the upstream signed. They are verified whenever they are read, so a damaged or foreign
//! file is removed, never served. Clients get these bytes, or the same payload signed with our key.

mod bundle_io;
mod confirmation;
mod refresh;
mod staged_index;
mod stored_resource;

pub use bundle_io::{BundleAge, ImportResult};
pub use confirmation::Confirmation;
pub use staged_index::{StagedIndex, TakenOver};

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
use crate::upstream::{AnswerBegun, Upstream};

/// What happens to a resource that the upstream has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemoved {
    /// It is not served any more; its file stays.
    Hide,
    /// It is still served.
    Keep,
    /// It is not served any more, and its file is removed.
    Purge,
}

/// The settings of a registry cache.
#[derive(Debug)]
pub struct RegistryOptions {
    /// The repository's key in the configuration: its files are stored under it.
    pub key: RepoName,
    /// The repository name that its payloads must contain.
    pub name: RepoName,
    /// The upstream's base URL: validators are sent only to the upstream that they came from.
    pub origin: String,
    /// The keys that may sign the resources.
    pub public_keys: Vec<PublicKey>,
    /// Freshness.
    pub rules: FreshnessRules,
    /// How long a missing or unusable answer is remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take until its answer begins.
    pub deadline: Duration,
    /// What happens to packages and policies that the upstream has removed.
    pub on_removed: OnRemoved,
    /// Keep the upstream's bytes in memory, to serve them.
    pub pass_through: bool,
    /// Make a payload to be served with our signature.
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

    /// Only one load runs at a time, because loading verifies.
    async fn load(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<ReadyResource>>, CacheError> {
        let ticket = self.loads.join(resource.clone(), || stored_resource::load(Arc::clone(self), resource.clone()));
        ticket.wait(deadline).await?
    }

    async fn fetch(
        self: Arc<Self>,
        resource: RegistryResource,
        known: Option<Arc<ReadyResource>>,
        past_caches: bool,
        heard: AnswerBegun,
    ) -> Result<FetchedEntry<Arc<ReadyResource>>, CacheError> {
        refresh::run(self, resource, known, past_caches, heard).await
    }
}

impl RegistryCache {
    /// An empty cache. `owner` is unique among all caches.
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

    /// Returns the resource by the rules of freshness, before `deadline`. Cancel safe: fetches continue without their
    /// caller.
    pub async fn get(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get(self, resource, deadline).await
    }

    /// Returns the resource as the upstream has it now, whatever is cached; `past_caches` tells HTTP caches on the way
    /// to forward the request. Fails if the upstream fails.
    pub async fn get_newest(
        self: &Arc<Self>,
        resource: &RegistryResource,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get_newest(self, resource, past_caches, deadline).await
    }

    /// Returns the resource as the upstream confirmed it at `since` or later, if it does so before `patience`;
    /// otherwise by the rules of freshness.
    pub async fn get_since(
        self: &Arc<Self>,
        resource: &RegistryResource,
        since: Timestamp,
        patience: Instant,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        self.through.get_since(self, resource, since, patience, deadline).await
    }

    /// Returns the stored resource, ready to be served, however old it is.
    pub async fn stored_entry(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<ReadyResource>>, CacheError> {
        self.through.stored_entry(self, resource, deadline).await
    }

    /// Removes one resource or all of them from the cache; returns how many were stored. Blocks.
    pub fn purge(&self, resource: Option<&RegistryResource>) -> Result<usize, CacheError> {
        stored_resource::purge(self, resource)
    }

    /// Verifies every stored resource again, and reports to `seen` whether it is undamaged; with `repair` damaged ones
    /// are removed. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        stored_resource::scrub(self, repair, seen)
    }

    /// What happens to a resource that the upstream has removed. Lists always stay: a registry without `names` or
    /// `versions` is broken or at the wrong URL, and has not removed all its packages.
    fn on_removed(&self, resource: &RegistryResource) -> OnRemoved {
        if refresh::is_list(resource) { OnRemoved::Keep } else { self.options.on_removed }
    }

    fn slot(&self, area: Area, resource: &RegistryResource) -> Result<Slot, CacheError> {
        // Typed names always make a valid path; the store checks it anyway.
        Slot::new(area, self.options.key.as_str(), &resource.path()).map_err(CacheError::internal)
    }

    fn word(&self) -> Word {
        Word::from(self.options.key.as_str())
    }

    fn reason_labels(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels { repository: self.word(), reason }
    }
}
