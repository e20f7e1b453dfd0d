//! Registry resources of one repository, read through memory, disk and upstream.
//!
//! What is on disk is what the upstream signed; it is verified again whenever it is read, so a damaged or foreign file
//! is dropped, never served. What is served may be those bytes, or the same payload signed with a key of ours.

mod carried;
mod confirmed;
mod refresh;
mod staged;
mod stored;

pub use carried::{Older, TakenIn};
pub use confirmed::Standing;
pub use staged::{Staged, TakenOver};

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::error::CacheError;
use super::flights::{Flights, NoOutcome};
use super::freshness::{Network, Plan, Rules, plan};
use super::gate::Gate;
use super::memory::Owner;
use super::present::Present;
use super::served::Served;
use super::status::{BypassReason, CacheStatus, StaleReason};
use crate::clock::Timestamp;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::store::slots::{Area, Slot};
use crate::telemetry::metrics::{ReasonLabels, RepositoryLabels, Word};
use crate::trust::{PublicKey, Signer};
use crate::upstream::Upstream;

/// A client gets a stale answer when the upstream takes longer than this, not when its own time has run out.
pub const STALE_AFTER: Duration = Duration::from_secs(2);

/// After a failure, stale answers are given at once for this long before the upstream is asked again.
pub(super) const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How many names that do not exist, or do not verify, are remembered.
const SETBACKS: u64 = 20_000;

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
    pub rules: Rules,
    /// How long "it does not exist" and "what came is no good" are remembered.
    pub missing_ttl: Duration,
    /// How long a fetch may take until its answer begins.
    pub deadline: Duration,
    /// What becomes of packages and policies that the upstream has removed.
    pub on_removed: OnRemoved,
    /// Keep the upstream's bytes to serve them.
    pub pass_through: bool,
    /// Sign what is served with this key.
    pub signer: Option<Arc<Signer>>,
}

/// The registry resources of one repository.
#[derive(Debug)]
pub struct RegistryCache {
    options: RegistryOptions,
    owner: Owner,
    shared: Shared,
    upstream: Arc<dyn Upstream>,
    gate: Arc<dyn Gate>,
    loads: Flights<RegistryResource, Result<Option<Arc<Present>>, CacheError>>,
    refreshes: Flights<RegistryResource, Result<Refreshed, CacheError>>,
    setbacks: moka::sync::Cache<RegistryResource, Setback>,
}

/// A resource that was just confirmed or replaced.
#[derive(Clone, Debug)]
struct Refreshed {
    present: Arc<Present>,
    /// The upstream said that nothing has changed.
    unchanged: bool,
    /// Another fetch had brought it when this one was about to ask.
    by_another: bool,
    bypass: Option<BypassReason>,
    took: Duration,
}

/// What went wrong last with a resource, and when.
#[derive(Clone, Debug)]
struct Setback {
    at: Timestamp,
    error: CacheError,
}

impl RegistryCache {
    /// A cache with nothing in memory. `owner` is a number that no other cache has.
    pub fn new(
        options: RegistryOptions,
        owner: Owner,
        shared: Shared,
        upstream: Arc<dyn Upstream>,
        gate: Arc<dyn Gate>,
    ) -> Self {
        let tasks = shared.tasks.clone();
        Self {
            options,
            owner,
            shared,
            upstream,
            gate,
            loads: Flights::new(tasks.clone()),
            refreshes: Flights::new(tasks),
            setbacks: moka::sync::Cache::new(SETBACKS),
        }
    }

