//! A remote repository: an upstream behind a cache that verifies everything.

mod added_advisories;
mod advisory_feed;
mod answers;
mod bundle_io;
mod evaluation;
mod locate;
mod mirroring;
mod name_claims;
mod policy;
mod removed_releases;
mod search_results;
mod signed_description;

pub use advisory_feed::AdvisoryFeed;
pub use answers::FoundName;
pub(super) use answers::{Search, UpstreamAnswer, without_held};
pub use mirroring::Soundness;
pub use name_claims::ForgetOutcome;
pub(super) use search_results::{listed, only_listed};
pub(super) use signed_description::describe;
pub use signed_description::{DescribedPackage, DescribedRelease};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::enforcer::{Enforcer, PolicyOptions};
use super::error::{MissingOffline, RepoError};
use super::hidden_releases::{RegistryAnswer, ResourceContent};
use super::last_resource::LastMade;
use super::ledger_gate::LedgerGate;
use super::prefetch_queue::{PrefetchQueue, PrefetchRequest};
use super::sealer::{self, Scope, Sealer};
use super::{CacheLifetime, Changes, Directory, Identity, RequestContext};
use crate::auth::ReadGrant;
use crate::cache::api_answers::{AnswerCache, AnswerOptions};
use crate::cache::artifacts::{ArtifactCache, ArtifactOptions, ArtifactRequest};
use crate::cache::docs::{DocsCache, DocsOptions};
use crate::cache::error::Internal;
use crate::cache::fill::ExpectedFile;
use crate::cache::freshness::FreshnessRules;
use crate::cache::memory::EntryOwner;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::{ReadyResource, SignedBy};
use crate::cache::registry::{OnRemoved, RegistryCache, RegistryOptions};
use crate::cache::{CacheError, CacheStatus, Served, SharedCaches};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::index::{self, Index, PackageIndex, Release};
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::splice;
use crate::hex::version::ReleaseVersion;
use crate::state::State;
use crate::state::ledger::{ChangeRule, PACKAGE_WINDOW, RELEASE_WINDOW};
use crate::trust::{PublicKey, SignedResource};
use crate::upstream::Upstream;
use added_advisories::Advised;
use policy::TouchTimes;

/// The settings of a remote repository.
#[derive(Debug)]
pub struct RemoteOptions {
    /// Its names and its access rules.
    pub identity: Identity,
    /// The upstream's base URL.
    pub url: String,
    /// The keys that may sign its resources.
    pub public_keys: Vec<PublicKey>,
    /// Whose signature its resources have at its own addresses.
    pub signature: SignedBy,
    /// Signs with our key. Needed if `signature` is ours, or if this repository is an organization of one that is
    /// signed by us, because clients verify both with the same key.
    pub sealer: Option<Sealer>,
    /// Freshness of registry resources.
    pub rules: FreshnessRules,
    /// How long a missing or unusable answer is remembered.
    pub missing_ttl: Duration,
    /// How long docs count as fresh.
    pub docs_ttl: Duration,
    /// Maximum time from a request to the first byte.
    pub deadline: Duration,
    /// Whether checksums may change.
    pub checksum_changes: ChangeRule,
    /// What happens to content that the upstream has removed.
    pub on_delete: OnRemoved,
    /// The upstream's HTTP API, if it has one: its base URL, and how it is reached.
    pub api: Option<(String, Arc<dyn Upstream>)>,
    /// The policy that holds releases back.
    pub policy: Option<PolicyOptions>,
    /// Advisories that are added to its index, if it is signed by us.
    pub advisories: Option<AdvisoryFeed>,
    /// What is read of its releases before clients request them.
    pub metadata: MetadataMode,
    /// Whether all its tarballs are mirrored.
    pub mirrored: bool,
    /// Whether its names are private: it is a private member of a virtual repository, or no member and not open to
    /// everyone. It keeps its claim to every name that it has had, and public upstreams never learn these names.
    pub is_private: bool,
    /// The queue of client requests for the prefetcher, if it is enabled.
    pub asked: Option<PrefetchQueue>,
}

/// What is read of releases before clients request them, if a policy needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMode {
    /// Their indexes.
    Lazy,
    /// Also the licences in their tarballs.
    Full,
}

