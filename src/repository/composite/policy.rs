//! Applies policies to a view: evaluates packages in the repository that has them, and filters the lists.
//!
//! A release is evaluated by the rules for the repository that has it, which is never virtual. Held releases are
//! removed after a package has been merged, so that another member's release of the same version does not take their
//! place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::listing::{Kind, Listing};
use super::package::{Merged, ViewPackage};
use super::view::View;
use super::{Member, VirtualRepository};
use crate::cache::payload::Payload;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::name::{HEXPM, PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::policy::decide::{AllowedBy, Decision};
use crate::policy::overrides::Override;
use crate::policy::release_facts::PackageFacts;
use crate::policy::resource::{PublishedPolicy, Visibility};
use crate::policy::rules::ReleaseRules;
use crate::repository::enforcer::{
    AgeProofs, Enforcer, HiddenRelease, JudgedPackage, Judgement, PolicyStatements, ReleaseDecision, Wait, facts_of,
};
use crate::repository::{CacheLifetime, RepoError, Repository, RequestContext, Served};

/// How long lists are cached of a member that gives no lifetime.
pub(super) const LISTS: Duration = Duration::from_secs(60);

/// A package in the repository that has it.
#[derive(Clone, Copy)]
pub(in crate::repository) struct PackageSource<'a> {
    pub(in crate::repository) repository: &'a Repository,
    pub(in crate::repository) package: &'a PackageName,
    pub(in crate::repository) context: RequestContext,
}

impl PackageSource<'_> {
    /// When its upstream confirmed it; now, if it has no upstream.
    pub(super) async fn confirmed_at(&self, now: Timestamp) -> Result<Timestamp, RepoError> {
        match self.repository {
            Repository::Remote(remote) => remote.confirmed_at(self.package, self.context.deadline).await,
            Repository::Local(_) | Repository::Virtual(_) => Ok(now),
        }
    }

    /// Evaluates a policy for the package as it is in `shown`.
    pub(in crate::repository) async fn judge(
        &self,
        enforcer: &Enforcer,
        shown: &Payload,
        confirmed_at: Timestamp,
    ) -> Result<Arc<Judgement>, RepoError> {
        let subject = self.subject(enforcer, shown, confirmed_at);
        if let Some(known) = enforcer.known(subject) {
            return Ok(known);
        }
        // Boxed because it is rare: otherwise each request would reserve memory for it.
        let judged = Box::pin(async {
            let (facts, proofs) = self.facts(enforcer, shown).await?;
            enforcer.judge(subject, facts, proofs).await
        });
        judged.await
    }

    /// The policy's decision about each release, with the reason.
    pub(super) async fn decisions(
        &self,
        enforcer: &Enforcer,
        now: Timestamp,
    ) -> Result<BTreeMap<Box<str>, ReleaseDecision>, RepoError> {
        let resource = RegistryResource::Package(self.package.clone());
        let whole = self.repository.whole(&resource, None, self.context).await?.value.0;
        let (facts, proofs) = self.facts(enforcer, &whole).await?;
        Ok(enforcer.decisions(self.subject(enforcer, &whole, now), facts, proofs).await?.into_iter().collect())
    }

    fn subject(&self, enforcer: &Enforcer, shown: &Payload, confirmed_at: Timestamp) -> JudgedPackage<'_> {
        let (source, package) = (self.repository.key(), self.package);
        let generation = enforcer.generation(source, package);
        JudgedPackage { source, package, digest: *shown.digest(), confirmed_at, generation }
    }

    async fn facts(&self, enforcer: &Enforcer, shown: &Payload) -> Result<(PackageFacts, AgeProofs), RepoError> {
        let (payload, package) = (shown.clone(), self.package.clone());
        let facts = enforcer.blocking(move || facts_of(&payload, package)).await??;
        let proofs = match self.repository {
            Repository::Remote(remote) if enforcer.needs_proofs(remote.key(), &facts) => {
                remote.proofs(&facts, self.context.deadline).await?
            }
            _ => AgeProofs::default(),
        };
        Ok((facts, proofs))
    }
}

