//! The operations of a mirror on a remote repository: staging indexes, fetching files, and verifying what is stored.
//!
//! No grant is needed here, because only administrators can start this.

use std::sync::Arc;

use tokio::time::Instant;

use super::{RemoteRepository, expected_of};
use crate::cache::CacheError;
use crate::cache::artifacts::ArtifactPlace;
use crate::cache::fill::ExpectedFile;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::record::{self, MirrorRecord};
use crate::cache::registry::{StagedIndex, TakenOver};
use crate::hex::checksum::Sha256;
use crate::hex::index::Release;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::RepoError;
use crate::store::blobs::BlobLookup;
use crate::store::{Store, StoredFile};
use crate::trust::Verified;

/// The state of a stored tarball.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundness {
    /// It matches its digest.
    Sound,
    /// It is not stored.
    Missing,
    /// It does not match its digest.
    Damaged,
    /// The index has no checksum for it, so it is never stored.
    Unprovable,
}

impl RemoteRepository {
    /// Whether this repository answers for a package.
    pub fn allows(&self, package: &str) -> bool {
        self.options.identity.names.allows(package)
    }

    /// A resource as the upstream has it now, not served yet; `None` if the upstream does not have it.
    pub async fn stage(&self, resource: &RegistryResource) -> Result<Option<StagedIndex>, RepoError> {
        Ok(self.registry.stage(resource, Instant::now() + self.options.deadline).await?)
    }

    /// Serves a staged resource from now on.
    pub async fn take_over(&self, staged: StagedIndex) -> Result<TakenOver, RepoError> {
        Ok(self.registry.take_over(staged).await?)
    }