/// A remote repository.
#[derive(Debug)]
pub struct RemoteRepository {
    options: RemoteOptions,
    upstream_key: PublicKey,
    registry: Arc<RegistryCache>,
    artifacts: Arc<ArtifactCache>,
    docs: Arc<DocsCache>,
    answers: Option<Arc<AnswerCache>>,
    upstream: Arc<dyn Upstream>,
    shared: SharedCaches,
    state: State,
    directory: Arc<Directory>,
    changes: Arc<Changes>,
    enforcer: Option<Arc<Enforcer>>,
    touched: TouchTimes,
    /// Resources with added advisories.
    advised: Advised,
    /// The policy as it was last published.
    published: LastMade<RegistryResource>,
    /// Lists for callers who may read only some names, by the digest of the complete list and the patterns.
    limited: moka::sync::Cache<(Sha256, BTreeSet<String>), Payload>,
}

/// What a purge has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Registry resources.
    pub resources: usize,
    /// Tarballs.
    pub tarballs: usize,
    /// Docs.
    pub docs: usize,
}

/// How many lists are cached for callers who may read only some names.
const LIMITED: u64 = 16;

/// Whether a caller may read this package.
fn check_right(grant: &ReadGrant, name: &PackageName) -> Result<(), RepoError> {
    if grant.packages().allows(name.as_str()) { Ok(()) } else { Err(RepoError::Withheld) }
}

impl RemoteRepository {
    /// A repository with nothing in memory. `owner` is unique among all repository objects. If the upstream's signature
    /// is served, `/public_key` answers with the first public key. `None` without any key.
    pub fn new(
        options: RemoteOptions,
        owner: EntryOwner,
        shared: SharedCaches,
        state: State,
        upstream: Arc<dyn Upstream>,
        directory: Arc<Directory>,
        changes: Arc<Changes>,
    ) -> Option<Self> {
        let upstream_key = options.public_keys.first()?.clone();
        let registry = RegistryOptions {
            key: options.identity.key.clone(),
            name: options.identity.name.clone(),
            origin: options.url.clone(),
            public_keys: options.public_keys.clone(),
            rules: options.rules,
            missing_ttl: options.missing_ttl,
            deadline: options.deadline,
            on_removed: options.on_delete,
            pass_through: options.signature == SignedBy::Upstream,
            own: options.sealer.is_some(),
        };
        let artifacts = ArtifactOptions {
            key: options.identity.key.to_string(),
            network: options.rules.network,
            missing_ttl: options.missing_ttl,
            deadline: options.deadline,
        };
        let docs = DocsOptions {
            key: options.identity.key.to_string(),
            origin: options.url.clone(),
            rules: FreshnessRules { ttl: options.docs_ttl, ..options.rules },
            missing_ttl: options.missing_ttl,
            deadline: options.deadline,
        };
        let artifacts = Arc::new(ArtifactCache::new(artifacts, shared.clone(), Arc::clone(&upstream)));
        let docs = Arc::new(DocsCache::new(docs, shared.clone(), Arc::clone(&upstream)));
        let answers = options.api.clone().map(|(origin, api)| {
            let answers = AnswerOptions {
                key: options.identity.key.to_string(),
                origin,
                rules: FreshnessRules { ttl: options.rules.ttl.max(API_TTL), ..options.rules },
                missing_ttl: options.missing_ttl,
                deadline: options.deadline,
            };
            Arc::new(AnswerCache::new(answers, shared.clone(), api))
        });
        let gate = Arc::new(LedgerGate {
            key: options.identity.key.clone(),
            names: options.identity.names.clone(),
            rule: options.checksum_changes,
            on_delete: options.on_delete,
            state: state.clone(),
            artifacts: Arc::clone(&artifacts),
            docs: Arc::clone(&docs),
            clock: Arc::clone(&shared.clock),
            metrics: Arc::clone(&shared.metrics),
            is_private: options.is_private,
            changes: Arc::clone(&changes),
            sealer: options.sealer.clone(),
            refused: RwLock::default(),
        });
        let policy = options.policy.clone();
        let enforcer =
            policy.map(|policy| Enforcer::new(options.identity.key.clone(), policy, shared.clone(), state.clone()));
        Some(Self {
            enforcer,
            directory,
            changes,
            touched: TouchTimes::default(),
            advised: Advised::new(),
            published: LastMade::new(),
            limited: moka::sync::Cache::new(LIMITED),
            upstream_key,
            registry: Arc::new(RegistryCache::new(registry, owner, shared.clone(), Arc::clone(&upstream), gate)),
            artifacts,
            docs,
            answers,
            upstream,
            shared,
            state,
            options,
        })
    }

