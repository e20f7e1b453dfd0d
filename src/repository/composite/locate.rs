//! Where a release of a view lives: with the member from which the view's index has it, else with one that has had it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::package::Merged;
use crate::auth::ReadGrant;
use crate::hex::resource::ArtifactName;
use crate::repository::delivery::Located;
use crate::repository::enforcer::Enforcer;
use crate::repository::{RepoError, Repository, RequestContext, Served};

/// The members of which a view's index of a package is made; nothing where it has no such package.
type Parts = Option<Vec<usize>>;

impl VirtualRepository {
    /// The release, judged where it lives by the policy of this repository, by those `above`, and by those below. Cancel
    /// safe.
    pub(in crate::repository) fn locate<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        above: &'a [Arc<Enforcer>],
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Served<Located>, RepoError>> {
        Box::pin(async move {
            let policies = self.policies_with(above);
            match self.locate_listed(grant, name, &policies, context).await {
                Err(RepoError::NotFound) => {}
                located => return located,
            }
            match self.locate_removed(grant, name, above, true, context).await? {
                Some(located) => Ok(located),
                None => Err(self.absence(grant, name, context).await),
            }
        })
    }

    /// The policies that hold for what is seen here, the outermost first.
    fn policies_with(&self, above: &[Arc<Enforcer>]) -> Vec<Arc<Enforcer>> {
        above.iter().chain(self.enforcer()).map(Arc::clone).collect()
    }

    async fn locate_listed(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        policies: &[Arc<Enforcer>],
        context: RequestContext,
    ) -> Result<Served<Located>, RepoError> {
        let view = self.view(grant)?;
        let member = |at: usize| {
            let member = self.members().get(at)?;
            Some((&member.repository, grant.members().get(at)?.as_ref()?))
        };
        let owner = |merged: &Merged| merged.owners.get(name.version.as_str()).copied();
        let merged = self.package(&view, &name.package, context).await?.value.merged;
        let mut at = owner(&merged);
        if let (None, [only]) = (at, merged.parts.as_slice()) {
            // Whoever owns the whole package knows what else there is of it: a newer release, a kept one.
            at = Some(*only);
        }
        if at.is_none() {
            // A lock file may name a release that is younger than our index: whoever has it looks for a newer one.
            for (repository, right) in merged.parts.iter().filter_map(|at| member(*at)) {
                if repository.locate(right, name, policies, context).await.is_ok() {
                    break;
                }
            }
            at = owner(&self.package(&view, &name.package, context).await?.value.merged);
        }
        let (repository, right) = member(at.ok_or(RepoError::NotFound)?).ok_or(RepoError::Withheld)?;
        repository.locate(right, name, policies, context).await
    }

    /// A release that a member has had, among those that may answer for its name; `may_keep`: also one that its repository
    /// keeps without owing it to anybody.
    fn locate_removed<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        above: &'a [Arc<Enforcer>],
        may_keep: bool,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Option<Served<Located>>, RepoError>> {
        Box::pin(async move {
            let (view, package) = (self.view(grant)?, name.package.as_str());
            if !self.options.identity.names.allows(package) {
                return Ok(None);
            }
            let hearing = self.hearing(&name.package, context).await?;
            let parts: Parts = match self.package(&view, &name.package, context).await {
                Ok(served) => Some(served.value.merged.parts.clone()),
                Err(RepoError::NotFound) => None,
                Err(error) => return Err(error),
            };
            let policies = self.policies_with(above);
            for at in hearing.order {
                let right = grant.members().get(at).and_then(Option::as_ref);
                let (Some(member), Some(right)) = (self.members().get(at), right) else { continue };
                if !member.names.allows(package) || !view.reads(at, package) {
                    continue;
                }
                // Those of which nothing is seen now keep nothing that is seen.
                let may_keep = may_keep && parts.as_ref().is_none_or(|parts| parts.contains(&at));
                let found = match &member.repository {
                    Repository::Virtual(below) => below.locate_removed(right, name, &policies, may_keep, context).await,
                    Repository::Remote(remote) => {
                        remote.locate_removed(right, name, &policies, may_keep, context).await
                    }
                    // What is taken back from a local repository is gone.
                    Repository::Local(_) => Ok(None),
                };
                match found {
                    Ok(None) | Err(RepoError::NotFound) => {}
                    found => return found,
                }
            }
            Ok(None)
        })
    }

    /// What is said of a release that nobody has: that it is not there is not known while a member is left out.
    async fn absence(self: &Arc<Self>, grant: &ReadGrant, name: &ArtifactName, context: RequestContext) -> RepoError {
        let Ok(view) = self.view(grant) else { return RepoError::NotFound };
        let found = self.package(&view, &name.package, context).await;
        found.ok().and_then(|served| served.value.skipped).unwrap_or(RepoError::NotFound)
    }

    /// The member whose release this is, and all those that the view's index of its package is made of.
    pub async fn sources(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<(Repository, Vec<Repository>), RepoError> {
        let found = self.package(&self.view(grant)?, &name.package, context).await?.value.merged;
        let repository = |at: &usize| self.members().get(*at).map(|member| member.repository.clone());
        let owner = match (found.owners.get(name.version.as_str()), found.parts.as_slice()) {
            (Some(at), _) | (None, [at]) => repository(at),
            (None, _) => None,
        };
        Ok((owner.ok_or(RepoError::NotFound)?, found.parts.iter().filter_map(repository).collect()))
    }
}
