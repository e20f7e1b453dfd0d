//! Prevents jobs on the cache from running at the same time if they would disturb each other.
//!
//! An import relies on the files that it has found or stored until it has switched the indexes, and a mirror relies on
//! the files of its packages; a garbage collection removes files. So an import or a garbage collection excludes every
//! other job, and two mirrors exclude each other if they are for the same repository. Without a daemon, the lock of the
//! store ensures that only one command runs.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::hex::name::RepoName;

/// A job that excludes others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExclusiveJob {
    /// Import of a bundle.
    Import,
    /// Garbage collection.
    Collect,
    /// Mirror of a repository.
    Mirror(RepoName),
}

impl ExclusiveJob {
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mirror(one), Self::Mirror(other)) => one == other,
            _ => true,
        }
    }
}

impl fmt::Display for ExclusiveJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Import => f.write_str("an import of a bundle"),
            Self::Collect => f.write_str("a garbage collection (gc)"),
            Self::Mirror(repository) => write!(f, "a mirror of `{repository}`"),
        }
    }
}

/// Another job is running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is running; run the command again when it has ended")]
pub struct JobConflict(pub(super) ExclusiveJob);

/// The running jobs. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningJobs(Arc<Mutex<Vec<ExclusiveJob>>>);

/// The entry of a running job; dropped when the job ends.
#[derive(Debug)]
pub(super) struct JobSlot(RunningJobs, ExclusiveJob);

impl Drop for JobSlot {
    fn drop(&mut self) {
        self.0.0.lock().retain(|work| *work != self.1);
    }
}

impl RunningJobs {
    /// Registers a job, unless a running job excludes it.
    pub(super) fn begin(&self, work: ExclusiveJob) -> Result<JobSlot, JobConflict> {
        let mut under_way = self.0.lock();
        if let Some(other) = under_way.iter().find(|other| work.excludes(other)) {
            return Err(JobConflict(other.clone()));
        }
        under_way.push(work.clone());
        drop(under_way);
        Ok(JobSlot(self.clone(), work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_excludes_each_other_has_no_place_beside_it() {
        let mirror = |name: &str| ExclusiveJob::Mirror(name.parse().unwrap());
        let under_way = RunningJobs::default();
        let one = under_way.begin(mirror("one")).unwrap();
        let other = under_way.begin(mirror("other")).unwrap();
        for work in [mirror("one"), ExclusiveJob::Import, ExclusiveJob::Collect] {
            assert_eq!(under_way.begin(work).unwrap_err(), JobConflict(mirror("one")));
        }
        drop(one);
        assert_eq!(under_way.begin(ExclusiveJob::Import).unwrap_err(), JobConflict(mirror("other")));
        drop(other);
        for alone in [ExclusiveJob::Import, ExclusiveJob::Collect] {
            let place = under_way.begin(alone.clone()).unwrap();
            for work in [mirror("one"), ExclusiveJob::Import, ExclusiveJob::Collect] {
                assert_eq!(under_way.begin(work).unwrap_err(), JobConflict(alone.clone()));
            }
            drop(place);
        }
    }
}
