//! Policies, evaluated before anybody asks.

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::shutdown::Tasks;
use crate::tasks::evaluate::Evaluations;

/// How often it is looked whether there is something to evaluate.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Evaluates what the policies of the configuration have not looked at yet, until `tasks` are told to stop.
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
