//! Evaluates packages in the background that a policy has not evaluated yet, at a limited rate, so that `names` and
//! `versions` list them; and reads the licences in tarballs.
//!
//! The progress is not saved. After a restart, cached packages are evaluated without requests to the upstream, and
//! known licences are not read again, so the evaluation quickly continues where it was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::CacheError;
use crate::clock::{Clock, Timestamp};
use crate::hex::limits;
use crate::hex::name::{PackageName, RepoName};
use crate::repository::enforcer::Unevaluated;
use crate::repository::{RepoError, Repository};
use crate::telemetry::metrics::{Metrics, RepositoryLabels};

/// Pause after all packages were evaluated, and after the start of a policy.
const REST: Duration = Duration::from_secs(60);

/// Time after which a failed evaluation is repeated.
const AGAIN: Duration = Duration::from_secs(3600);

/// Time limit for the upstream.
const PATIENCE: Duration = Duration::from_secs(30);

/// Number of requests for one repository before the next repository gets its turn.
const TURN: usize = 100;

/// Evaluations of all repositories, one after the other.
#[derive(Debug)]
pub struct Evaluations {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// By view and source: time of the next evaluation.
    rests: HashMap<(RepoName, RepoName), Timestamp>,
    /// By view, source and package: time of the next attempt.
    failed: HashMap<(RepoName, RepoName, PackageName), Timestamp>,
    /// Time of the next request.
    next: Instant,
}

impl Evaluations {
    /// Creates an empty state.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, rests: HashMap::new(), failed: HashMap::new(), next: Instant::now() }
    }

    /// Evaluates some packages of `source` for the policy of `view`, if an evaluation is due. Dropping the future stops
    /// it.
    pub async fn visit(&mut self, view: &Repository, source: &Repository) {
        let Some(enforcer) = view.enforcer() else { return };
        let now = self.clock.now();
        let key = (view.key().clone(), source.key().clone());
        // The pause starts with the policy, not with the first visit, whose time depends on the load of the machine.
        if now.awaits(*self.rests.entry(key.clone()).or_insert_with(|| enforcer.since().plus(REST)), REST) {
            return;
        }
        self.failed.retain(|_, until| now.awaits(*until, AGAIN));
        let rest = match self.turn(view, source).await {
            Ok(true) => now.plus(REST),
            Ok(false) => now,
            Err(error) => {
                tracing::debug!(view = %key.0, source = %key.1, %error, "cannot evaluate a policy in the background");
                now.plus(REST)
            }
        };
        let end = enforcer.evaluations_end(source.key());
        self.rests.insert(key, end.map_or(rest, |end| rest.min(end)));
    }

    /// Evaluates a limited number of packages. Returns whether all packages were evaluated.
    async fn turn(&mut self, view: &Repository, source: &Repository) -> Result<bool, RepoError> {
        let due = view.unevaluated(source, soon()).await?;
        let (mut asked, mut left) = (0, due.len());
        let is_all = loop {
            let Some(one) = due.get(due.len() - left) else { break true };
            self.show(view, left);
            if asked >= TURN {
                break false;
            }
            left -= 1;
            let key = (view.key().clone(), source.key().clone(), one.package.clone());
            if self.failed.contains_key(&key) {
                continue;
            }
            let is_whole = match self.one(view, source, one, &mut asked).await {
                Err(error) if is_unreachable(&error) => return Err(error),
                Err(error) => {
                    let package = &one.package;
                    tracing::debug!(view = %key.0, source = %key.1, %package, %error, "cannot evaluate a package");
                    false
                }
                Ok(is_whole) => is_whole,
            };
            if !is_whole {
                self.failed.insert(key, self.clock.now().plus(AGAIN));
            }
        };
        if is_all {
            self.show(view, 0);
        }
        view.remake_lists(soon()).await?;
        Ok(is_all)
    }

    /// Evaluates one package. Returns whether it is complete.
    async fn one(
        &mut self,
        view: &Repository,
        source: &Repository,
        one: &Unevaluated,
        asked: &mut usize,
    ) -> Result<bool, RepoError> {
        self.pause().await;
        let evaluated = view.evaluate(source, one, soon()).await?;
        self.count(asked, evaluated.asked);
        let mut is_whole = true;
        for (name, expected) in &evaluated.unread {
            self.pause().await;
            let was_read = view.read_licences(source, name, expected.clone()).await;
            self.count(asked, true);
            match was_read {
                Err(error) if is_unreachable(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(view = %view.key(), release = %name, %error, "cannot read licences in the background");
                    is_whole = false;
                }
                Ok(was_read) => is_whole &= was_read,
            }
        }
        if !evaluated.unread.is_empty() {
            view.evaluate(source, one, soon()).await?;
        }
        Ok(is_whole)
    }

    async fn pause(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    fn count(&mut self, asked: &mut usize, was_asked: bool) {
        if was_asked {
            *asked += 1;
            self.next = Instant::now() + Duration::from_secs(1) / limits::EVALUATIONS_PER_SECOND;
        }
    }

    fn show(&self, view: &Repository, left: usize) {
        let labels = RepositoryLabels { repository: view.key().as_str().into() };
        self.metrics.policy_unevaluated.get_or_create(&labels).set(i64::try_from(left).unwrap_or(i64::MAX));
    }
}

/// Whether the upstream is unreachable, so that all other requests would fail, too.
fn is_unreachable(error: &RepoError) -> bool {
    matches!(error, RepoError::Upstream(CacheError::Upstream(_)) | RepoError::Timeout(_) | RepoError::Offline { .. })
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}