    /// Asks the upstream past all caches whether it still has a package. If not, the configured rules are applied.
    pub async fn ask_again(&self, package: &PackageName) -> Result<(), RepoError> {
        let resource = RegistryResource::Package(package.clone());
        let deadline = Instant::now() + self.options.deadline;
        match self.registry.get_newest(&resource, true, deadline).await {
            Ok(_) | Err(CacheError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches the tarball of a release in a verified index, unless it is stored.
    pub async fn bring(self: &Arc<Self>, name: &ArtifactName, release: &Release) -> Result<ArtifactPlace, RepoError> {
        let expected = expected_of(release).ok_or_else(|| RepoError::NoChecksum { release: name.clone() })?;
        Ok(self.artifacts.fetch_if_missing(self.wanted(name, expected)).await?)
    }

    /// Fetches the documentation of a release; returns how many bytes were fetched, `None` if it has none.
    pub async fn bring_docs(&self, name: &ArtifactName) -> Result<Option<u64>, RepoError> {
        match self.docs.get(name, Instant::now() + self.options.deadline).await {
            Ok(served) if served.upstream.is_some() => Ok(Some(served.value.artifact.length())),
            Ok(_) => Ok(Some(0)),
            Err(CacheError::Missing) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The stored resource, if it is undamaged. Blocks.
    pub fn stored(&self, resource: &RegistryResource) -> Result<Option<Verified>, CacheError> {
        self.registry.stored(resource)
    }

    /// Whether a resource is stored, damaged or not. Blocks.
    pub fn is_stored(&self, resource: &RegistryResource) -> Result<bool, CacheError> {
        self.registry.is_stored(resource)
    }

    /// The packages whose index is stored. Blocks.
    pub fn stored_packages(&self) -> Result<Vec<PackageName>, CacheError> {
        let stored = self.registry.all_stored()?.into_iter();
        let packages = stored.filter_map(|resource| match resource {
            RegistryResource::Package(name) => Some(name),
            _ => None,
        });
        Ok(packages.collect())
    }

    /// The digest under which the tarball of a release is stored, if it is known. Blocks.
    pub fn digest_of(&self, release: &Release) -> Option<Sha256> {
        match expected_of(release)? {
            ExpectedFile::Outer(digest) | ExpectedFile::Both { outer: digest, .. } => Some(digest),
            ExpectedFile::Inner(digest) => {
                let found: record::InnerRecord = record::get(&*self.shared.store.index, &digest.to_string())?;
                Sha256::from_hex(&found.outer).ok()
            }
            ExpectedFile::Sha512(_) | ExpectedFile::Anything => None,
        }
    }

    /// Verifies the stored tarball of a release. Blocks.
    pub fn prove_tarball(&self, release: &Release) -> Result<Soundness, CacheError> {
        if expected_of(release).is_none() {
            return Ok(Soundness::Unprovable);
        }
        let Some(digest) = self.digest_of(release) else { return Ok(Soundness::Missing) };
        Ok(match self.shared.store.blobs.check(&digest).map_err(CacheError::internal)? {
            Some(true) => Soundness::Sound,
            Some(false) => Soundness::Damaged,
            None => Soundness::Missing,
        })
    }

    /// The record of a package that a mirror has downloaded. Blocks.
    pub fn mirrored(&self, package: &str) -> Option<MirrorRecord> {
        record::get(&*self.shared.store.index, &self.mirror_key(package))
    }

    /// Records that a mirror has downloaded a package. If the record is lost, one conditional request is sent. Blocks.
    pub fn note_mirrored(&self, package: &str, mirrored: &MirrorRecord) {
        if let Err(error) = record::put(&*self.shared.store.index, &self.mirror_key(package), mirrored) {
            tracing::warn!(repository = %self.options.identity.key, package, %error, "a record of the mirror could not be written");
        }
    }

    /// Removes the record of a package, and its damaged tarballs: both will be downloaded again. Blocks.
    pub fn forget_mirrored(&self, package: &str, damaged: &[Sha256]) -> Result<(), CacheError> {
        let store: &Store = &self.shared.store;
        for digest in damaged {
            self.shared.memory.remove_blob(digest);
            store.blobs.remove(digest).map_err(CacheError::internal)?;
        }
        if let Err(error) = store.index.remove(crate::store::index::Tree::Mirror, &self.mirror_key(package)) {
            tracing::warn!(repository = %self.options.identity.key, package, %error, "a record of the mirror could not be removed");
        }
        Ok(())
    }

    /// Whether a file is stored; does not verify it. Blocks.
    pub fn has_blob(&self, digest: &Sha256) -> bool {
        self.shared.store.blobs.length(digest).is_some()
    }

    /// A stored file, open and verified; `None` if it is missing or damaged. Blocks.
    pub fn stored_blob(&self, digest: &Sha256) -> Option<StoredFile> {
        match self.shared.store.blobs.open(digest) {
            Ok(BlobLookup::Found(stored)) => Some(stored),
            Ok(BlobLookup::Absent | BlobLookup::Damaged) | Err(_) => None,
        }
    }

    /// The stored tarball of a release in a served index, open and verified by all known checksums, with its digest;
    /// `None` if it is not stored, or may not be served. Blocks.
    pub fn stored_tarball(&self, present: &ReadyResource, release: &Release) -> Option<(Sha256, StoredFile)> {
        if present.refused.iter().any(|refused| refused.version == release.version) {
            return None;
        }
        let expected = present.expected(release)?;
        let digest = self.artifacts.stored(&expected)?;
        let stored = self.stored_blob(&digest)?;
        self.artifacts.fits(&expected, &stored).then_some((digest, stored))
    }

    /// The documentation of a release, if it is stored. Blocks.
    pub fn stored_docs(&self, name: &ArtifactName) -> Option<(Sha256, StoredFile)> {
        let digest = self.docs.stored_digest(name)?;
        Some((digest, self.stored_blob(&digest)?))
    }

    /// A stored resource, ready to be served, however old it is. Never contacts the upstream.
    pub async fn present(&self, resource: &RegistryResource) -> Result<Option<Arc<ReadyResource>>, RepoError> {
        Ok(self.registry.stored_entry(resource, Instant::now() + self.options.deadline).await?)
    }

    /// Runs blocking work on the blocking pool.
    pub async fn blocking<T, F>(self: &Arc<Self>, work: F) -> Result<T, RepoError>
    where
        F: FnOnce(&Self) -> T + Send + 'static,
        T: Send + 'static,
    {
        let repository = Arc::clone(self);
        Ok(self.shared.blocking(move |_| work(&repository)).await?)
    }

    fn mirror_key(&self, package: &str) -> String {
        format!("{}/{package}", self.options.identity.key)
    }
}
