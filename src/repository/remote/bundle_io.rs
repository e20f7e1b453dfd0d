//! Exports data of a remote repository to a bundle for another server, and imports it from one.
//!
//! No grant is needed here, because only administrators can start this.

use bytes::Bytes;

use super::RemoteRepository;
use crate::cache::CacheError;
use crate::cache::fill::ExpectedFile;
use crate::cache::registry::{BundleAge, ImportResult};
use crate::hex::checksum::Sha256;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::RepoError;
use crate::trust::Verified;

impl RemoteRepository {
    /// Verifies an imported resource with the keys of the upstream. Blocks.
    pub fn prove(&self, resource: &RegistryResource, bytes: Bytes) -> Result<Verified, CacheError> {
        self.registry.prove(resource, bytes)
    }

    /// Whether an imported list is older than the stored one. Blocks.
    pub fn is_older(&self, resource: &RegistryResource, carried: &Verified) -> Result<bool, CacheError> {
        self.registry.is_older(resource, carried)
    }

    /// Serves an imported resource from now on, unless the stored one is newer.
    pub async fn take_in(
        &self,
        resource: &RegistryResource,
        bytes: Bytes,
        older: BundleAge,
    ) -> Result<ImportResult, RepoError> {
        Ok(self.registry.import(resource, bytes, older).await?)
    }

    /// Records which stored file is the tarball with this inner checksum, for releases whose index has no other.
    /// Blocks.
    pub fn note_inner(&self, inner: Sha256, digest: &Sha256) -> Result<(), CacheError> {
        self.artifacts.record_outer_digest(&ExpectedFile::Inner(inner), digest)
    }

    /// Records that the docs of a release are a stored file. Blocks.
    pub fn take_in_docs(&self, name: &ArtifactName, digest: &Sha256) -> Result<(), CacheError> {
        self.docs.import(name, digest)
    }

    /// The digest of the docs of a release, if they are stored. Blocks.
    pub fn docs_digest(&self, name: &ArtifactName) -> Option<Sha256> {
        self.docs.stored_digest(name).filter(|digest| self.has_blob(digest))
    }
}
