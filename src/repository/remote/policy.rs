//! A remote repository under a policy: what it says of a package, and what is left of the lists.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::time::Instant;

use super::{Listed, RemoteRepository};
use crate::auth::ReadGrant;
use crate::cache::artifacts::Proven;

use crate::cache::fill::Expected;
use crate::cache::present::{Present, SignedBy};
use crate::cache::{CacheError, Served};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::policy::bulk;
use crate::policy::decide::Decision;
use crate::policy::facts::PackageFacts;
use crate::policy::filter::earlier;
use crate::repository::enforcer::licences::{self, Probe};
use crate::repository::enforcer::{Asker, Enforcer, Judgement, Proofs, Subject};
use crate::repository::error::RepoError;
use crate::repository::{Context, Keep};
use crate::trust::{SignedResource, Signer, VerifyError};

/// How long `names` is waited for where it would prove how old a package is.
const NAMES_WITHIN: Duration = Duration::from_secs(2);

/// Packages of which something is left out, signed.
const VIEWS: u64 = 10_000;

/// The policy of a remote repository, and what it has made of its resources.
#[derive(Debug)]
pub(super) struct Policed {
    pub(super) enforcer: Arc<Enforcer>,
    views: moka::sync::Cache<PackageName, Arc<View>>,
    lists: RwLock<Option<Arc<Lists>>>,
    /// One makes the lists.
    making_lists: tokio::sync::Mutex<()>,
    touched: RwLock<Option<Touched>>,
}

/// A package without what is held, signed with our key.
#[derive(Debug)]
struct View {
    judgement: Arc<Judgement>,
    signed: Result<SignedResource, CacheError>,
}

/// `names` and `versions` with what is known to be allowed.
#[derive(Debug)]
struct Lists {
    made_from: [Sha256; 2],
    made_at: Timestamp,
    /// When something in them may be held.
    until: Option<Timestamp>,
    names: SignedResource,
    versions: SignedResource,
}

/// When each package was last touched, by one copy of `names`.
#[derive(Debug)]
struct Touched {
    source: Sha256,
    packages: HashMap<Box<str>, Timestamp>,
}

impl Policed {
    pub(super) fn new(enforcer: Enforcer) -> Self {
        Self {
            enforcer: Arc::new(enforcer),
            views: moka::sync::Cache::new(VIEWS),
            lists: RwLock::default(),
            making_lists: tokio::sync::Mutex::default(),
            touched: RwLock::default(),
        }
    }
}

impl RemoteRepository {
    /// What its policy says of a package as it is now; `None` without a policy.
    async fn judgement(
        &self,
        package: &PackageName,
        present: &Arc<Present>,
        deadline: Instant,
    ) -> Result<Option<Arc<Judgement>>, RepoError> {
        let Some(policed) = &self.policed else { return Ok(None) };
        let (digest, confirmed_at) = (present.source, present.confirmed_at);
        let subject = Subject { source: self.key(), package, digest, confirmed_at };
        if let Some(known) = policed.enforcer.known(subject) {
            return Ok(Some(known));
        }
        let (facts, proofs) = self.facts(policed, package, present, deadline).await?;
        policed.enforcer.judge(subject, facts, proofs).await.map(Some)
    }

