//! How far a resource is what the upstream says now: for those who decide by what a list does not have.

use std::sync::Arc;

use tokio::time::Instant;

use super::RegistryCache;
use crate::cache::error::CacheError;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::served::Served;
use crate::hex::resource::RegistryResource;

/// How far a resource is what the upstream says now.
#[derive(Clone, Debug)]
pub enum Confirmation {
    /// It is, within `metadata_ttl`; or the upstream is not to be asked, and nobody can say more.
    Confirmed,
    /// The upstream gave no answer at all, and the resource is not older than `max_stale`.
    Silent(CacheError),
    /// The upstream answered with something that nobody has signed, and the resource is not older than `max_stale`.
    Doubtful(CacheError),
}

impl RegistryCache {
    /// The resource, with how far it is confirmed. Unlike [`RegistryCache::get`] this asks the upstream first where the
    /// resource is past its time, and waits for the answer until `deadline`. Where the upstream does not confirm what came in a
    /// bundle, its error is the answer, unless what was here before is not older than `max_stale`.
    pub async fn confirmed(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<(Served<Arc<ReadyResource>>, Confirmation), CacheError> {
        let (served, error) = self.through.get_confirmed(self, resource, deadline).await?;
        let standing = match error {
            None => Confirmation::Confirmed,
            Some(error) if !served.value.speaks_of_absence(self.shared.clock.now(), self.options.rules.max_stale) => {
                return Err(error);
            }
            Some(error) if error.is_silence() => Confirmation::Silent(error),
            Some(error) => Confirmation::Doubtful(error),
        };
        Ok((served, standing))
    }
}
