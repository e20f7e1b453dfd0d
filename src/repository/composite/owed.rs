//! Releases that no index lists any more and that a policy owes to lock files, whichever repository it holds for.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use crate::auth::ReadGrant;
use crate::cache::artifacts::Proven;
use crate::hex::resource::ArtifactName;
use crate::repository::enforcer::{Asker, Enforcer};
use crate::repository::remote::Lost;
use crate::repository::{Context, Keep, RemoteRepository, RepoError, Repository, Served, TarballHead};

/// Whose it is, and what it was.
type Owed = (Arc<RemoteRepository>, Lost);

impl VirtualRepository {
    /// What is known of the tarball of a release that is owed.
    pub(super) async fn owed_head(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Served<TarballHead>, RepoError> {
        let (remote, lost) = self.owed(&[], grant, name, context).await?.ok_or(RepoError::NotFound)?;
        remote.lost_head(&lost).await
    }

    /// The tarball of a release that is owed.
    pub(super) async fn owed_tarball(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Served<(Proven, Keep)>, RepoError> {
        let (remote, lost) = self.owed(&[], grant, name, context).await?.ok_or(RepoError::NotFound)?;
        remote.lost_tarball(name, &lost, context).await
    }

    /// A release that a member has had, among those that may answer for its name; `above`: the policies of the
    /// repositories through which this one is seen. What one of them denies is had by nobody.
    fn owed<'a>(
        self: &'a Arc<Self>,
        above: &'a [&'a Arc<Enforcer>],
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Option<Owed>, RepoError>> {
        Box::pin(async move {
            let (view, package) = (self.view(grant)?, name.package.as_str());
            if !self.options.identity.names.allows(package) {
                return Ok(None);
            }
            let claims = self.claims_on(&name.package, context).await?;
            let claimants = self.claimants(&name.package, &claims, context).await?;
            let policies: Vec<&Arc<Enforcer>> = above.iter().copied().chain(self.enforcer()).collect();
            for at in self.options.rules.order(package, &claimants) {
                let right = grant.members().get(at).and_then(Option::as_ref);
                let (Some(member), Some(right)) = (self.members().get(at), right) else { continue };
                if !member.names.allows(package) || !view.reads(at, package) {
                    continue;
                }
                let found = match &member.repository {
                    Repository::Virtual(below) => below.owed(&policies, right, name, context).await?,
                    Repository::Remote(remote) => lost_of(remote, &policies, right, name, context).await?,
                    // What is taken back from a local repository is gone.
                    Repository::Local(_) => None,
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }
}

async fn lost_of(
    remote: &Arc<RemoteRepository>,
    above: &[&Arc<Enforcer>],
    right: &ReadGrant,
    name: &ArtifactName,
    context: Context,
) -> Result<Option<Owed>, RepoError> {
    let policies: Vec<&Arc<Enforcer>> = above.iter().copied().chain(remote.enforcer()).collect();
    if policies.is_empty() {
        return Ok(None);
    }
    let lost = match remote.lost(right, name, context).await {
        Ok(Some(lost)) => lost,
        Ok(None) | Err(RepoError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut is_owed = false;
    for enforcer in policies {
        enforcer.ask_unlisted(remote.key(), name, Asker { grant: right, client: context.client })?;
        is_owed |= enforcer.is_exempt(remote.key(), name, &lost.checksum).await?;
    }
    Ok(is_owed.then(|| (Arc::clone(remote), lost)))
}