    /// Its names and its access rules.
    pub fn identity(&self) -> &Identity {
        &self.options.identity
    }

    /// Key in the configuration.
    pub fn key(&self) -> &RepoName {
        &self.options.identity.key
    }

    /// Whose signature its resources have at its own addresses.
    pub fn signature(&self) -> SignedBy {
        self.options.signature
    }

    /// The key with which clients verify this signature.
    pub fn public_key(&self, signed_by: SignedBy) -> &PublicKey {
        match (&self.options.sealer, signed_by) {
            (Some(sealer), SignedBy::Own) => sealer.public_key(),
            _ => &self.upstream_key,
        }
    }

    /// The upstream, for status reports.
    pub fn upstream(&self) -> &dyn Upstream {
        &*self.upstream
    }

    /// A signed resource. Cancel safe.
    pub async fn registry(
        self: &Arc<Self>,
        grant: &ReadGrant,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        self.check(grant)?;
        match resource {
            RegistryResource::Package(name) => check_right(grant, name)?,
            RegistryResource::Names | RegistryResource::Versions if grant.packages().patterns().is_some() => {
                return Box::pin(self.limited(grant, resource, signed_by, context)).await;
            }
            _ => {}
        }
        // Not for virtual repositories above this one: the rules of the policy do not concern them.
        if signed_by == SignedBy::Own
            && let Some(published) = self.published_policy(resource).await?
        {
            return Ok(Served::at_once(published.into(), CacheStatus::Hit));
        }
        let served = self.content(resource, signed_by, context).await?;
        self.sent(resource, Scope::Whole, served).await
    }

    /// The answer with a resource, which is signed unless that was done before.
    async fn sent(
        &self,
        resource: &RegistryResource,
        scope: Scope<'_>,
        served: Served<ResourceContent>,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        let payload = &served.value.payload;
        let signed = match &self.options.sealer {
            Some(sealer) => sealer.signed(resource, scope, payload).await?,
            None => payload.signed().ok_or(RepoError::NotFound)?,
        };
        Ok(served.map(|content| content.answer(signed)))
    }

    /// The signed form of a stored resource with what its policy holds, and without added advisories: for mirrors.
    pub async fn signed_unheld(
        &self,
        resource: &RegistryResource,
        present: &ReadyResource,
    ) -> Result<SignedResource, RepoError> {
        let payload = present.payload(self.options.signature).cloned().ok_or(RepoError::NotFound)?;
        let content = Served::at_once(ResourceContent::from((payload, CacheLifetime::Revalidate)), CacheStatus::Hit);
        Ok(self.sent(resource, Scope::Whole, content).await?.value.signed)
    }

    /// A list with the names that a caller may read, signed by us: a list that is passed through cannot be shortened.
    async fn limited(
        self: &Arc<Self>,
        grant: &ReadGrant,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        if signed_by != SignedBy::Own || self.options.sealer.is_none() {
            return Err(RepoError::Withheld);
        }
        let served = self.whole(resource, signed_by, context).await?;
        let (whole, keep) = served.value.clone();
        let patterns = grant.packages().clone();
        let key = (*whole.digest(), patterns.patterns().cloned().unwrap_or_default());
        let limited = match self.limited.get(&key) {
            Some(limited) => limited,
            None => {
                let limited = self.shared.blocking(move |_| {
                    let payload = whole.bytes()?;
                    let seen = splice::retain_packages(&payload, &|name| patterns.allows(name));
                    Ok::<_, CacheError>(Payload::new(seen.map_err(CacheError::untrusted)?.into_owned()))
                });
                let limited = limited.await??;
                self.limited.insert(key, limited.clone());
                limited
            }
        };
        self.sent(resource, Scope::Passing, served.map(|_| (limited, keep).into())).await
    }

    /// A resource independent of the caller, for virtual repositories, which apply the rights of their callers.
    pub(super) async fn whole(
        self: &Arc<Self>,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        Ok(self.content(resource, signed_by, context).await?.map(|content| (content.payload, content.keep)))
    }

