//! How far a resource is what the upstream says now: for those who decide by what a list does not have.

use std::sync::Arc;

use tokio::time::Instant;

use super::{RegistryCache, served};
use crate::cache::error::CacheError;
use crate::cache::freshness::{Plan, plan};
use crate::cache::present::Present;
use crate::cache::served::Served;
use crate::cache::status::{CacheStatus, StaleReason};
use crate::hex::resource::RegistryResource;

/// How far a resource is what the upstream says now.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It is, within `metadata_ttl`; or the upstream is not to be asked, and nobody can say more.
    Confirmed,
    /// The upstream gave no answer at all, and the resource is not older than `max_stale`.
    Silent(CacheError),
    /// The upstream answered with something that nobody has signed, and the resource is not older than `max_stale`.
    Doubtful(CacheError),
}

impl RegistryCache {
    /// The resource, with how far it is confirmed. Unlike [`RegistryCache::get`] this asks the upstream first where the
    /// resource is past its time, and waits for the answer until `deadline`.
    pub async fn confirmed(
        self: &Arc<Self>,
        resource: &RegistryResource,
        deadline: Instant,
    ) -> Result<(Served<Arc<Present>>, Standing), CacheError> {
        let Some(present) = self.present(resource, deadline).await? else {
            return Ok((self.get(resource, deadline).await?, Standing::Confirmed));
        };
        let now = self.shared.clock.now();
        let error = match plan(Some(present.confirmed_at), now, &self.options.rules) {
            Plan::Serve => return Ok((served(present, CacheStatus::Hit), Standing::Confirmed)),
            Plan::ServeOffline => return Ok((self.stale(present, StaleReason::Offline), Standing::Confirmed)),
            Plan::Fetch | Plan::Refuse => return Ok((self.get(resource, deadline).await?, Standing::Confirmed)),
            Plan::ServeStaleThenRevalidate | Plan::RevalidateOrStale => match self.setback(resource, now) {
                Some(error) => error,
                None => match self.wait_for_refresh(resource, Some(&present), deadline).await {
                    Ok(refreshed) => return Ok((refreshed, Standing::Confirmed)),
                    Err(error) => error,
                },
            },
        };
        match error.stale_reason() {
            Some(reason) if error.is_silence() => Ok((self.stale(present, reason), Standing::Silent(error))),
            Some(reason) => Ok((self.stale(present, reason), Standing::Doubtful(error))),
            None => Err(error),
        }
    }
}
