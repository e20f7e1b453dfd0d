//! Evaluates policies in the background: packages that a policy has not evaluated yet, and the filtered lists, so that
//! they are ready when a client requests them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::VirtualRepository;
use super::policy::{LISTS, PackageSource};
use super::view::View;
use crate::cache::fill::ExpectedFile;
use crate::cache::payload::Payload;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::enforcer::{Enforcer, Unevaluated, UnfilteredLists, Wait};
use crate::repository::{CacheLifetime, RepoError, Repository, RequestContext, Served, SignedBy};

/// The result of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Whether a request was sent to an upstream.
    pub asked: bool,
    /// Releases whose licences are needed for a decision and not known yet.
    pub unread: Vec<(ArtifactName, ExpectedFile)>,
}

impl VirtualRepository {
    /// `names` and `versions` of a member that is not virtual, filtered by `policies`.
    pub(super) async fn filtered_lists(
        &self,
        policies: &[&Arc<Enforcer>],
        repository: &Repository,
        wait: Wait,
        context: RequestContext,
    ) -> Result<Served<(Payload, Payload, CacheLifetime)>, RepoError> {
        let (served, keep) = match repository {
            Repository::Remote(remote) => {
                let served = remote.seen_lists(context.deadline).await?;
                let keep = CacheLifetime::For(served.value.ttl);
                (served, keep)
            }
            Repository::Local(_) | Repository::Virtual(_) => {
                // Read in this order, so that every entry in `versions` has a date in `names`.
                let versions = repository.whole(&RegistryResource::Versions, None, context).await?.value.0;
                let served = repository.whole(&RegistryResource::Names, None, context).await?;
                let keep = served.value.1;
                let ttl = match keep {
                    CacheLifetime::For(ttl) => ttl,
                    CacheLifetime::Revalidate | CacheLifetime::Immutable => LISTS,
                };
                (served.map(|(names, _)| UnfilteredLists { names, versions, names_is_older: false, ttl }), keep)
            }
        };
        let mut whole = served.value.clone();
        for enforcer in policies {
            whole = enforcer.filter_lists(repository.key(), whole, wait, None).await?;
        }
        Ok(served.map(|_| (whole.names, whole.versions, keep)))
    }

    /// Rebuilds the members' lists, filtered by a view's policies.
    pub(super) fn remake_lists<'a>(
        self: &'a Arc<Self>,
        view: &'a View,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<(), RepoError>> {
        Box::pin(async move {
            for (at, member) in self.members().iter().enumerate().filter(|(at, _)| view.sees(*at)) {
                if let (Repository::Virtual(below), Some(seen)) = (&member.repository, view.below(at)) {
                    below.remake_lists(seen, context).await?;
                    continue;
                }
                let key = member.repository.key();
                let rules = |one: &&Arc<Enforcer>| one.is_enforced() && one.rules(key).is_some();
                let policies: Vec<&Arc<Enforcer>> = view.policies().iter().filter(rules).collect();
                if !policies.is_empty() {
                    self.filtered_lists(&policies, &member.repository, Wait::Until(context.deadline), context).await?;
                }
            }
            Ok(())
        })
    }

    fn judged_members(&self, enforcer: &Enforcer, found: &mut Vec<Repository>) {
        for member in self.members() {
            match &member.repository {
                Repository::Virtual(below) => below.judged_members(enforcer, found),
                repository if enforcer.rules(repository.key()).is_none() => {}
                repository if found.iter().any(|one| one.is(repository)) => {}
                repository => found.push(repository.clone()),
            }
        }
    }
}

