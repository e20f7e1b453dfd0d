//! Downloads advisory dumps by their schedule.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::shutdown::Tasks;

/// Interval of the check for dumps that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Keeps the advisories of all repositories up to date, until `tasks` stop.
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
