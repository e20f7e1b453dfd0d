//! Releases that an upstream's index has lost: the ledger knows what they were.

use std::sync::Arc;

use super::{Listed, RemoteRepository, check_right};
use crate::auth::ReadGrant;
use crate::cache::CacheError;
use crate::cache::artifacts::Proven;
use crate::cache::error::Internal;
use crate::cache::fill::Expected;
use crate::cache::registry::OnRemoved;
use crate::hex::checksum::Sha256;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::enforcer::Asker;
use crate::repository::error::NotHere;
use crate::repository::{Context, Keep, RepoError, Served, TarballHead};

/// What a release was that an index has lost.
#[derive(Clone, Debug)]
pub(in crate::repository) struct Lost {
    listed: Listed,
    /// By which it is known what is owed of it.
    pub(in crate::repository) checksum: Sha256,
}

impl RemoteRepository {
    /// A release that upstream's index has lost and that this repository keeps, or owes to lock files.
    pub(super) async fn removed_release(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Option<Listed>, RepoError> {
        let Some(lost) = self.in_ledger(name).await? else { return Ok(None) };
        let mut is_kept = self.options.on_delete == OnRemoved::Keep;
        if let Some(enforcer) = &self.enforcer {
            enforcer.ask_unlisted(self.key(), name, Asker { grant, client: context.client })?;
            is_kept |= enforcer.is_exempt(self.key(), name, &lost.checksum).await?;
        }
        Ok(is_kept.then_some(lost.listed))
    }

    /// A release that upstream's index, as it is known, does not list any more, for those that may owe it to lock files. What
    /// is purged is owed to nobody.
    pub(in crate::repository) async fn lost(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        context: Context,
    ) -> Result<Option<Lost>, RepoError> {
        self.check(grant)?;
        check_right(grant, &name.package)?;
        self.check_name(&name.package)?;
        let resource = RegistryResource::Package(name.package.clone());
        match self.resource(&resource, context.deadline).await {
            Ok(served) if self.listed(&served.value, name)?.is_some() => return Ok(None),
            Ok(_) | Err(RepoError::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.in_ledger(name).await
    }

    async fn in_ledger(&self, name: &ArtifactName) -> Result<Option<Lost>, RepoError> {
        if self.options.on_delete == OnRemoved::Purge {
            return Ok(None);
        }
        let ledger = self.state.ledger(self.key().as_str(), name.package.as_str()).await;
        let ledger =
            ledger.map_err(|error| RepoError::Internal(CacheError::internal(Internal::Gate(Box::new(error)))))?;
        let Some(record) = ledger.get(name.version.as_str()) else { return Ok(None) };
        let expected = record.outer.map(Expected::Outer).or(record.inner.map(Expected::Inner));
        Ok(expected
            .zip(record.outer.or(record.inner))
            .map(|(expected, checksum)| Lost { listed: Listed { expected, keep: Keep::Revalidate }, checksum }))
    }

    /// What is known of its tarball before its bytes are asked for.
    pub(in crate::repository) async fn lost_head(&self, lost: &Lost) -> Result<Served<TarballHead>, RepoError> {
        let digest = self.artifacts.outer(&lost.listed.expected).await?;
        let head = TarballHead { digest, keep: lost.listed.keep };
        Ok(Served::at_once(head, crate::cache::CacheStatus::Hit))
    }

    /// Its tarball, where it is here or the upstream still has it.
    pub(in crate::repository) async fn lost_tarball(
        self: &Arc<Self>,
        name: &ArtifactName,
        lost: &Lost,
        context: Context,
    ) -> Result<Served<(Proven, Keep)>, RepoError> {
        let wanted = self.wanted(name, lost.listed.expected.clone());
        let served = self.artifacts.get(wanted, context.deadline).await;
        let of =
            |error| RepoError::of(error, NotHere::Listed, format_args!("{} of {}", name.tarball_path(), self.key()));
        Ok(served.map_err(of)?.map(|proven| (proven, lost.listed.keep)))
    }
}