/// The decision of one policy about the releases that a view has from one member.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    enforcer: Arc<Enforcer>,
    /// Key of the repository that has the releases.
    source: RepoName,
    /// The member that the view gets them from.
    member: usize,
    /// The releases that it applies to; `None`: all.
    releases: Option<BTreeSet<Box<str>>>,
    judgement: Arc<Judgement>,
}

impl Verdict {
    pub(super) fn new(enforcer: &Arc<Enforcer>, source: &RepoName, member: usize, judgement: Arc<Judgement>) -> Self {
        Self { enforcer: Arc::clone(enforcer), source: source.clone(), member, releases: None, judgement }
    }

    /// The same verdict for the repository above, of which the repository that has merged the package is the member
    /// `member`.
    pub(super) fn through(&self, member: usize, merged: &Merged) -> Self {
        let its = merged.owners.iter().filter(|(version, at)| **at == self.member && self.is_about(version));
        Self { member, releases: Some(its.map(|(version, _)| version.clone()).collect()), ..self.clone() }
    }

    fn is_about(&self, version: &str) -> bool {
        self.releases.as_ref().is_none_or(|releases| releases.contains(version))
    }

    /// The versions that it removes.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        let versions = self.enforcer.left_out(&self.judgement).iter().map(|held| &*held.version);
        versions.filter(|version| self.is_about(version))
    }

    /// The releases that it removes.
    pub(super) fn hidden(&self) -> Vec<HiddenRelease> {
        self.enforcer.hidden(&self.judgement).filter(|one| self.is_about(&one.version)).collect()
    }

    /// When the shown releases change by themselves.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.judgement.evaluation.next_change.filter(|_| self.enforcer.is_enforced())
    }
}

/// The releases that the policy of a repository holds, by member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeldByMember(BTreeSet<(usize, Box<str>)>);

impl HeldByMember {
    pub(super) fn has(&self, member: usize, version: &str) -> bool {
        self.0.contains(&(member, version.into()))
    }

    /// Digest of the holds, for the stamp of a resource that depends on them.
    pub(super) fn digest(&self) -> Option<Sha256> {
        let text: String = self.0.iter().map(|(member, version)| format!("{member} {version}\n")).collect();
        (!text.is_empty()).then(|| Sha256::of(text.as_bytes()))
    }
}

impl VirtualRepository {
    /// The active policy of this repository.
    pub fn enforcer(&self) -> Option<&Arc<Enforcer>> {
        self.enforcer.as_ref()
    }

    /// Whether a verdict is that of the policy of this repository.
    pub(super) fn is_own_verdict(&self, verdict: &Verdict) -> bool {
        self.enforcer.as_ref().is_some_and(|own| Arc::ptr_eq(own, &verdict.enforcer))
    }

