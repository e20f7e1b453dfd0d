//! Finds and removes files of local repositories that nothing refers to.

use std::sync::Arc;

use super::OperationError;
use super::operator::Operator;
use crate::hex::checksum::Sha256;
use crate::repository::LocalRepository;
use crate::repository::local::SidecarFiles;
use crate::tasks::verify_store::{self, ReferredFiles};

/// Why sidecars are owed.
pub(super) const OWED: &str =
    "files beside the tarballs could not be written, or are newer than the database; see the log";

impl Operator {
    /// Writes the sidecars that are owed. Returns the number of packages whose sidecars are still owed.
    pub(super) async fn write_owed_sidecars(&self) -> Result<usize, OperationError> {
        let mut owed = 0;
        for repository in self.repositories() {
            if let Some(local) = repository.as_local() {
                owed += local.write_owed_sidecars().await?;
            }
        }
        Ok(owed)
    }

    /// The files of local repositories that the database or a sidecar refers to.
    pub(super) async fn referred_files(&self) -> Result<ReferredFiles, OperationError> {
        let in_database = self.state.named_files().await?;
        let in_sidecars = SidecarFiles::read(&*self.shared.store.local, &self.state).await?;
        Ok(ReferredFiles { in_database, in_sidecars })
    }

    /// Removes files that nothing refers to. Publishing is blocked meanwhile, and each file is checked again.
    pub(super) async fn remove_orphans(&self, orphans: Vec<Sha256>) -> Result<u64, OperationError> {
        let all = self.repositories();
        let locals: Vec<&Arc<LocalRepository>> = all.iter().filter_map(|one| one.as_local()).collect();
        let mut held = Vec::new();
        for local in &locals {
            held.push(local.hold().await);
        }
        let referred = self.referred_files().await?;
        let (vault, now) = (&*self.shared.store.local, self.shared.clock.now());
        let mut removed = 0;
        for digest in orphans.into_iter().filter(|digest| !referred.keeps(digest)) {
            let is_orphan = verify_store::is_orphan(vault, digest, now).await?;
            if is_orphan && vault.remove(digest.into()).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }
}
