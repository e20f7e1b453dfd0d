//! Finds the member that has a release: the member in the view's index, otherwise one that has had the release.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::package::{Merged, ViewPackage};
use crate::auth::ReadGrant;
use crate::hex::resource::ArtifactName;
use crate::repository::delivery::Located;
use crate::repository::enforcer::Enforcer;
use crate::repository::{RepoError, Repository, RequestContext, Served};

/// The members that a view's index of a package is merged from; `None` if the view does not have the package.
type Parts = Option<Vec<usize>>;

impl VirtualRepository {
    /// Finds the release, and evaluates it by the policy of this repository, those `above` and those below. Cancel
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

    /// The policies that apply to this view, the outermost first.
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
        let ViewPackage { merged, routing, .. } = self.package(&view, &name.package, context).await?.value;
        let mut at = owner(&merged);
        if let (None, [only]) = (at, merged.parts.as_slice()) {
            // The owner of the whole package may have more releases of it: newer ones, and removed ones that it keeps.
            at = Some(*only);
        }
        if at.is_none() {
            // A lock file may contain a release that is newer than our index: its member then fetches a newer index.
            for (repository, right) in merged.parts.iter().filter_map(|at| member(*at)) {
                if repository.locate(right, name, policies, context).await.is_ok() {
                    break;
                }
            }
            at = owner(&self.package(&view, &name.package, context).await?.value.merged);
        }
        let (repository, right) = member(at.ok_or(RepoError::NotFound)?).ok_or(RepoError::Withheld)?;
        let located = repository.locate(right, name, policies, context).await?;
        self.check_silence(&name.package, &routing).await?;
        Ok(located)
    }

    /// Finds a release that a member has had, among the members that may answer for its name. With `may_keep` this
    /// includes releases that the member keeps (`on_upstream_delete: keep`), not only those that are exempt for lock
    /// files.
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
            let routing = self.route_name(&name.package, context).await?;
            let parts: Parts = match self.package(&view, &name.package, context).await {
                Ok(served) => Some(served.value.merged.parts.clone()),
                Err(RepoError::NotFound) => None,
                Err(error) => return Err(error),
            };
            let policies = self.policies_with(above);
            for at in routing.order.iter().copied() {
                let right = grant.members().get(at).and_then(Option::as_ref);
                let (Some(member), Some(right)) = (self.members().get(at), right) else { continue };
                if !member.names.allows(package) || !view.reads(at, package) {
                    continue;
                }
                // Members without a part in the current index keep nothing that the view shows.
                let may_keep = may_keep && parts.as_ref().is_none_or(|parts| parts.contains(&at));
                let found = match &member.repository {
                    Repository::Virtual(below) => below.locate_removed(right, name, &policies, may_keep, context).await,
                    Repository::Remote(remote) => {
                        remote.locate_removed(right, name, &policies, may_keep, context).await
                    }
                    // A release that is removed from a local repository is gone.
                    Repository::Local(_) => Ok(None),
                };
                match found {
                    Ok(None) | Err(RepoError::NotFound) => {}
                    found => {
                        self.check_silence(&name.package, &routing).await?;
                        return found;
                    }
                }
            }
            Ok(None)
        })
    }

    /// The error for a release that no member has. If a member was skipped, its error is returned, because it may have
    /// the release.
    async fn absence(self: &Arc<Self>, grant: &ReadGrant, name: &ArtifactName, context: RequestContext) -> RepoError {
        let Ok(view) = self.view(grant) else { return RepoError::NotFound };
        let found = self.package(&view, &name.package, context).await;
        found.ok().and_then(|served| served.value.skipped).unwrap_or(RepoError::NotFound)
    }

    /// The member that owns this release, and all members that the view's index of its package is merged from.
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
