//! Tarballs and docs: from the member from which the view's index has the release.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::package::{Found, Merged};
use super::policy::Judged;
use crate::auth::ReadGrant;
use crate::cache::artifacts::Proven;
use crate::hex::resource::ArtifactName;
use crate::repository::enforcer::Asker;
use crate::repository::{Context, Keep, RepoError, Repository, Served, TarballHead};

/// The member that has a release, for a caller.
struct Owner<'a> {
    member: &'a Repository,
    right: &'a ReadGrant,
    /// Where the policy has rules for it.
    judged: Option<Judged>,
}

impl VirtualRepository {
    /// What is known of a tarball before its bytes are asked for. Cancel safe.
    pub fn tarball_head<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<TarballHead>, RepoError>> {
        Box::pin(async move {
            match self.listed_head(grant, name, context).await {
                Err(RepoError::NotFound) => match self.owed_head(grant, name, context).await {
                    Err(RepoError::NotFound) => Err(self.absence(grant, name, context).await),
                    owed => owed,
                },
                listed => listed,
            }
        })
    }

    /// The length of a tarball, where a member has it.
    pub fn tarball_length<'a>(&'a self, head: &'a TarballHead) -> BoxFuture<'a, Result<Option<u64>, RepoError>> {
        Box::pin(async move {
            for member in self.members() {
                if let Some(length) = member.repository.tarball_length(head).await? {
                    return Ok(Some(length));
                }
            }
            Ok(None)
        })
    }

    /// A tarball. Cancel safe.
    pub fn tarball<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<(Proven, Keep)>, RepoError>> {
        Box::pin(async move {
            match self.listed_tarball(grant, name, context).await {
                Err(RepoError::NotFound) => match self.owed_tarball(grant, name, context).await {
                    Err(RepoError::NotFound) => Err(self.absence(grant, name, context).await),
                    owed => owed,
                },
                listed => listed,
            }
        })
    }

    async fn listed_head(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Served<TarballHead>, RepoError> {
        let owner = self.owner(grant, name, context).await?;
        let head = owner.member.tarball_head(owner.right, name, context).await?;
        // Who has the file already is told that it has not changed, which is as good as a delivery.
        self.write_delivery(&owner, name, false).await;
        Ok(head)
    }

    async fn listed_tarball(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Served<(Proven, Keep)>, RepoError> {
        let mut owner = self.owner(grant, name, context).await?;
        let served = owner.member.tarball(owner.right, name, context).await?;
        if let (Some(enforcer), Some(judged)) = (&self.enforcer, &owner.judged)
            && enforcer.asks_for_licences(&judged.judgement, &served.value.0.digest)
        {
            let again = owner.member.tarball(owner.right, name, context).await?.value.0;
            enforcer.read_licences(&judged.source, &name.package, again, context.deadline).await?;
            owner = self.owner(grant, name, context).await?;
        }
        let digest = &served.value.0.digest;
        let judged = owner.judged.as_ref();
        let licences_known = judged.is_some_and(|one| one.judgement.allows_licences(name.version.as_str(), digest));
        self.write_delivery(&owner, name, licences_known).await;
        Ok(served)
    }

    /// A documentation archive. Cancel safe.
    pub fn docs<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<(Proven, Keep)>, RepoError>> {
        Box::pin(async move {
            let docs = async {
                let owner = self.owner(grant, name, context).await?;
                owner.member.docs(owner.right, name, context).await
            };
            match docs.await {
                Err(RepoError::NotFound) => Err(self.absence(grant, name, context).await),
                docs => docs,
            }
        })
    }

    /// What is said of a release that nobody has: that it is not there is not known while a member is left out.
    async fn absence(self: &Arc<Self>, grant: &ReadGrant, name: &ArtifactName, context: Context) -> RepoError {
        let Ok(view) = self.view(grant) else { return RepoError::NotFound };
        let found = self.package(&view, &name.package, context).await;
        found.ok().and_then(|served| served.value.skipped).unwrap_or(RepoError::NotFound)
    }

    /// The member whose release this is, and all those that the view's index of its package is made of.
    pub async fn sources(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<(Repository, Vec<Repository>), RepoError> {
        let owner = self.owner(grant, name, context).await?.member.clone();
        let found = self.package(&self.view(grant)?, &name.package, context).await?.value;
        let parts = found.merged.parts.iter().filter_map(|at| self.members().get(*at));
        Ok((owner, parts.map(|member| member.repository.clone()).collect()))
    }

    async fn write_delivery(&self, owner: &Owner<'_>, name: &ArtifactName, licences_known: bool) {
        if let (Some(enforcer), Some(judged)) = (&self.enforcer, &owner.judged) {
            enforcer.delivered(&judged.source, name, &judged.checksum, licences_known).await;
        }
    }

    /// The member whose release this is, if the policy lets it go.
    async fn owner<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Owner<'a>, RepoError> {
        let view = self.view(grant)?;
        let member = |at: usize| {
            let member = self.members().get(at)?;
            Some((&member.repository, grant.members().get(at)?.as_ref()?))
        };
        let owner = |merged: &Merged| match merged.owners.get(name.version.as_str()) {
            Some(at) => Some(*at),
            // Whoever owns the whole package knows what else there is of it: a newer release, a kept one.
            None => match merged.parts.as_slice() {
                [only] => Some(*only),
                _ => None,
            },
        };
        let allowed = |found: &Found, at: usize| {
            let (repository, right) = member(at).ok_or(RepoError::NotFound)?;
            self.ask_policy(found, at, name, Asker { grant, client: context.client })?;
            let judged = self.judged_release(found, at, name.version.as_str());
            Ok(Owner { member: repository, right, judged })
        };
        let found = self.package(&view, &name.package, context).await?.value;
        let is_listed = |found: &Found| found.merged.owners.contains_key(name.version.as_str());
        // What is not listed is judged when it is.
        if let Some(at) = owner(&found.merged).filter(|_| is_listed(&found) || self.enforcer.is_none()) {
            return allowed(&found, at);
        }
        // A lock file may name a release that is younger than our index: whoever has it looks for a newer one.
        for (repository, right) in found.merged.parts.iter().filter_map(|at| member(*at)) {
            if repository.tarball_head(right, name, context).await.is_ok() {
                break;
            }
        }
        let found = self.package(&view, &name.package, context).await?.value;
        allowed(&found, owner(&found.merged).ok_or(RepoError::NotFound)?)
    }
}
