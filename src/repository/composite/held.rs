//! What policies of a view hold, for those who tell of it beside the registry.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::policy::Source;
use super::view::View;
use crate::auth::ReadGrant;
use crate::hex::name::{PackageName, RepoName};
use crate::policy::decide::Decision;
use crate::repository::enforcer::{HiddenRelease, notice};
use crate::repository::{Context, RepoError, Repository, SignedBy};

/// The releases that policies hide, and the versions that are shown.
type HiddenAndShown = (Vec<HiddenRelease>, BTreeSet<Box<str>>);

impl VirtualRepository {
    /// The releases of a package of the repository `key`, at whatever depth below this one, that the policy here holds.
    pub async fn held_below(
        &self,
        key: &RepoName,
        package: &PackageName,
        context: Context,
    ) -> Result<BTreeSet<Box<str>>, RepoError> {
        let enforcer = self.enforcer.as_ref().filter(|one| one.is_enforced() && one.rules(key).is_some());
        let (Some(enforcer), Some(repository)) = (enforcer, self.below(key)) else { return Ok(BTreeSet::new()) };
        let source = Source { repository: &repository, package, context };
        let decisions = match source.decisions(enforcer, self.shared.clock.now()).await {
            Err(RepoError::NotFound) => return Ok(BTreeSet::new()),
            decisions => decisions?,
        };
        let held = decisions.into_iter().filter(|(_, decision)| matches!(decision, Decision::Held { .. }));
        Ok(held.map(|(version, _)| version).collect())
    }

    /// Whether a repository is a member, or a member of one.
    pub fn has_below(&self, key: &RepoName) -> bool {
        self.members().iter().any(|member| match &member.repository {
            Repository::Virtual(below) => below.key() == key || below.has_below(key),
            repository => repository.key() == key,
        })
    }

    /// The releases of a package that policies hide from a view, and those that it shows.
    fn hidden<'a>(
        self: &'a Arc<Self>,
        view: &'a View,
        name: &'a PackageName,
        context: Context,
    ) -> BoxFuture<'a, Result<HiddenAndShown, RepoError>> {
        Box::pin(async move {
            let found = self.package(view, name, context).await?.value;
            let shown: BTreeSet<Box<str>> = found.merged.shown().map(Into::into).collect();
            let mut hidden: Vec<HiddenRelease> = found.verdicts.iter().flat_map(|verdict| verdict.hidden()).collect();
            for at in &found.merged.parts {
                let Some(member) = self.members().get(*at) else { continue };
                let below = match (&member.repository, view.below(*at)) {
                    (Repository::Remote(remote), _) => remote.hidden(name, context.deadline).await?.0,
                    (Repository::Virtual(below), Some(seen)) => below.hidden(seen, name, context).await?.0,
                    (Repository::Virtual(_) | Repository::Local(_), _) => Vec::new(),
                };
                hidden.extend(below);
            }
            hidden.retain(|one| !shown.contains(&one.version));
            Ok((hidden, shown))
        })
    }
}

impl Repository {
    /// One line of printable ASCII about the releases of a package that policies leave out of the index that this caller
    /// gets, under this signature.
    pub async fn hidden(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
        signed_by: SignedBy,
        context: Context,
    ) -> Option<String> {
        // What the upstream has signed is passed on with all that it lists.
        if !self.is_policed() || signed_by == SignedBy::Upstream {
            return None;
        }
        let found = match self {
            Self::Remote(remote) => remote.hidden(name, context.deadline).await,
            Self::Virtual(composed) => composed.hidden(&composed.view(grant).ok()?, name, context).await,
            Self::Local(_) => return None,
        };
        // The answer itself is there; what is said beside it is no reason to fail.
        let (hidden, shown) = found.ok()?;
        notice(name, hidden, shown.iter().map(AsRef::as_ref))
    }
}
