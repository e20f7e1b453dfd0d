//! Evaluations beforehand: packages that a policy has not looked at, at a polite pace, so that `names` and `versions`
//! show them; and what tarballs state as licences.
//!
//! Nothing is kept of how far it is: what is here and was not touched since is evaluated without asking anybody, and
//! licences that were read stay known. So it goes on where it was after a restart.

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

/// How long it is left alone after all was evaluated; and after its policy began to work.
const REST: Duration = Duration::from_secs(60);

/// What could not be evaluated is tried again after this.
const AGAIN: Duration = Duration::from_secs(3600);

/// How long an upstream is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests for one repository before others have their turn.
const TURN: usize = 100;

/// Evaluations of all repositories, one after the other.
#[derive(Debug)]
pub struct Evaluations {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// By view and source: when there may be something to do again.
    rests: HashMap<(RepoName, RepoName), Timestamp>,
    /// By view, source and package: when to try again.
    failed: HashMap<(RepoName, RepoName, PackageName), Timestamp>,
    /// When the next request may be sent.
    next: Instant,
}

impl Evaluations {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { clock, metrics, rests: HashMap::new(), failed: HashMap::new(), next: Instant::now() }
    }

    /// Evaluates what is due of `source` for the policy of `view`, some of it. Dropping it stops it.
    pub async fn visit(&mut self, view: &Repository, source: &Repository) {
        let Some(enforcer) = view.enforcer() else { return };
        let now = self.clock.now();
        let key = (view.key().clone(), source.key().clone());
        // Not from its first sight on: that depends on how busy the machine is.
        if now.awaits(*self.rests.entry(key.clone()).or_insert_with(|| enforcer.since().plus(REST)), REST) {
            return;
        }
        self.failed.retain(|_, until| now.awaits(*until, AGAIN));
        let rest = match self.turn(view, source).await {
            Ok(true) => now.plus(REST),
            Ok(false) => now,
            Err(error) => {
                tracing::debug!(view = %key.0, source = %key.1, %error, "a policy could not be evaluated beforehand");
                now.plus(REST)
            }
        };
        let end = enforcer.evaluations_end(source.key());
        self.rests.insert(key, end.map_or(rest, |end| rest.min(end)));
    }

    /// Whether all was evaluated that can be now.
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
                Err(error) if nobody_answers(&error) => return Err(error),
                Err(error) => {
                    let package = &one.package;
                    tracing::debug!(view = %key.0, source = %key.1, %package, %error, "a package could not be evaluated");
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

    /// Whether nothing of a package is left.
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
                Err(error) if nobody_answers(&error) => return Err(error),
                Err(error) => {
                    tracing::debug!(view = %view.key(), release = %name, %error, "licences could not be read beforehand");
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

/// Whether others would fail, too.
fn nobody_answers(error: &RepoError) -> bool {
    matches!(error, RepoError::Upstream(CacheError::Upstream(_)) | RepoError::Timeout(_) | RepoError::Offline { .. })
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}
