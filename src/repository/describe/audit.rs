//! What was done to a package, as a caller is told of it.

use super::Reading;
use super::package_home::ShownReleases;
use crate::auth::{ReadGrant, WriteGrant};
use crate::hex::name::PackageName;
use crate::repository::{RepoError, Repository};
use crate::state::audit::{Actor, Entry};

impl Repository {
    /// A page of what was done to a package of a local repository, newest first; pages begin at 1. Where somebody was, and
    /// with which of their keys, is for those who look after the package: `keeper` is the right to that. What happened to a
    /// release that is hidden from others is hidden from them, too.
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
