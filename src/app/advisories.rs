//! Dumps of advisories, fetched when they are due.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::hex::resource::RegistryResource;
use crate::repository::local::Neighbours as _;
use crate::shutdown::Tasks;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Keeps the advisories of the configuration's repositories fresh, until `tasks` are told to stop.
    pub(super) async fn keep_advisories(self: Arc<Self>, tasks: Tasks) {
        let round = async {
            loop {
                for remote in self.remotes() {
                    if remote.refresh_advisories().await {
                        // Lists that tell of advisories are made again before anybody asks.
                        self.directory().replaced(remote.key(), &RegistryResource::Versions);
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = tasks.stopping() => {}
            () = round => {}
        }
    }
}