    /// A resource together with the releases that the policy hides.
    pub(super) async fn content(
        self: &Arc<Self>,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<ResourceContent>, RepoError> {
        let served = if signed_by == SignedBy::Own && self.enforcer.is_some() {
            if let RegistryResource::Package(name) = resource {
                self.check_name(name)?;
            }
            let served = self.resource(resource, context.deadline).await?;
            self.policed(resource, served, context.deadline).await?
        } else {
            self.unheld(resource, signed_by, context).await?.map(ResourceContent::from)
        };
        if let RegistryResource::Package(name) = resource {
            self.tell_asked(context, name, None);
        }
        Ok(served)
    }

    /// Tells the prefetcher what a client has requested. Requests of this server itself are not reported.
    pub(super) fn tell_asked(
        self: &Arc<Self>,
        context: RequestContext,
        package: &PackageName,
        version: Option<&ReleaseVersion>,
    ) {
        if let (Some(asked), Some(_)) = (&self.options.asked, context.client) {
            let (repository, package) = (Arc::clone(self), package.clone());
            asked.tell(PrefetchRequest { repository, package, version: version.cloned() });
        }
    }

    /// A resource including releases held by policy. It is used to find out who has which names, and never shown.
    pub(super) async fn unheld(
        &self,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        if let RegistryResource::Package(name) = resource {
            self.check_name(name)?;
        }
        let served = self.resource(resource, context.deadline).await?;
        let payload = match signed_by {
            SignedBy::Own => self.own(resource, &served.value).await?,
            SignedBy::Upstream => served.value.payload(signed_by).cloned().ok_or(RepoError::NotFound)?,
        };
        let keep = CacheLifetime::For(self.options.rules.ttl);
        Ok(served.map(|_| (payload, keep)))
    }

    /// A resource by the rules of freshness. If the repository is offline, the error has the name of the missing
    /// resource.
    async fn resource(
        &self,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, RepoError> {
        if let RegistryResource::Policy(name) = resource
            && !self.options.is_private
            && self.directory.has_policy(name)
        {
            // The policy belongs to this server, so a public upstream must not learn its name.
            return Err(RepoError::NotFound);
        }
        let error = match self.registry.get(resource, deadline).await {
            Ok(served) => return Ok(served),
            Err(error) => self.failure(error, resource),
        };
        Err(match (error, resource) {
            // The signed list proves that the package does not exist here: other members may have it.
            (RepoError::Offline { what, .. }, RegistryResource::Package(name)) => {
                let unlisted = matches!(self.lists(name, deadline).await, Ok(false));
                RepoError::Offline {
                    what,
                    kind: if unlisted { MissingOffline::Unlisted } else { MissingOffline::Listed },
                }
            }
            (error, _) => error,
        })
    }

    /// The error for a resource that could not be obtained.
    fn failure(&self, error: CacheError, resource: &RegistryResource) -> RepoError {
        RepoError::of(error, MissingOffline::Listed, format_args!("{resource} of {}", self.options.identity.key))
    }

    /// Whether the upstream's list of names has a package. This way the upstream does not learn the name.
    pub async fn lists(&self, package: &PackageName, deadline: Instant) -> Result<bool, RepoError> {
        let served = self.registry.get(&RegistryResource::Names, deadline).await?;
        self.is_listed(&served.value, package).await
    }

    /// Whether a list of names has a package.
    async fn is_listed(&self, names: &ReadyResource, package: &PackageName) -> Result<bool, RepoError> {
        let name = package.clone();
        answers::read(&self.shared, policy::payload(names)?, move |names| Some(index::lists(names, name.as_str())))
            .await
    }

    /// Removes a package, one release, or everything from the cache.
    pub async fn purge(
        self: &Arc<Self>,
        package: Option<&PackageName>,
        release: Option<&ArtifactName>,
    ) -> Result<Purged, CacheError> {
        // The ledger also has releases whose index is gone or has changed.
        let version = release.map(|release| release.version.as_str());
        let seen =
            self.state.checksums(self.options.identity.key.as_str(), package.map(PackageName::as_str), version).await;
        let seen = seen.map_err(|error| CacheError::internal(Internal::Gate(Box::new(error))))?;
        let (repository, package, release) = (Arc::clone(self), package.cloned(), release.cloned());
        self.shared.blocking(move |_| repository.purge_files(&seen, package.as_ref(), release.as_ref())).await?
    }

    fn purge_files(
        &self,
        seen: &[(Option<Sha256>, Option<Sha256>)],
        package: Option<&PackageName>,
        release: Option<&ArtifactName>,
    ) -> Result<Purged, CacheError> {
        let mut purged = Purged::default();
        for (outer, inner) in seen {
            if let Some(expected) = outer.map(ExpectedFile::Outer).or(inner.map(ExpectedFile::Inner)) {
                purged.tarballs += usize::from(self.artifacts.purge(&expected)?);
            }
        }
        purged.docs = match release {
            Some(release) => usize::from(self.docs.purge(release)?),
            None => self.docs.purge_all(package.map(PackageName::as_str))?,
        };
        if let Some(answers) = &self.answers {
            let paths = package.map(|name| vec![format!("packages/{name}"), format!("packages/{name}/owners")]);
            let of_release = release.map(|one| format!("packages/{}/releases/{}", one.package, one.version));
            answers.purge(paths.map(|paths| paths.into_iter().chain(of_release).collect::<Vec<_>>()).as_deref())?;
        }
        let resource = package.map(|name| RegistryResource::Package(name.clone()));
        purged.resources = self.registry.purge(resource.as_ref())?;
        Ok(purged)
    }

    /// Verifies every stored resource of this repository again, those that the upstream signed and those that were
    /// signed here, and reports to `seen` whether it is undamaged; with `repair` damaged ones are removed. Blocks.
    pub fn scrub(&self, repair: bool, seen: &mut dyn FnMut(String, bool)) -> Result<(), CacheError> {
        self.registry.scrub(repair, seen)?;
        let Identity { key, name, .. } = self.identity();
        sealer::scrub(&self.shared.store, (key, name), self.options.sealer.as_ref(), repair, seen)?;
        if let Some((subject, is_sound)) = self.scrub_advisories(repair)? {
            seen(subject, is_sound);
        }
        Ok(())
    }

    fn check(&self, grant: &ReadGrant) -> Result<(), RepoError> {
        if grant.repository() == &self.options.identity.key { Ok(()) } else { Err(RepoError::NotFound) }
    }

    fn check_name(&self, name: &PackageName) -> Result<(), RepoError> {
        if self.options.identity.names.allows(name.as_str()) { Ok(()) } else { Err(RepoError::NotFound) }
    }

    /// How long clients may cache a tarball: for ever once it can no longer change.
    fn keep(&self, index: &PackageIndex, release: &Release) -> CacheLifetime {
        match self.options.checksum_changes {
            ChangeRule::Allow => CacheLifetime::Revalidate,
            ChangeRule::Refuse => CacheLifetime::Immutable,
            ChangeRule::Window => {
                let now = self.shared.clock.now();
                let past = |born: Option<Timestamp>, window| born.is_some_and(|born| now.since(born) > window);
                // A package is at least as old as any of its releases, so usually this release suffices.
                if past(release.published_at, PACKAGE_WINDOW) {
                    return CacheLifetime::Immutable;
                }
                let package_born = index.releases.iter().filter_map(|release| release.published_at).min();
                if past(release.published_at, RELEASE_WINDOW) && past(package_born, PACKAGE_WINDOW) {
                    CacheLifetime::Immutable
                } else {
                    CacheLifetime::Revalidate
                }
            }
        }
    }

    fn wanted(&self, name: &ArtifactName, expected: ExpectedFile) -> ArtifactRequest {
        let (registry, name) = (Arc::clone(&self.registry), name.clone());
        let deadline = self.options.deadline;
        let path = name.tarball_path();
        let recheck = Box::new(move |actual: Sha256| {
            let check: futures_util::future::BoxFuture<'static, bool> = Box::pin(async move {
                let resource = RegistryResource::Package(name.package.clone());
                let newest = registry.get_newest(&resource, true, Instant::now() + deadline).await;
                let Ok(newest) = newest else { return false };
                let refused = newest.value.refused.iter().any(|r| &*r.version == name.version.as_str());
                let Index::Package(index) = &*newest.value.index else { return false };
                !refused && index.release(&name.version).is_some_and(|release| release.outer == Some(actual))
            });
            check
        });
        ArtifactRequest { path, expected, recheck }
    }
}

/// An API's answers count as fresh at least this long: hex.pm lets clients cache them so long, and limits requests.
const API_TTL: Duration = Duration::from_secs(60);

/// The checksums that a tarball must have according to an index alone, for files that are not served yet.
fn expected_of(release: &Release) -> Option<ExpectedFile> {
    release.outer.map(ExpectedFile::Outer).or(release.inner.map(ExpectedFile::Inner))
}
