//! What goes to another server in a bundle, and comes from one.
//!
//! Nothing here asks for a grant: it is for work that an administrator has ordered.

use bytes::Bytes;

use super::RemoteRepository;
use crate::cache::CacheError;
use crate::cache::fill::ExpectedFile;
use crate::cache::registry::{BundleAge, TakenIn};
use crate::hex::checksum::Sha256;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::RepoError;
use crate::trust::Verified;

impl RemoteRepository {
    /// Proves a resource that came another way under the keys of the upstream. Blocks.
    pub fn prove(&self, resource: &RegistryResource, bytes: Bytes) -> Result<Verified, CacheError> {
        self.registry.prove(resource, bytes)
    }

    /// Whether lists that came another way are older than those that are here. Blocks.
    pub fn is_older(&self, resource: &RegistryResource, carried: &Verified) -> Result<bool, CacheError> {
        self.registry.is_older(resource, carried)
    }

    /// Serves a resource that came another way from now on, unless what is here is newer.
    pub async fn take_in(
        &self,
        resource: &RegistryResource,
        bytes: Bytes,
        older: BundleAge,
    ) -> Result<TakenIn, RepoError> {
        Ok(self.registry.take_in(resource, bytes, older).await?)
    }

    /// Notes which stored file is the tarball with this inner checksum, for releases whose index has no other. Blocks.
    pub fn note_inner(&self, inner: Sha256, digest: &Sha256) -> Result<(), CacheError> {
        self.artifacts.note(&ExpectedFile::Inner(inner), digest)
    }

    /// Says that the docs of a release are a file that is stored. Blocks.
    pub fn take_in_docs(&self, name: &ArtifactName, digest: &Sha256) -> Result<(), CacheError> {
        self.docs.take_in(name, digest)
    }

    /// The digest of the docs of a release, where they are stored. Blocks.
    pub fn docs_digest(&self, name: &ArtifactName) -> Option<Sha256> {
        self.docs.stored_digest(name).filter(|digest| self.has_blob(digest))
    }
}
