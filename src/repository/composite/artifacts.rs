//! Tarballs and docs: from the member from which the view's index has the release.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::package::Merged;
use crate::auth::ReadGrant;
use crate::cache::artifacts::Proven;
use crate::hex::resource::ArtifactName;
use crate::repository::{Context, Keep, RepoError, Repository, Served, TarballHead};

/// A member, and the caller's right to read it.
type Owner<'a> = (&'a Repository, &'a ReadGrant);

impl VirtualRepository {
    /// What is known of a tarball before its bytes are asked for. Cancel safe.
    pub fn tarball_head<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<TarballHead>, RepoError>> {
        Box::pin(async move {
            let (member, right) = self.owner(grant, name, context).await?;
            member.tarball_head(right, name, context).await
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
            let (member, right) = self.owner(grant, name, context).await?;
            member.tarball(right, name, context).await
        })
    }

    /// A documentation archive. Cancel safe.
    pub fn docs<'a>(
        self: &'a Arc<Self>,
        grant: &'a ReadGrant,
        name: &'a ArtifactName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<(Proven, Keep)>, RepoError>> {
        Box::pin(async move {
            let (member, right) = self.owner(grant, name, context).await?;
            member.docs(right, name, context).await
        })
    }

    /// The member whose release this is, and all those that the view's index of its package is made of.
    pub async fn sources(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<(Repository, Vec<Repository>), RepoError> {
        let (owner, _) = self.owner(grant, name, context).await?;
        let merged = self.package(&self.view(grant)?, &name.package, context).await?.value.0;
        let parts = merged.parts.iter().filter_map(|at| self.members().get(*at));
        Ok((owner.clone(), parts.map(|member| member.repository.clone()).collect()))
    }

    /// The member whose release this is.
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
        let merged = self.package(&view, &name.package, context).await?.value.0;
        if let Some(at) = owner(&merged) {
            return member(at).ok_or(RepoError::NotFound);
        }
        // A lock file may name a release that is younger than our index: whoever has it looks for a newer one.
        for (repository, right) in merged.parts.iter().filter_map(|at| member(*at)) {
            if repository.tarball_head(right, name, context).await.is_ok() {
                break;
            }
        }
        let merged = self.package(&view, &name.package, context).await?.value.0;
        owner(&merged).and_then(member).ok_or(RepoError::NotFound)
    }
}