impl Repository {
    /// The repositories whose packages its policy has to evaluate in the background; none of them is virtual.
    pub fn evaluated_beforehand(&self) -> Vec<Self> {
        let Some(enforcer) = self.enforcer() else { return Vec::new() };
        let mut found = Vec::new();
        match self {
            Self::Virtual(composed) => composed.judged_members(enforcer, &mut found),
            Self::Remote(_) | Self::Local(_) => found.extend(enforcer.rules(self.key()).map(|_| self.clone())),
        }
        // Lists that are passed through come from the upstream, and a dry run does not filter lists.
        let has_lists = enforcer.is_enforced() && self.signature() == SignedBy::Own;
        found.retain(|source| has_lists || source.reads_licences(enforcer));
        found
    }

    /// Whether licences of its releases are read before the first download.
    fn reads_licences(&self, enforcer: &Enforcer) -> bool {
        let reads = self.as_remote().is_some_and(|remote| remote.reads_licences());
        reads && enforcer.asks_about_licences(self.key())
    }

    /// The packages of `source` that its policy has not evaluated yet.
    pub async fn unevaluated(&self, source: &Self, deadline: Instant) -> Result<Vec<Unevaluated>, RepoError> {
        let Some(enforcer) = self.enforcer() else { return Ok(Vec::new()) };
        let context = RequestContext { deadline, client: None };
        let names = source.unheld(&RegistryResource::Names, context).await?.value.0;
        let versions = source.unheld(&RegistryResource::Versions, context).await?.value.0;
        let whole = UnfilteredLists { names, versions, names_is_older: false, ttl: LISTS };
        enforcer.unevaluated_packages(source.key(), whole, source.reads_licences(enforcer)).await
    }

    /// Evaluates a package of `source`. A request is sent to an upstream only if the package has changed since the last
    /// one.
    pub async fn evaluate(&self, source: &Self, one: &Unevaluated, deadline: Instant) -> Result<Evaluated, RepoError> {
        let Some(enforcer) = self.enforcer() else { return Ok(Evaluated::default()) };
        let (package, context) = (&one.package, RequestContext { deadline, client: None });
        let now = enforcer.now();
        let (present, asked) = match source {
            Self::Remote(remote) => {
                let (present, asked) = remote.since_touched(one, deadline).await?;
                (Some((remote, present)), asked)
            }
            Self::Local(_) | Self::Virtual(_) => (None, false),
        };
        let judgement = match (self, &present) {
            (Self::Remote(_), Some((remote, present))) => remote.judgement(package, present, deadline).await?,
            (_, Some((remote, present))) => {
                let (shown, at) =
                    (remote.as_shown(package, Arc::clone(present), deadline).await?, present.confirmed_at);
                Some(PackageSource { repository: source, package, context }.judge(enforcer, &shown, at).await?)
            }
            (_, None) => {
                let whole = source.whole(&RegistryResource::Package(package.clone()), None, context).await?.value.0;
                Some(PackageSource { repository: source, package, context }.judge(enforcer, &whole, now).await?)
            }
        };
        let unread = match (&present, judgement) {
            (Some((remote, _)), Some(judgement)) if source.reads_licences(enforcer) => {
                remote.unread(enforcer, &judgement, package, deadline).await?
            }
            _ => Vec::new(),
        };
        Ok(Evaluated { asked, unread })
    }

    /// Reads the licences in the tarball of a release of `source`; returns whether this succeeded.
    pub async fn read_licences(
        &self,
        source: &Self,
        name: &ArtifactName,
        expected: ExpectedFile,
    ) -> Result<bool, RepoError> {
        match (self.enforcer(), source) {
            (Some(enforcer), Self::Remote(remote)) => remote.read_beforehand(enforcer, name, expected).await,
            _ => Ok(false),
        }
    }

    /// Rebuilds the lists filtered by its policy, before clients request them.
    pub async fn remake_lists(&self, deadline: Instant) -> Result<(), RepoError> {
        match self {
            Self::Remote(remote) => remote.remake_lists(deadline).await.map(drop),
            Self::Local(_) => Ok(()),
            Self::Virtual(composed) => {
                composed.remake_lists(&View::whole(composed), RequestContext { deadline, client: None }).await
            }
        }
    }
}
