//! The audit log of a package, as a caller may see it.

use super::Reading;
use super::package_home::ShownReleases;
use crate::auth::{ReadGrant, WriteGrant};
use crate::hex::name::PackageName;
use crate::repository::{RepoError, Repository};
use crate::state::audit::{Actor, Entry};

impl Repository {
    /// A page of the audit log of a package in a local repository, newest first; pages start at 1. Addresses and keys
    /// of the people are shown only to callers who may manage the package: `keeper` is that right. Others also do not
    /// see the entries about releases that are hidden from them.
    pub async fn audit_log(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
        keeper: Option<&WriteGrant>,
        page: u32,
        reading: Reading<'_>,
    ) -> Result<Vec<Entry>, RepoError> {
        let (local, right) = self.local_with(grant, name).await?.ok_or(RepoError::NotFound)?;
        if local.package(&right, name).await?.is_none() {
            return Err(RepoError::NotFound);
        }
        let left = ShownReleases::of(self, grant, name, reading).await?;
        let mut entries = local.audit_log(name, page).await?;
        if !keeper.is_some_and(|keeper| keeper.repository() == local.key() && keeper.covers(name)) {
            entries.retain(|entry| entry.version.as_deref().is_none_or(|version| left.has(version)));
            let unseen = |by: Actor| Actor { actor: by.actor, ..Actor::default() };
            entries.iter_mut().for_each(|entry| entry.by = unseen(std::mem::take(&mut entry.by)));
        }
        Ok(entries)
    }
}
