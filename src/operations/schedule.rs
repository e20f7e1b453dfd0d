//! The schedule of mirrors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::job_exclusion::{ExclusiveJob, JobConflict, JobSlot, RunningJobs};
use crate::clock::{Clock, Timestamp};
use crate::hex::name::RepoName;

/// The time of the last mirror run of each repository. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastRuns(Arc<Mutex<BTreeMap<RepoName, Timestamp>>>);

/// A scheduled mirror run. When it is dropped, it records the time, and after that releases its job slot.
#[derive(Debug)]
pub(super) struct ScheduledRun {
    repository: RepoName,
    runs: LastRuns,
    clock: Arc<dyn Clock>,
    _place: JobSlot,
}

impl LastRuns {
    /// Starts a mirror run of `repository`, if the last run ended at least `every` ago and no running job excludes it.
    pub(super) fn begin_due(
        &self,
        repository: &RepoName,
        every: Duration,
        under_way: &RunningJobs,
        clock: &Arc<dyn Clock>,
    ) -> Option<ScheduledRun> {
        let now = clock.now();
        if self.0.lock().get(repository).is_some_and(|ended| now.is_within(every, *ended)) {
            return None;
        }
        match under_way.begin(ExclusiveJob::Mirror(repository.clone())) {
            Ok(place) => {
                let (repository, clock) = (repository.clone(), Arc::clone(clock));
                Some(ScheduledRun { repository, runs: self.clone(), clock, _place: place })
            }
            // The last run has not ended, or a user has started one. That counts as a run.
            Err(JobConflict(ExclusiveJob::Mirror(_))) => {
                self.0.lock().insert(repository.clone(), now);
                None
            }
            // The next check tries again.
            Err(busy @ JobConflict(ExclusiveJob::Import | ExclusiveJob::Collect)) => {
                tracing::debug!(%repository, %busy, "a mirror is due, but another job is running");
                None
            }
        }
    }
}

impl Drop for ScheduledRun {
    fn drop(&mut self) {
        self.runs.0.lock().insert(self.repository.clone(), self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::shutdown::{TaskError, Tasks};

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_run_that_panicked_is_repeated_when_it_is_due_again() {
        let manual = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000)));
        let clock = Arc::clone(&manual) as Arc<dyn Clock>;
        let (runs, under_way, repository) = (LastRuns::default(), RunningJobs::default(), "hexpm".parse().unwrap());
        let due = || runs.begin_due(&repository, HOUR, &under_way, &clock);
        let run = due().unwrap();
        let task = Tasks::new().spawn(async move {
            let _run = run;
            panic!("a bug");
        });
        let ended: Result<(), _> = task.await;
        assert_eq!(ended.map_err(TaskError::from), Err(TaskError::Panicked));
        assert!(due().is_none(), "not at once");
        manual.advance(HOUR);
        assert!(due().is_some());
    }

    #[test]
    fn a_run_ends_before_the_next_one_is_due() {
        let manual = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000)));
        let clock = Arc::clone(&manual) as Arc<dyn Clock>;
        let (runs, under_way) = (LastRuns::default(), RunningJobs::default());
        let [one, other] = ["one", "other"].map(|name| name.parse::<RepoName>().unwrap());
        let due = |repository| runs.begin_due(repository, HOUR, &under_way, &clock);
        let run = due(&one).unwrap();
        assert!(due(&other).is_some(), "repositories do not exclude each other");
        for _ in 0..2 {
            assert!(due(&one).is_none(), "it goes on");
            manual.advance(HOUR);
        }
        drop(run);
        assert!(due(&one).is_none(), "from its end");
        manual.advance(HOUR);
        // A run that a user started counts; another job that excludes mirrors does not.
        let ordered = under_way.begin(ExclusiveJob::Mirror(one.clone())).unwrap();
        assert!(due(&one).is_none());
        drop(ordered);
        assert!(due(&one).is_none());
        manual.advance(HOUR);
        let collecting = under_way.begin(ExclusiveJob::Collect).unwrap();
        assert!(due(&one).is_none());
        drop(collecting);
        assert!(due(&one).is_some());
    }
}
