//! Evaluates a remote repository's packages and licences in the background, for a policy.

use std::sync::Arc;

use tokio::time::Instant;

use super::{MetadataMode, RemoteRepository};
use crate::cache::artifacts::ArtifactPlace;
use crate::cache::fill::ExpectedFile;
use crate::cache::payload::Payload;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::{CacheStatus, Served};
use crate::hex::index::Index;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::RepoError;
use crate::repository::enforcer::{Enforcer, Judgement, Unevaluated};

impl RemoteRepository {
    /// Whether licences are read before the first download of a release.
    pub fn reads_licences(&self) -> bool {
        self.options.metadata == MetadataMode::Full
    }

    /// The stored package, if its upstream has confirmed it since the last change; otherwise the package as the
    /// upstream has it now. The second value says whether the upstream was asked.
    pub(in crate::repository) async fn since_touched(
        &self,
        one: &Unevaluated,
        deadline: Instant,
    ) -> Result<(Arc<ReadyResource>, bool), RepoError> {
        let resource = RegistryResource::Package(one.package.clone());
        let stored = self.registry.stored_entry(&resource, deadline).await?;
        let is_young = |present: &Arc<ReadyResource>| one.touched.is_none_or(|touched| touched <= present.confirmed_at);
        match stored.filter(is_young) {
            Some(present) => Ok((present, false)),
            None => Ok((self.registry.get_newest(&resource, false, deadline).await?.value, true)),
        }
    }

    /// The payload of a stored package that we sign, without what a policy of this repository holds.
    pub(in crate::repository) async fn as_shown(
        &self,
        package: &PackageName,
        present: Arc<ReadyResource>,
        deadline: Instant,
    ) -> Result<Payload, RepoError> {
        let resource = RegistryResource::Package(package.clone());
        let served = Served::at_once(present, CacheStatus::Hit);
        Ok(self.policed(&resource, served, deadline).await?.value.payload)
    }

    /// The releases whose licences were needed and unknown when a package was evaluated.
    pub(in crate::repository) async fn unread(
        &self,
        enforcer: &Enforcer,
        judgement: &Judgement,
        package: &PackageName,
        deadline: Instant,
    ) -> Result<Vec<(ArtifactName, ExpectedFile)>, RepoError> {
        let resource = RegistryResource::Package(package.clone());
        let Some(present) = self.registry.stored_entry(&resource, deadline).await? else { return Ok(Vec::new()) };
        let Index::Package(index) = &*present.index else { return Ok(Vec::new()) };
        let unread = index.releases.iter().filter_map(|release| {
            let checksum = release.outer.or(release.inner)?;
            let expected = present.expected(release).filter(|_| enforcer.asks_for_licences(judgement, &checksum))?;
            Some((ArtifactName { package: package.clone(), version: release.version.parse().ok()? }, expected))
        });
        Ok(unread.collect())
    }

    /// Fetches the tarball of a release to read its licences. Removes it again if it was not stored before, and the
    /// repository is not mirrored.
    pub(in crate::repository) async fn read_beforehand(
        self: &Arc<Self>,
        enforcer: &Enforcer,
        name: &ArtifactName,
        expected: ExpectedFile,
    ) -> Result<bool, RepoError> {
        let kept = self.artifacts.fetch_if_missing(self.wanted(name, expected.clone())).await?;
        let was_read = match kept {
            ArtifactPlace::AlreadyStored(digest) | ArtifactPlace::Fetched(digest, _) => {
                enforcer.read_stored_licences(self.key(), &name.package, digest).await?
            }
            ArtifactPlace::NotStored => false,
        };
        if let (ArtifactPlace::Fetched(digest, _), false) = (kept, self.options.mirrored) {
            let (artifacts, store) = (Arc::clone(&self.artifacts), Arc::clone(&self.shared.store));
            let let_go = move || if store.is_pinned(&digest) { Ok(false) } else { artifacts.purge(&expected) };
            self.shared.blocking(move |_| let_go()).await??;
        }
        Ok(was_read)
    }
}
