//! A remote repository: an upstream, seen through a cache that verifies.

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
use super::error::{NotHere, RepoError};
use super::hidden_releases::{RegistryAnswer, ResourceContent};
use super::last_made::LastMade;
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

/// Everything that makes a remote repository what it is.
#[derive(Debug)]
pub struct RemoteOptions {
    /// What it is called, and who may read it.
    pub identity: Identity,
    /// The upstream's base URL.
    pub url: String,
    /// Keys of which one must have signed.
    pub public_keys: Vec<PublicKey>,
    /// Whose signature its resources carry at its own addresses.
    pub signature: SignedBy,
    /// Signs with our key: needed where `signature` is ours, and where this repository is to be an organization of one
    /// that is signed by us, whose clients verify both with one key.
    pub sealer: Option<Sealer>,
    /// Freshness of registry resources.
    pub rules: FreshnessRules,
    /// How long a miss is remembered.
    pub missing_ttl: Duration,
    /// How long docs count as fresh.
    pub docs_ttl: Duration,
    /// From request to first byte.
    pub deadline: Duration,
    /// Whether checksums may change.
    pub checksum_changes: ChangeRule,
    /// What upstream removes.
    pub on_delete: OnRemoved,
    /// The upstream's HTTP API, where it has one: its base URL, and how it is reached.
    pub api: Option<(String, Arc<dyn Upstream>)>,
    /// Whose rules hold releases back.
    pub policy: Option<PolicyOptions>,
    /// Advisories that are added to those of its index, where it is signed by us.
    pub advisories: Option<AdvisoryFeed>,
    /// What of its releases is read before anybody asks.
    pub metadata: MetadataMode,
    /// Whether all its tarballs are to be here.
    pub mirrored: bool,
    /// Whether its names are private: of a private member of a virtual repository, or of one that is no member and not open
    /// to everybody. The names that it has once had stay claimed, and no public upstream hears them.
    pub is_private: bool,
    /// Where it is told what clients ask for, if that is wanted.
    pub asked: Option<PrefetchQueue>,
}

/// What of releases is read before anybody asks, where a policy looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMode {
    /// Their indexes.
    Lazy,
    /// What their tarballs state as licences, too.
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
    /// Resources with more advisories than the upstream's.
    advised: Advised,
    /// The policy as it was published last.
    published: LastMade<RegistryResource>,
    /// Lists for callers who may read some names, by what they were cut from and the patterns.
    limited: moka::sync::Cache<(Sha256, BTreeSet<String>), Payload>,
}

/// What a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Registry resources.
    pub resources: usize,
    /// Tarballs.
    pub tarballs: usize,
    /// Docs.
    pub docs: usize,
}

/// Lists that are kept for callers who may read some names.
const LIMITED: u64 = 16;

/// Whether a caller may read this package.
fn check_right(grant: &ReadGrant, name: &PackageName) -> Result<(), RepoError> {
    if grant.packages().allows(name.as_str()) { Ok(()) } else { Err(RepoError::Withheld) }
}

impl RemoteRepository {
    /// A repository whose caches are empty in memory. `owner` is a number that no other repository object has; the
    /// first public key is what `/public_key` answers where upstream's signature is served. `None` without any key.
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

    /// What it is called, and who may do what.
    pub fn identity(&self) -> &Identity {
        &self.options.identity
    }

    /// Key in the configuration.
    pub fn key(&self) -> &RepoName {
        &self.options.identity.key
    }

    /// Whose signature its resources carry at its own addresses.
    pub fn signature(&self) -> SignedBy {
        self.options.signature
    }

    /// The key that clients verify with where they want this signature.
    pub fn public_key(&self, signed_by: SignedBy) -> &PublicKey {
        match (&self.options.sealer, signed_by) {
            (Some(sealer), SignedBy::Own) => sealer.public_key(),
            _ => &self.upstream_key,
        }
    }

