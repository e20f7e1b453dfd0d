//! Applies a policy to a remote repository: evaluates packages, and filters the lists.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::RemoteRepository;
use super::added_advisories::added;
use crate::cache::freshness::UpstreamMode;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::{CacheError, Served};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{HEXPM, PackageName};
use crate::hex::resource::RegistryResource;
use crate::policy::lists;
use crate::policy::osv::AdvisoryDump;
use crate::policy::release_facts::PackageFacts;
use crate::policy::resource::{PublishedPolicy, Visibility};
use crate::repository::changes::{Change, Event, Subscriber};
use crate::repository::enforcer::{
    AgeProofs, Enforcer, FilteredLists, JudgedPackage, Judgement, PolicyStatements, ReleaseDecision, UnfilteredLists,
    Wait,
};
use crate::repository::error::RepoError;
use crate::repository::hidden_releases::{HiddenReleases, ResourceContent};
use crate::repository::sealer::Scope;
use crate::repository::{CacheLifetime, RequestContext};
use crate::trust::{SignedResource, VerifyError};

/// How long to wait for `names`, if it may prove the age of a package.
const NAMES_WITHIN: Duration = Duration::from_secs(2);

/// For an offline repository: two lists that were confirmed within this time have come together.
const TOGETHER: Duration = Duration::from_secs(60);

/// When each package last changed, according to one copy of `names`.
#[derive(Debug, Default)]
pub(super) struct TouchTimes {
    known: RwLock<Option<Times>>,
}

/// The digest of the copy, and the packages.
type Times = (Sha256, HashMap<Box<str>, Timestamp>);

impl RemoteRepository {
    /// Its active policy.
    pub fn enforcer(&self) -> Option<&Arc<Enforcer>> {
        self.enforcer.as_ref()
    }

    /// The evaluation of a package by its policy; `None` without a policy.
    pub(in crate::repository) async fn judgement(
        &self,
        package: &PackageName,
        present: &Arc<ReadyResource>,
        deadline: Instant,
    ) -> Result<Option<Arc<Judgement>>, RepoError> {
        let Some(enforcer) = &self.enforcer else { return Ok(None) };
        let subject = self.subject(enforcer, package, present);
        if let Some(known) = enforcer.known(subject) {
            return Ok(Some(known));
        }
        // Boxed because it is rare: otherwise each request would reserve memory for it.
        let judged = Box::pin(async {
            let (facts, proofs) = self.facts(enforcer, package, present, deadline).await?;
            enforcer.judge(subject, facts, proofs).await
        });
        judged.await.map(Some)
    }