    /// The decision of this repository's policy about a member's release.
    fn verdict<'a>(&self, found: &'a ViewPackage, member: usize, version: &str) -> Option<&'a Verdict> {
        let mut own = found.verdicts.iter().filter(|verdict| self.is_own_verdict(verdict));
        own.find(|verdict| verdict.member == member && verdict.is_about(version))
    }

    /// The releases that this repository's policy removes, among those of `verdicts`.
    pub(super) fn held<'a>(&self, verdicts: impl Iterator<Item = &'a Verdict>) -> HeldByMember {
        let own = verdicts.filter(|verdict| self.is_own_verdict(verdict) && verdict.enforcer.is_enforced());
        let held = own.flat_map(|verdict| {
            let held = verdict.judgement.evaluation.held.iter().map(|held| &held.version);
            held.filter(|version| verdict.is_about(version)).map(|version| (verdict.member, version.clone()))
        });
        HeldByMember(held.collect())
    }

    /// The statements of the policy about a member's releases of a package, independent of the caller.
    pub(super) fn policy_says(&self, found: &ViewPackage, member: usize, package: &PackageName) -> PolicyStatements {
        let mut all = PolicyStatements::default();
        for verdict in found.verdicts.iter().filter(|one| self.is_own_verdict(one) && one.member == member) {
            let said = verdict.enforcer.says(package, &verdict.judgement, |version| verdict.is_about(version));
            all.held.extend(said.held);
            all.exempt.extend(said.exempt);
        }
        all
    }

    /// The decision of the policy about each release of a package, with the reason.
    pub async fn explain_policy(
        self: &Arc<Self>,
        package: &PackageName,
        context: RequestContext,
    ) -> Result<Vec<(Box<str>, ReleaseDecision)>, RepoError> {
        let Some(enforcer) = &self.enforcer else { return Ok(Vec::new()) };
        let found = self.package(&View::whole(self), package, context).await?.value;
        let mut by_source: BTreeMap<RepoName, BTreeMap<Box<str>, ReleaseDecision>> = BTreeMap::new();
        for verdict in found.verdicts.iter().filter(|verdict| self.is_own_verdict(verdict)) {
            let Some(repository) = self.below(&verdict.source) else { continue };
            let source = PackageSource { repository: &repository, package, context };
            let decisions = source.decisions(enforcer, self.shared.clock.now()).await?;
            by_source.insert(verdict.source.clone(), decisions);
        }
        let decision = |version: &str, member: usize| {
            let verdict = self.verdict(&found, member, version)?;
            by_source.get(&verdict.source)?.get(version).cloned()
        };
        let clean = || ReleaseDecision {
            decision: Decision::Allowed { because: AllowedBy::Clean, until: None },
            is_provisional: false,
        };
        let all = found.merged.owners.iter().filter(|(version, _)| !found.merged.hides(version));
        Ok(all.map(|(version, at)| (version.clone(), decision(version, *at).unwrap_or_else(clean))).collect())
    }

    /// A direct or indirect member that is not virtual.
    pub(super) fn below(&self, key: &RepoName) -> Option<Repository> {
        self.members().iter().find_map(|member| match &member.repository {
            Repository::Virtual(below) => below.below(key),
            repository => (repository.key() == key).then(|| repository.clone()),
        })
    }

    /// A member's list with and without the releases that are held by policy.
    pub(super) async fn both_listings(
        &self,
        view: &View,
        at: usize,
        member: &Member,
        kind: Kind,
        context: RequestContext,
    ) -> Result<Served<(Arc<Listing>, Arc<Listing>, CacheLifetime)>, RepoError> {
        let whole = match view.unheld_below(at) {
            Some(below) => self.listing(at, kind, Some(below), context).await?,
            None => self.unheld_listing(at, member, kind, context).await?,
        };
        let touched = || view.policies().iter().any(|one| one.is_enforced()) || member.repository.is_policed();
        if view.is_unheld() || !touched() {
            return Ok(whole.map(|(whole, keep)| (Arc::clone(&whole), whole, keep)));
        }
        let shown = self.shown_listing(view, at, &member.repository, kind, context).await?;
        Ok(shown.map(|(shown, keep)| (whole.value.0, shown, keep)))
    }

    async fn shown_listing(
        &self,
        view: &View,
        at: usize,
        repository: &Repository,
        kind: Kind,
        context: RequestContext,
    ) -> Result<Served<(Arc<Listing>, CacheLifetime)>, RepoError> {
        let rules = |one: &&Arc<Enforcer>| one.is_enforced() && one.rules(repository.key()).is_some();
        let policies: Vec<&Arc<Enforcer>> = view.policies().iter().filter(rules).collect();
        if view.below(at).is_some() || policies.is_empty() {
            return self.listing(at, kind, view.below(at), context).await;
        }
        let served = self.filtered_lists(&policies, repository, Wait::No(context.deadline), context).await?;
        let served = served.map(|(names, versions, keep)| match kind {
            Kind::Names => (names, keep),
            Kind::Versions => (versions, keep),
        });
        self.split_listing((at, kind, Some(view.under())), served).await
    }

    /// The policy of this repository, if `resource` is its name, for clients to show and to apply. It is published only
    /// if it is enforced, and if the repository has a name under which clients accept policies.
    ///
    /// Clients match releases by the name of this repository alone. If the same rules apply to all public members, they
    /// are published with an exception for each claimed name that the caller may see. Otherwise the policy is published
    /// without rules.
    pub(super) async fn published_policy(
        self: &Arc<Self>,
        view: &View,
        resource: &RegistryResource,
        context: RequestContext,
    ) -> Result<Option<(Payload, CacheLifetime)>, RepoError> {
        let (RegistryResource::Policy(name), Some(enforcer)) = (resource, &self.enforcer) else { return Ok(None) };
        if self.options.identity.name.as_str() == HEXPM || !enforcer.is_enforced() || enforcer.name() != name {
            return Ok(None);
        }
        let claimed = self.claims(context).await?.seen(view);
        let exempt: Vec<PackageName> = claimed.iter().filter_map(|name| name.parse().ok()).collect();
        let visibility = if self.options.identity.access.is_open() { Visibility::Public } else { Visibility::Private };
        let waivers = enforcer.waivers().await?;
        let encoded = |rules: &ReleaseRules, waivers: &[Override], exempt: &[PackageName]| {
            let (repository, description) = (&self.options.identity.name, enforcer.description());
            let published = PublishedPolicy { repository, name, description, visibility, rules, waivers, exempt };
            published.encode(self.shared.clock.now())
        };
        let restricted = self.public_rules(enforcer).map(|rules| encoded(rules, &waivers, &exempt));
        let fits = |payload: &Vec<u8>| payload.len() <= limits::POLICY_PAYLOAD;
        let payload = restricted.filter(fits).unwrap_or_else(|| encoded(&ReleaseRules::default(), &[], &[]));
        let key = (Arc::clone(&view.scope), resource.clone());
        Ok(Some((self.policies.keep(key, Payload::new(payload)), CacheLifetime::For(LISTS))))
    }

    /// The rules for public members, if they are the same for all of them.
    fn public_rules<'a>(&self, enforcer: &'a Enforcer) -> Option<&'a ReleaseRules> {
        let mut public = Vec::new();
        self.public_sources(&mut public);
        let first = enforcer.rules(public.first()?)?;
        public.iter().all(|key| enforcer.rules(key) == Some(first)).then_some(first)
    }

    fn public_sources(&self, found: &mut Vec<RepoName>) {
        for member in self.members().iter().filter(|member| !member.private) {
            match &member.repository {
                Repository::Virtual(below) => below.public_sources(found),
                repository => found.push(repository.key().clone()),
            }
        }
    }
}

impl Repository {
    /// Whether a policy is active in it or in a member.
    pub(in crate::repository) fn is_policed(&self) -> bool {
        match self {
            Self::Remote(remote) => remote.enforcer().is_some(),
            Self::Local(_) => false,
            Self::Virtual(composed) => {
                composed.enforcer.is_some() || composed.members().iter().any(|member| member.repository.is_policed())
            }
        }
    }

    /// Its active policy.
    pub fn enforcer(&self) -> Option<&Arc<Enforcer>> {
        match self {
            Self::Remote(remote) => remote.enforcer(),
            Self::Local(_) => None,
            Self::Virtual(composed) => composed.enforcer(),
        }
    }

    /// The decision of its policy about each release of a package, with the reason.
    pub async fn explain_policy(
        &self,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<Vec<(Box<str>, ReleaseDecision)>, RepoError> {
        match self {
            Self::Remote(remote) => remote.explain_policy(package, deadline).await,
            Self::Local(_) => Ok(Vec::new()),
            Self::Virtual(composed) => {
                composed.explain_policy(package, RequestContext { deadline, client: None }).await
            }
        }
    }
}
