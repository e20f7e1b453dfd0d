//! When scheduled mirrors run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::job_exclusion::{ExclusiveJob, JobConflict, JobSlot, RunningJobs};
use crate::clock::{Clock, Timestamp};
use crate::hex::name::RepoName;

/// When each repository was mirrored last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastRuns(Arc<Mutex<BTreeMap<RepoName, Timestamp>>>);

/// A run of a mirror. Dropped, however the run ends, it writes down when that was, and gives its place free after that.
#[derive(Debug)]
pub(super) struct ScheduledRun {
    repository: RepoName,
    runs: LastRuns,
    clock: Arc<dyn Clock>,
    _place: JobSlot,
}

impl LastRuns {
    /// A run of the mirror of `repository`, where the last one ended at least `every` ago and nothing that is under way
    /// excludes it.
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
            // The last one goes on, or somebody has ordered one: that is a run.
            Err(JobConflict(ExclusiveJob::Mirror(_))) => {
                self.0.lock().insert(repository.clone(), now);
                None
            }
            // It is looked again in a moment.
            Err(busy @ JobConflict(ExclusiveJob::Import | ExclusiveJob::Collect)) => {
                tracing::debug!(%repository, %busy, "a mirror is due and waits");
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
        // One that is ordered counts as a run, and what excludes mirrors does not.
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
