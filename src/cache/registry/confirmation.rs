//! Whether the upstream has just confirmed a resource: needed before a decision that a name does not exist.

use std::sync::Arc;

use tokio::time::Instant;

use super::RegistryCache;
use crate::cache::error::CacheError;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::served::Served;
use crate::hex::resource::RegistryResource;

/// How current a resource is.
#[derive(Clone, Debug)]
pub enum Confirmation {
    /// The upstream confirmed it within `metadata_ttl`; or the repository is offline, and there will be no newer one.
    Confirmed,
    /// The upstream gives no answer, and the resource is not older than `max_stale`.
    UpstreamUnreachable(CacheError),
    /// The upstream sent an unsigned answer, and the resource is not older than `max_stale`.
    UnsignedAnswer(CacheError),
}

impl RegistryCache {
    /// Returns the resource, and how current it is. Unlike [`RegistryCache::get`], this asks the upstream before it
    /// returns an expired resource, and waits for the answer until `deadline`. If the upstream does not confirm a
    /// resource from a bundle, the error is returned, unless the resource before it was confirmed at most `max_stale`
    /// ago.
    pub async fn confirmed(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<(Served<Arc<ReadyResource>>, Confirmation), CacheError> {
        let (served, error) = self.through.get_confirmed(self, resource, deadline).await?;
        let error = error.map(|error| self.last_word(resource, error));
        let standing = match error {
            None => Confirmation::Confirmed,
            Some(error) if !served.value.proves_absence(self.shared.clock.now(), self.options.rules.max_stale) => {
                return Err(error);
            }
            Some(error) if error.is_silence() => Confirmation::UpstreamUnreachable(error),
            Some(error) => Confirmation::UnsignedAnswer(error),
        };
        Ok((served, standing))
    }

    /// What is known of the upstream after a failure. An upstream that is not asked for a while, because other requests
    /// failed, has not taken back what it answered about this resource.
    pub fn last_word(&self, resource: &RegistryResource, error: CacheError) -> CacheError {
        self.through.last_word(resource, error)
    }

    /// Whether the upstream is silent about a resource: it has not begun to answer the running request, or gave no
    /// answer to the last one.
    pub fn is_silent(&self, resource: &RegistryResource) -> bool {
        self.through.is_silent(resource)
    }
}
