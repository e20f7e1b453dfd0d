//! Removes files of local repositories that no release refers to.

use std::sync::Arc;

use super::OperationError;
use super::operator::Operator;
use crate::hex::checksum::Sha256;
use crate::repository::LocalRepository;
use crate::tasks::verify_store;

impl Operator {
    /// Removes files that no release refers to. Publishing is blocked meanwhile, and each file is checked again.
    pub(super) async fn remove_orphans(&self, orphans: Vec<Sha256>) -> Result<u64, OperationError> {
        let all = self.repositories();
        let locals: Vec<&Arc<LocalRepository>> = all.iter().filter_map(|one| one.as_local()).collect();
        let mut held = Vec::new();
        for local in &locals {
            held.push(local.hold().await);
        }
        let named = self.state.named_files().await?;
        let (vault, now) = (&*self.shared.store.local, self.shared.clock.now());
        let mut removed = 0;
        for digest in orphans.into_iter().filter(|digest| !named.contains(digest)) {
            let is_orphan = verify_store::is_orphan(vault, digest, now).await?;
            if is_orphan && vault.remove(digest.into()).await? {
                removed += 1;
            }
        }
        Ok(removed)
    }
}