    /// The resource, by the rules of freshness, before `deadline`. Cancel safe: fetches go on without their caller.
    pub async fn get(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Served<Arc<Present>>, CacheError> {
        let now = self.shared.clock.now();
        let mut present = self.shared.memory.resource(self.owner, resource);
        if let Some(present) = &present
            && plan(Some(present.confirmed_at), now, &self.options.rules) == Plan::Serve
        {
            return Ok(served(Arc::clone(present), CacheStatus::Hit));
        }
        let setback = self.setback(resource, now);
        if present.is_none() {
            if let Some(error @ CacheError::Missing) = setback {
                return Err(error);
            }
            present = self.load(resource, deadline).await?;
        }
        self.decide(resource, present, setback, now, deadline).await
    }

    /// Memory has nothing that is fresh.
    async fn decide(
        self: &Arc<Self>,
        resource: &RegistryResource,
        present: Option<Arc<Present>>,
        setback: Option<CacheError>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Served<Arc<Present>>, CacheError> {
        let action = plan(present.as_ref().map(|present| present.confirmed_at), now, &self.options.rules);
        match (action, present) {
            (Plan::Serve, Some(present)) => Ok(served(present, CacheStatus::Hit)),
            (Plan::ServeOffline, Some(present)) => Ok(self.stale(present, StaleReason::Offline)),
            (Plan::ServeStaleThenRevalidate, Some(present)) => {
                // What went wrong a moment ago is not tried again for every request.
                if let Some(error) = &setback {
                    return Ok(self.stale(present, error.stale_reason().unwrap_or(StaleReason::Revalidating)));
                }
                // Detached: the ticket is dropped, the fetch goes on.
                drop(self.refresh(resource, Some(&present), false));
                Ok(self.stale(present, StaleReason::Revalidating))
            }
            (Plan::RevalidateOrStale, Some(present)) => {
                if let Some(reason) = setback.as_ref().and_then(CacheError::stale_reason) {
                    return Ok(self.stale(present, reason));
                }
                let patience = deadline.min(Instant::now() + STALE_AFTER);
                match self.wait_for_refresh(resource, Some(&present), patience).await {
                    Ok(refreshed) => Ok(refreshed),
                    Err(error) => match error.stale_reason() {
                        Some(reason) => Ok(self.stale(present, reason)),
                        None => Err(error),
                    },
                }
            }
            (Plan::Refuse, _) => Err(CacheError::Offline),
            (_, present) => {
                // What was no good a moment ago is not asked for again at once.
                if let Some(error) = setback.filter(|error| lasts(error) && !matches!(error, CacheError::Missing)) {
                    return Err(error);
                }
                self.wait_for_refresh(resource, present.as_ref(), deadline).await
            }
        }
    }

    /// The resource as the upstream has it now, whatever is cached; `past_caches` asks the caches on the way not to
    /// answer. Fails where the upstream does.
    pub async fn get_newest(
        self: &Arc<Self>,
        resource: &RegistryResource,
        past_caches: bool,
        deadline: Instant,
    ) -> Result<Served<Arc<Present>>, CacheError> {
        if self.options.rules.network == Network::Offline {
            return Err(CacheError::Offline);
        }
        let present = match self.shared.memory.resource(self.owner, resource) {
            Some(present) => Some(present),
            None => self.load(resource, deadline).await?,
        };
        let ticket = self.refresh(resource, present.as_ref(), past_caches);
        let led = ticket.led();
        ticket.wait(deadline).await?.map(|refreshed| self.fresh(refreshed, led))
    }

    /// The resource as it is stored, ready to be served, however old it is.
    pub async fn present(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<Present>>, CacheError> {
        match self.shared.memory.resource(self.owner, resource) {
            Some(present) => Ok(Some(present)),
            None => self.load(resource, deadline).await,
        }
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

    async fn wait_for_refresh(
        self: &Arc<Self>,
        resource: &RegistryResource,
        present: Option<&Arc<Present>>,
        until: Instant,
    ) -> Result<Served<Arc<Present>>, CacheError> {
        let ticket = self.refresh(resource, present, false);
        let led = ticket.led();
        let refreshed = ticket.wait(until).await.map_err(|error| match error {
            NoOutcome::Deadline | NoOutcome::Abandoned => CacheError::NoOutcome(error),
        })??;
        Ok(self.fresh(refreshed, led))
    }

    fn refresh(
        self: &Arc<Self>,
        resource: &RegistryResource,
        present: Option<&Arc<Present>>,
        past_caches: bool,
    ) -> super::flights::Ticket<Result<Refreshed, CacheError>> {
        self.refreshes
            .join(resource.clone(), || refresh::run(Arc::clone(self), resource.clone(), present.cloned(), past_caches))
    }

    /// Reads the resource from disk, at most once at a time.
    async fn load(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Option<Arc<Present>>, CacheError> {
        let ticket = self.loads.join(resource.clone(), || stored::load(Arc::clone(self), resource.clone()));
        ticket.wait(deadline).await?
    }

    fn setback(&self, resource: &RegistryResource, now: Timestamp) -> Option<CacheError> {
        let setback = self.setbacks.get(resource)?;
        let kept = match &setback.error {
            error if lasts(error) => self.options.missing_ttl,
            _ => REST_AFTER_FAILURE,
        };
        now.is_within(kept, setback.at).then_some(setback.error)
    }

    /// What another fetch has brought since `present` was looked up. Whoever looked before that fetch had ended and
    /// joined after it would otherwise ask a second time.
    fn brought_by_another(
        &self,
        resource: &RegistryResource,
        present: Option<&Arc<Present>>,
    ) -> Option<Result<Refreshed, CacheError>> {
        let now = self.shared.clock.now();
        if let Some(error) = self.setback(resource, now).filter(lasts) {
            return Some(Err(error));
        }
        let held = self.shared.memory.resource(self.owner, resource)?;
        let other =
            present.is_none_or(|present| held.confirmed_at != present.confirmed_at || held.source != present.source);
        let fresh = plan(Some(held.confirmed_at), now, &self.options.rules) == Plan::Serve;
        (other && fresh).then(|| {
            Ok(Refreshed { present: held, unchanged: false, by_another: true, bypass: None, took: Duration::ZERO })
        })
    }

    /// What becomes of a resource that the upstream does not have any more. A registry without `names` or `versions` is
    /// broken or in the wrong place, and not one that has removed all that it had.
    fn on_removed(&self, resource: &RegistryResource) -> OnRemoved {
        if refresh::is_list(resource) { OnRemoved::Keep } else { self.options.on_removed }
    }

    fn set_back(&self, resource: &RegistryResource, error: &CacheError) {
        let setback = Setback { at: self.shared.clock.now(), error: error.clone() };
        self.setbacks.insert(resource.clone(), setback);
    }

    fn fresh(&self, refreshed: Refreshed, led: bool) -> Served<Arc<Present>> {
        let status = match (refreshed.bypass, led, refreshed.unchanged) {
            _ if refreshed.present.removed_at.is_some() => CacheStatus::Stale(StaleReason::Deleted),
            (Some(reason), _, _) => CacheStatus::Bypass(reason),
            (None, false, _) => CacheStatus::Coalesced,
            (None, true, _) if refreshed.by_another => CacheStatus::Coalesced,
            (None, true, true) => CacheStatus::Revalidated,
            (None, true, false) => CacheStatus::Miss,
        };
        Served { value: refreshed.present, status, upstream: Some(refreshed.took) }
    }

    fn stale(&self, present: Arc<Present>, reason: StaleReason) -> Served<Arc<Present>> {
        self.shared.metrics.stale.get_or_create(&self.reason_labels(reason.word())).inc();
        Served::at_once(present, CacheStatus::Stale(reason))
    }

    fn slot(&self, area: Area, resource: &RegistryResource) -> Result<Slot, CacheError> {
        // Typed names always make a sound path; the store checks all the same.
        Slot::new(area, self.options.key.as_str(), &resource.path()).map_err(|error| {
            tracing::error!(%error, "a resource has no place in the store");
            CacheError::internal(super::error::Internal::Task)
        })
    }

    fn word(&self) -> Word {
        Word::from(self.options.key.as_str())
    }

    fn reason_labels(&self, reason: &'static str) -> ReasonLabels {
        ReasonLabels { repository: self.word(), reason }
    }

    fn labels(&self) -> RepositoryLabels {
        RepositoryLabels { repository: self.word() }
    }
}

/// Whether the upstream did answer, and would answer the same if it were asked again at once.
fn lasts(error: &CacheError) -> bool {
    matches!(error, CacheError::Missing | CacheError::NoList) || error.is_bad_answer()
}

fn served(present: Arc<Present>, status: CacheStatus) -> Served<Arc<Present>> {
    let status = match present.removed_at {
        Some(_) => CacheStatus::Stale(StaleReason::Deleted),
        None => status,
    };
    Served::at_once(present, status)
}