    /// When the upstream last confirmed a package.
    pub(in crate::repository) async fn confirmed_at(
        &self,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<Timestamp, RepoError> {
        let resource = RegistryResource::Package(package.clone());
        Ok(self.resource(&resource, deadline).await?.value.confirmed_at)
    }

    /// The decision of the policy about each release of a package, with the reason.
    pub async fn explain_policy(
        &self,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<Vec<(Box<str>, ReleaseDecision)>, RepoError> {
        let Some(enforcer) = &self.enforcer else { return Ok(Vec::new()) };
        let present = self.resource(&RegistryResource::Package(package.clone()), deadline).await?.value;
        let (facts, proofs) = self.facts(enforcer, package, &present, deadline).await?;
        enforcer.decisions(self.subject(enforcer, package, &present), facts, proofs).await
    }

    /// The statements of the policy about a package's releases, each with a sentence.
    pub(in crate::repository) async fn policy_says(
        &self,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<PolicyStatements, RepoError> {
        let Some(enforcer) = self.enforcer.as_ref().filter(|enforcer| enforcer.is_enforced()) else {
            return Ok(PolicyStatements::default());
        };
        let present = self.registry.get(&RegistryResource::Package(package.clone()), deadline).await?.value;
        let judgement = self.judgement(package, &present, deadline).await?;
        Ok(judgement.map(|judgement| enforcer.says(package, &judgement, |_| true)).unwrap_or_default())
    }

    fn subject<'a>(
        &'a self,
        enforcer: &Enforcer,
        package: &'a PackageName,
        present: &ReadyResource,
    ) -> JudgedPackage<'a> {
        let (digest, confirmed_at) = (present.source, present.confirmed_at);
        let generation = enforcer.generation(self.key(), package);
        JudgedPackage { source: self.key(), package, digest, confirmed_at, generation }
    }

    /// The facts for a decision about a package, except for the exemptions for lock files.
    async fn facts(
        &self,
        enforcer: &Enforcer,
        package: &PackageName,
        present: &Arc<ReadyResource>,
        deadline: Instant,
    ) -> Result<(PackageFacts, AgeProofs), RepoError> {
        let (payload, resource) = (payload(present)?, RegistryResource::Package(package.clone()));
        let dump = self.advisories();
        let facts = self.shared.blocking(move |_| facts_with(&payload, resource, dump.as_deref())).await??;
        let proofs = match enforcer.needs_proofs(self.key(), &facts) {
            true => self.proofs(&facts, deadline).await?,
            false => AgeProofs::default(),
        };
        Ok((facts, proofs))
    }

    /// The proofs for the age of a package's releases, besides their dates.
    pub(in crate::repository) async fn proofs(
        &self,
        facts: &PackageFacts,
        deadline: Instant,
    ) -> Result<AgeProofs, RepoError> {
        let sights = self.state.first_sights(self.key().as_str(), &facts.name).await?;
        let seen = facts.releases.iter().filter_map(|release| {
            let (checksum, at) = sights.get(&*release.text)?;
            (*checksum == release.outer.or(release.inner)).then(|| (release.text.clone(), *at))
        });
        let proofs = AgeProofs::seen(seen.collect());
        let patience = deadline.min(Instant::now() + NAMES_WITHIN);
        let undated = facts.releases.iter().filter(|release| release.published_at.is_none());
        let newest = undated.filter_map(|release| proofs.first_seen.get(&release.text)).max().copied();
        let Some(newest) = newest else { return Ok(proofs) };
        Ok(AgeProofs { touched: self.touched(&facts.name, newest, patience).await, ..proofs })
    }

    /// When the upstream last changed a package, and when it confirmed this: after `since` if possible. `None` if it
    /// does not answer in time.
    async fn touched(&self, package: &str, since: Timestamp, deadline: Instant) -> Option<(Timestamp, Timestamp)> {
        let present = self.names_since(since, deadline).await.ok()?.value;
        let confirmed_at = present.confirmed_at;
        let of = |known: &Option<Times>| {
            let (_, packages) = known.as_ref().filter(|(source, _)| *source == present.source)?;
            Some(packages.get(package).map(|updated_at| (*updated_at, confirmed_at)))
        };
        if let Some(found) = of(&self.touched.known.read()) {
            return found;
        }
        let names = payload(&present).ok()?;
        let read = move || {
            let payload = names.bytes().ok()?;
            let touched = lists::last_changes(&payload).ok()?;
            Some(touched.into_iter().filter_map(|(name, at)| Some((Box::from(name), at?))).collect::<HashMap<_, _>>())
        };
        let packages = self.shared.blocking(move |_| read()).await.ok()??;
        let mut known = self.touched.known.write();
        *known = Some((present.source, packages));
        of(&known).flatten()
    }

    /// The payload of a package that we sign, without what `judgement` holds of it.
    pub(super) async fn shown(
        &self,
        package: &PackageName,
        present: &Arc<ReadyResource>,
        judgement: Option<&Arc<Judgement>>,
    ) -> Result<Payload, RepoError> {
        let own = self.own(&RegistryResource::Package(package.clone()), present).await?;
        match (&self.enforcer, judgement) {
            (Some(enforcer), Some(judgement)) if enforcer.is_enforced() => {
                enforcer.without_held(self.key(), package, Arc::clone(judgement), own).await
            }
            _ => Ok(own),
        }
    }

    /// A package as virtual repositories show it, and the versions that are missing in it, because its own policy holds
    /// them or their checksum has changed.
    pub(in crate::repository) async fn share(
        self: &Arc<Self>,
        package: &PackageName,
        context: RequestContext,
    ) -> Result<(Served<ResourceContent>, BTreeSet<Box<str>>), RepoError> {
        self.check_name(package)?;
        let resource = RegistryResource::Package(package.clone());
        let served = self.resource(&resource, context.deadline).await?;
        let mut hidden: BTreeSet<Box<str>> = served.value.refused.iter().map(|one| one.version.clone()).collect();
        if self.enforcer.as_ref().is_some_and(|enforcer| enforcer.is_enforced()) {
            let judgement = self.judgement(package, &served.value, context.deadline).await?;
            let held = judgement.iter().flat_map(|judgement| &judgement.evaluation.held);
            hidden.extend(held.map(|held| held.version.clone()));
        }
        let shown = self.policed(&resource, served, context.deadline).await?;
        self.tell_asked(context, package, None);
        Ok((shown, hidden))
    }

    /// The content of a resource that we sign, without the releases held by policy.
    pub(super) async fn policed(
        &self,
        resource: &RegistryResource,
        served: Served<Arc<ReadyResource>>,
        deadline: Instant,
    ) -> Result<Served<ResourceContent>, RepoError> {
        let ttl = self.options.rules.ttl;
        let own = self.own(resource, &served.value).await?;
        let Some(enforcer) = &self.enforcer else {
            return Ok(served.map(|_| (own, CacheLifetime::For(ttl)).into()));
        };
        let mut hidden = HiddenReleases::Nothing;
        let (payload, keep) = match resource {
            _ if !enforcer.is_enforced() => (own, CacheLifetime::For(ttl)),
            RegistryResource::Policy(_) => (own, CacheLifetime::For(ttl)),
            RegistryResource::Package(name) => match self.judgement(name, &served.value, deadline).await? {
                None => (own, CacheLifetime::For(ttl)),
                Some(judgement) => {
                    let now = self.shared.clock.now();
                    let change = judgement.evaluation.next_change;
                    let keep = CacheLifetime::For(change.map_or(ttl, |change| change.since(now).min(ttl)));
                    hidden = HiddenReleases::Remote {
                        enforcer: Arc::clone(enforcer),
                        judgement: Arc::clone(&judgement),
                        present: Arc::clone(&served.value),
                    };
                    (enforcer.without_held(self.key(), name, judgement, own).await?, keep)
                }
            },
            RegistryResource::Names | RegistryResource::Versions => {
                let lists = Box::pin(async {
                    let (whole, sealer) = (self.whole_lists(deadline).await?.value, self.options.sealer.as_ref());
                    enforcer.lists(self.key(), whole, Wait::No(deadline), sealer).await
                });
                let lists = lists.await?;
                let is_names = *resource == RegistryResource::Names;
                (if is_names { lists.names.clone() } else { lists.versions.clone() }, CacheLifetime::For(ttl))
            }
        };
        Ok(served.map(|_| ResourceContent { payload, keep, hidden }))
    }

    /// Its list of names as the upstream confirmed it at `since` or later, if it answers in time.
    async fn names_since(&self, since: Timestamp, deadline: Instant) -> Result<Served<Arc<ReadyResource>>, CacheError> {
        let patience = Instant::now() + NAMES_WITHIN;
        self.registry.get_since(&RegistryResource::Names, since, patience, deadline).await
    }

    /// Both lists, unfiltered, with the cache status of `names`. `names` has the dates of the releases in `versions`,
    /// so it should be the newer one.
    async fn whole_lists(&self, deadline: Instant) -> Result<Served<UnfilteredLists>, RepoError> {
        let versions = self.resource(&RegistryResource::Versions, deadline).await?.value;
        let names = self.names_since(versions.confirmed_at, deadline).await;
        let names = names.map_err(|error| self.failure(error, &RegistryResource::Names))?;
        // An offline repository got both from one bundle or mirror, one after the other.
        let together = if self.options.rules.network == UpstreamMode::Offline { TOGETHER } else { Duration::ZERO };
        let names_is_older = names.value.confirmed_at.plus(together) < versions.confirmed_at;
        let versions = self.own(&RegistryResource::Versions, &versions).await?;
        let own = self.own(&RegistryResource::Names, &names.value).await?;
        let ttl = self.options.rules.ttl;
        Ok(names.map(|_| UnfilteredLists { names: own, versions, names_is_older, ttl }))
    }

    /// Both lists as virtual repositories see them: without what its own policy holds.
    pub(in crate::repository) async fn seen_lists(
        &self,
        deadline: Instant,
    ) -> Result<Served<UnfilteredLists>, RepoError> {
        let whole = self.whole_lists(deadline).await?;
        match (&self.enforcer, &self.options.sealer) {
            (Some(enforcer), Some(sealer)) if enforcer.is_enforced() => {
                let left =
                    enforcer.filter_lists(self.key(), whole.value.clone(), Wait::No(deadline), Some(sealer)).await?;
                Ok(whole.map(|_| left))
            }
            _ => Ok(whole),
        }
    }

    /// Rebuilds the filtered lists before clients request them.
    pub(in crate::repository) async fn remake_lists(
        &self,
        deadline: Instant,
    ) -> Result<Option<Arc<FilteredLists>>, RepoError> {
        let (Some(enforcer), Some(sealer)) = (&self.enforcer, &self.options.sealer) else { return Ok(None) };
        let whole = self.whole_lists(deadline).await?.value;
        Ok(Some(enforcer.lists(self.key(), whole, Wait::Until(deadline), Some(sealer)).await?))
    }
}

impl Subscriber for RemoteRepository {
    /// Rebuilds lists that clients have requested before, so that they are ready for the next request.
    fn notice(self: Arc<Self>, change: &Change) {
        let is_own_list = match &change.event {
            Event::ResourceReplaced { repository, resource } => {
                repository == self.key() && matches!(resource, RegistryResource::Names | RegistryResource::Versions)
            }
            Event::PackageChanged { .. } => false,
        };
        if !is_own_list || !self.enforcer.as_ref().is_some_and(|enforcer| enforcer.has_lists(self.key())) {
            return;
        }
        let deadline = Instant::now() + self.options.deadline;
        self.shared.tasks.clone().spawn(async move {
            if let Err(error) = self.remake_lists(deadline).await {
                // The next client that requests them gets the error, too.
                tracing::debug!(repository = %self.key(), %error, "the lists could not be rebuilt");
            }
        });
    }
}

impl RemoteRepository {
    /// The policy of this repository, if `resource` is its name, for clients to show and to apply. It is published only
    /// if it is enforced, and if the repository has a name under which clients accept policies.
    pub(super) async fn published_policy(
        &self,
        resource: &RegistryResource,
    ) -> Result<Option<(SignedResource, CacheLifetime)>, RepoError> {
        let (RegistryResource::Policy(name), Some(enforcer), Some(sealer)) =
            (resource, &self.enforcer, &self.options.sealer)
        else {
            return Ok(None);
        };
        let Some(rules) = enforcer.rules(self.key()).filter(|_| self.options.identity.name.as_str() != HEXPM) else {
            return Ok(None);
        };
        if !enforcer.is_enforced() || enforcer.name() != name {
            return Ok(None);
        }
        let waivers = enforcer.waivers().await?;
        let open = self.options.identity.access.is_open();
        let published = PublishedPolicy {
            repository: &self.options.identity.name,
            name,
            description: enforcer.description(),
            visibility: if open { Visibility::Public } else { Visibility::Private },
            rules,
            waivers: &waivers,
            exempt: &[],
        };
        let made = Payload::new(published.encode(self.shared.clock.now()));
        let payload = self.published.keep(resource.clone(), made);
        let signed = sealer.signed(resource, Scope::Passing, &payload).await?;
        Ok(Some((signed, CacheLifetime::For(self.options.rules.ttl))))
    }
}

/// The payload of a resource, with either signature.
pub(super) fn payload(present: &ReadyResource) -> Result<Payload, RepoError> {
    present.any_payload().cloned().ok_or_else(|| CacheError::Missing.into())
}

/// The facts about a package that a policy evaluates, with the advisories of a dump. Blocks.
fn facts_with(
    payload: &Payload,
    resource: RegistryResource,
    dump: Option<&AdvisoryDump>,
) -> Result<PackageFacts, CacheError> {
    read_facts(&payload.bytes()?, resource, dump)
}

/// The same from the bytes of a payload. Blocks.
pub(super) fn read_facts(
    payload: &[u8],
    resource: RegistryResource,
    dump: Option<&AdvisoryDump>,
) -> Result<PackageFacts, CacheError> {
    let payload = match dump {
        Some(dump) => added(dump, &resource, payload).map_err(CacheError::untrusted)?,
        None => Cow::Borrowed(payload),
    };
    PackageFacts::read(&payload).map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))
}
