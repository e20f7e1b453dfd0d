//! Dumps of advisories, fetched when they are due.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::shutdown::Tasks;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Keeps the advisories of the configuration's repositories fresh, until `tasks` are told to stop.
    pub(super) async fn keep_advisories(self: Arc<Self>, tasks: Tasks) {
        let round = async {
            loop {
                for remote in self.remotes() {
                    remote.refresh_advisories().await;
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
