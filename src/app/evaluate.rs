//! Evaluates policies in the background, before clients request the packages.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::shutdown::Tasks;
use crate::tasks::evaluate::Evaluations;

/// Interval of the check for packages to evaluate.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Evaluates packages that the policies have not evaluated yet, until `tasks` stop.
    pub(super) async fn keep_evaluated(self: Arc<Self>, tasks: Tasks) {
        let mut evaluations = Evaluations::new(Arc::clone(&self.shared.clock), Arc::clone(&self.shared.metrics));
        let round = async {
            loop {
                for view in self.repositories() {
                    for source in view.evaluated_beforehand() {
                        evaluations.visit(&view, &source).await;
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