    /// What the policy says of each release of a package, and why.
    pub async fn explain_policy(
        &self,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<Vec<(Box<str>, Decision)>, RepoError> {
        let Some(policed) = &self.policed else { return Ok(Vec::new()) };
        let present = self.registry.get(&RegistryResource::Package(package.clone()), deadline).await?.value;
        let (digest, confirmed_at) = (present.source, present.confirmed_at);
        let subject = Subject { source: self.key(), package, digest, confirmed_at };
        let (facts, proofs) = self.facts(policed, package, &present, deadline).await?;
        policed.enforcer.decisions(subject, facts, proofs).await
    }

    /// The policy at work here.
    pub fn enforcer(&self) -> Option<&Arc<Enforcer>> {
        self.policed.as_ref().map(|policed| &policed.enforcer)
    }

    /// What a decision about a package looks at, beside what is owed to lock files.
    async fn facts(
        &self,
        policed: &Policed,
        package: &PackageName,
        present: &Arc<Present>,
        deadline: Instant,
    ) -> Result<(PackageFacts, Proofs), RepoError> {
        let resource = RegistryResource::Package(package.clone());
        let body = body(present)?;
        let read = move || {
            let payload = payload(body, &resource)?;
            PackageFacts::read(&payload)
                .map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))
        };
        let facts = self.shared.blocking(move |_| read()).await??;
        let proofs = match policed.enforcer.needs_proofs(self.key(), &facts) {
            true => self.proofs(package, &facts, deadline).await?,
            false => Proofs::default(),
        };
        Ok((facts, proofs))
    }

    /// What proves the age of a package's releases beside their dates.
    async fn proofs(
        &self,
        package: &PackageName,
        facts: &PackageFacts,
        deadline: Instant,
    ) -> Result<Proofs, RepoError> {
        let sights = self.state.first_sights(self.key().as_str(), package.as_str()).await?;
        let seen = facts.releases.iter().filter_map(|release| {
            let (checksum, at) = sights.get(&*release.text)?;
            (*checksum == release.outer.or(release.inner)).then(|| (release.text.clone(), *at))
        });
        let first_seen = seen.collect();
        let patience = deadline.min(Instant::now() + NAMES_WITHIN);
        Ok(Proofs { updated_at: self.touched(package, patience).await, first_seen })
    }

    /// When the upstream last touched a package, as far as it says so in time.
    async fn touched(&self, package: &PackageName, deadline: Instant) -> Option<Timestamp> {
        let policed = self.policed.as_ref()?;
        let present = self.registry.get(&RegistryResource::Names, deadline).await.ok()?.value;
        let of = |known: &Option<Touched>| {
            let known = known.as_ref().filter(|known| known.source == present.source)?;
            Some(known.packages.get(package.as_str()).copied())
        };
        if let Some(found) = of(&policed.touched.read()) {
            return found;
        }
        let body = body(&present).ok()?;
        let read = move || {
            let payload = payload(body, &RegistryResource::Names).ok()?;
            let touched = bulk::touched(&payload).ok()?;
            Some(touched.into_iter().filter_map(|(name, at)| Some((Box::from(name), at?))).collect::<HashMap<_, _>>())
        };
        let packages = self.shared.blocking(move |_| read()).await.ok()??;
        let mut known = policed.touched.write();
        *known = Some(Touched { source: present.source, packages });
        of(&known).flatten()
    }

    /// Refuses a release that the policy holds; says so where it only would.
    pub(super) async fn ask_policy(
        &self,
        grant: &ReadGrant,
        context: Context,
        name: &ArtifactName,
        present: &Arc<Present>,
    ) -> Result<(), RepoError> {
        let judgement = self.judgement(&name.package, present, context.deadline).await?;
        let (Some(judgement), Some(policed)) = (judgement, &self.policed) else { return Ok(()) };
        match judgement.evaluation.held(name.version.as_str()) {
            Some(held) => policed.enforcer.deny(name, held, Asker { grant, client: context.client }),
            None => Ok(()),
        }
    }

    /// Asks the policy once more when the tarball itself says what its licences are, then writes down that the release
    /// is delivered.
    pub(super) async fn before_delivery(
        self: &Arc<Self>,
        grant: &ReadGrant,
        context: Context,
        name: &ArtifactName,
        listed: &Listed,
        proven: &Proven,
    ) -> Result<(), RepoError> {
        let Some(policed) = &self.policed else { return Ok(()) };
        let enforcer = &policed.enforcer;
        if enforcer.asks_for_licences(self.key(), &proven.digest).await? {
            self.read_licences(context, name, listed, proven.digest).await?;
            let resource = RegistryResource::Package(name.package.clone());
            let present = self.registry.get(&resource, context.deadline).await?.value;
            self.ask_policy(grant, context, name, &present).await?;
        }
        if let Expected::Outer(digest) | Expected::Inner(digest) = &listed.expected {
            enforcer.delivered(self.key(), name, &digest.to_string()).await;
        }
        Ok(())
    }

    /// Reads the licences out of a tarball, of which there may be no more than a beginning. They count at once, and are
    /// kept when all of it has been proven.
    async fn read_licences(
        self: &Arc<Self>,
        context: Context,
        name: &ArtifactName,
        listed: &Listed,
        digest: Sha256,
    ) -> Result<(), RepoError> {
        let Some(policed) = &self.policed else { return Ok(()) };
        let enforcer = Arc::clone(&policed.enforcer);
        let wanted = self.wanted(name, listed.expected.clone());
        let mut probe = Probe::new(self.artifacts.get(wanted, context.deadline).await?.value.artifact);
        let stated = tokio::time::timeout_at(context.deadline, probe.stated()).await;
        let late = CacheError::NoOutcome(crate::cache::flights::NoOutcome::Deadline);
        let stated = stated.map_err(|_| late)?.map_err(|error| {
            tracing::debug!(release = %name, error = &error as &dyn std::error::Error, "a tarball broke off");
            CacheError::MissingListed
        })?;
        enforcer.suppose(self.key(), &name.package, digest, Arc::clone(&stated));
        let (shared, source, package) = (self.shared.clone(), self.key().clone(), name.package.clone());
        let prove = async move {
            let proven = probe.is_whole() || probe.prove().await.is_ok();
            if proven {
                let kept = Arc::clone(&stated);
                // What is not kept is read again at the next download.
                let _ = shared.blocking(move |store| licences::keep(store, &digest, &kept)).await;
            } else {
                enforcer.unsuppose(&source, &package, &digest);
            }
        };
        self.shared.tasks.spawn(prove);
        Ok(())
    }

    /// A resource that is signed by us, without what is held.
    pub(super) async fn policed(
        self: &Arc<Self>,
        resource: &RegistryResource,
        served: Served<Arc<Present>>,
        context: Context,
    ) -> Result<Served<(SignedResource, Keep)>, RepoError> {
        let ttl = self.options.rules.ttl;
        let own = served.value.signed(SignedBy::Own).cloned().ok_or(RepoError::NotFound)?;
        let unchanged = (own, Keep::For(ttl));
        let (Some(policed), Some(signer)) = (&self.policed, &self.options.signer) else {
            return Ok(served.map(|_| unchanged));
        };
        if !policed.enforcer.is_enforced() {
            if let RegistryResource::Package(name) = resource {
                // Nothing is left out; what would be is known to those who ask.
                self.judgement(name, &served.value, context.deadline).await?;
            }
            return Ok(served.map(|_| unchanged));
        }
        match resource {
            RegistryResource::Policy(_) => Ok(served.map(|_| unchanged)),
            RegistryResource::Package(name) => {
                let Some(judgement) = self.judgement(name, &served.value, context.deadline).await? else {
                    return Ok(served.map(|_| unchanged));
                };
                let now = self.shared.clock.now();
                let change = judgement.evaluation.next_change;
                let keep = Keep::For(change.map_or(ttl, |change| change.since(now).min(ttl)));
                if judgement.evaluation.held.is_empty() {
                    let (own, _) = unchanged;
                    return Ok(served.map(|_| (own, keep)));
                }
                let view = self.view(policed, signer, name, judgement, unchanged.0).await?;
                let signed = view.signed.clone()?;
                Ok(served.map(|_| (signed, keep)))
            }
            RegistryResource::Names | RegistryResource::Versions => {
                let lists = self.bulk_lists(policed, signer, context).await?;
                let signed = if *resource == RegistryResource::Names { &lists.names } else { &lists.versions };
                let signed = signed.clone();
                Ok(served.map(|_| (signed, Keep::For(ttl))))
            }
        }
    }

    /// A package without what is held: filtered and signed once for all who ask until its judgement changes.
    async fn view(
        &self,
        policed: &Policed,
        signer: &Arc<Signer>,
        name: &PackageName,
        judgement: Arc<Judgement>,
        own: SignedResource,
    ) -> Result<Arc<View>, RepoError> {
        let is_this = |view: &Arc<View>| Arc::ptr_eq(&view.judgement, &judgement);
        if let Some(view) = policed.views.get(name).filter(is_this) {
            return Ok(view);
        }
        let (views, name, signer) = (policed.views.clone(), name.clone(), Arc::clone(signer));
        let judgement = Arc::clone(&judgement);
        let make = move || {
            let resource = RegistryResource::Package(name.clone());
            let is_other = |view: &Arc<View>| !Arc::ptr_eq(&view.judgement, &judgement);
            let sealed = || {
                let payload = payload(own.body().clone(), &resource)?;
                let filtered = judgement.evaluation.filter(&payload).map_err(CacheError::untrusted)?;
                signer.seal(&filtered).map_err(CacheError::internal)
            };
            let init = || Arc::new(View { judgement: Arc::clone(&judgement), signed: sealed() });
            views.entry(name.clone()).or_insert_with_if(init, is_other).into_value()
        };
        Ok(self.shared.blocking(move |_| make()).await?)
    }

    /// `names` and `versions`, made again when their upstream has others, and otherwise as often as it is asked.
    async fn bulk_lists(
        self: &Arc<Self>,
        policed: &Policed,
        signer: &Arc<Signer>,
        context: Context,
    ) -> Result<Arc<Lists>, RepoError> {
        let names = self.registry.get(&RegistryResource::Names, context.deadline).await?.value;
        let versions = self.registry.get(&RegistryResource::Versions, context.deadline).await?.value;
        let made_from = [names.source, versions.source];
        let _one = policed.making_lists.lock().await;
        let now = self.shared.clock.now();
        let is_fresh = |lists: &Arc<Lists>| {
            lists.made_from == made_from
                && now.since(lists.made_at) < self.options.rules.ttl
                && lists.until.is_none_or(|until| now < until)
        };
        if let Some(lists) = policed.lists.read().clone().filter(is_fresh) {
            return Ok(lists);
        }
        let Some(rules) = policed.enforcer.rules(self.key()).cloned() else { return Err(RepoError::NotFound) };
        let evaluated = policed.enforcer.evaluated(self.key());
        let signed = |present: &Present| present.signed(SignedBy::Own).cloned().ok_or(RepoError::NotFound);
        let (names, versions, signer) = (signed(&names)?, signed(&versions)?, Arc::clone(signer));
        let make = move || {
            let name_list = payload(names.body().clone(), &RegistryResource::Names)?;
            let version_list = payload(versions.body().clone(), &RegistryResource::Versions)?;
            let shown = bulk::shown(&name_list, &version_list, &rules, &evaluated, now);
            let shown = shown.map_err(CacheError::untrusted)?;
            let seal = |whole: &SignedResource, payload: Cow<'_, [u8]>| match payload {
                Cow::Borrowed(_) => Ok(whole.clone()),
                Cow::Owned(less) => signer.seal(&less).map_err(CacheError::internal),
            };
            Ok::<_, CacheError>(Lists {
                made_from,
                made_at: now,
                until: evaluated
                    .values()
                    .fold(None, |until, found| earlier(until, found.next_change.filter(|change| *change > now))),
                names: seal(&names, shown.names(&name_list).map_err(CacheError::untrusted)?)?,
                versions: seal(&versions, shown.versions(&version_list).map_err(CacheError::untrusted)?)?,
            })
        };
        let lists = Arc::new(self.shared.blocking(move |_| make()).await??);
        *policed.lists.write() = Some(Arc::clone(&lists));
        Ok(lists)
    }
}

/// The bytes of a resource under whichever signature there is.
fn body(present: &Present) -> Result<Bytes, RepoError> {
    let signed = [SignedBy::Upstream, SignedBy::Own].into_iter().find_map(|by| present.signed(by));
    signed.map(|signed| signed.body().clone()).ok_or(RepoError::NotFound)
}

/// What is inside bytes that were verified or signed here. Blocks.
fn payload(body: Bytes, resource: &RegistryResource) -> Result<Bytes, CacheError> {
    let envelope = Envelope::open(body, resource.max_payload()).map_err(CacheError::untrusted)?;
    Ok(envelope.payload)
}