    /// The upstream, for its state.
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
        // Only here: what a virtual repository shows of it is not what its rules are about.
        if signed_by == SignedBy::Own
            && let Some(published) = self.published_policy(resource).await?
        {
            return Ok(Served::at_once(published.into(), CacheStatus::Hit));
        }
        let served = self.content(resource, signed_by, context).await?;
        self.sent(resource, Scope::Whole, served).await
    }

    /// What is sent of a resource; signed where it was not.
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

    /// What is sent of a resource that is here, with what its policy holds and without what an added dump says: for mirrors.
    pub async fn signed_unheld(
        &self,
        resource: &RegistryResource,
        present: &ReadyResource,
    ) -> Result<SignedResource, RepoError> {
        let payload = present.payload(self.options.signature).cloned().ok_or(RepoError::NotFound)?;
        let content = Served::at_once(ResourceContent::from((payload, CacheLifetime::Revalidate)), CacheStatus::Hit);
        Ok(self.sent(resource, Scope::Whole, content).await?.value.signed)
    }

    /// A list with those names that a caller may read, signed by us: what is passed through cannot be cut to measure.
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

    /// A resource, whoever asks: for virtual repositories, which show it by the rights of their callers.
    pub(super) async fn whole(
        self: &Arc<Self>,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        Ok(self.content(resource, signed_by, context).await?.map(|content| (content.payload, content.keep)))
    }

    /// The same with what is known of releases that the policy hides.
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

    /// Tells what a client has asked for; what this server asks for by itself is no reason to ask for more.
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

    /// The same with what a policy holds back: of what it says nothing is shown, but who has which names.
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

    /// A resource by the rules of freshness. Where nobody is asked, what is missing has a name.
    async fn resource(
        &self,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<Served<Arc<ReadyResource>>, RepoError> {
        if let RegistryResource::Policy(name) = resource
            && !self.options.is_private
            && self.directory.has_policy(name)
        {
            // It is this server's, and none of a public upstream's business.
            return Err(RepoError::NotFound);
        }
        let error = match self.registry.get(resource, deadline).await {
            Ok(served) => return Ok(served),
            Err(error) => self.failure(error, resource),
        };
        Err(match (error, resource) {
            // The signed list is as good as an answer: others may have the package then.
            (RepoError::Offline { what, .. }, RegistryResource::Package(name)) => {
                let unlisted = matches!(self.lists(name, deadline).await, Ok(false));
                RepoError::Offline { what, kind: if unlisted { NotHere::Unlisted } else { NotHere::Listed } }
            }
            (error, _) => error,
        })
    }

    /// Why a resource is not answered.
    fn failure(&self, error: CacheError, resource: &RegistryResource) -> RepoError {
        RepoError::of(error, NotHere::Listed, format_args!("{resource} of {}", self.options.identity.key))
    }

    /// Whether the upstream's list of names has a package: whoever looks for one this way tells nobody which.
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

    /// Forgets what is cached of a package, of one release, or of everything.
    pub async fn purge(
        self: &Arc<Self>,
        package: Option<&PackageName>,
        release: Option<&ArtifactName>,
    ) -> Result<Purged, CacheError> {
        // The ledger knows releases whose index is gone or has changed.
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

    /// Proves every stored resource of this repository again, what upstream signed and what was signed here, and says of
    /// each whether it is sound; with `repair` the others are removed. Blocks.
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

    /// How long others may keep a tarball: for ever once it can no longer change.
    fn keep(&self, index: &PackageIndex, release: &Release) -> CacheLifetime {
        match self.options.checksum_changes {
            ChangeRule::Allow => CacheLifetime::Revalidate,
            ChangeRule::Refuse => CacheLifetime::Immutable,
            ChangeRule::Window => {
                let now = self.shared.clock.now();
                let past = |born: Option<Timestamp>, window| born.is_some_and(|born| now.since(born) > window);
                // A package is as old as any of its releases: most need no look at the others.
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

/// An API's answers count as fresh at least this long: hex.pm lets others keep them so long, and counts requests.
const API_TTL: Duration = Duration::from_secs(60);

/// What a tarball has to be, by an index alone: for files that nobody is served yet.
fn expected_of(release: &Release) -> Option<ExpectedFile> {
    release.outer.map(ExpectedFile::Outer).or(release.inner.map(ExpectedFile::Inner))
}
