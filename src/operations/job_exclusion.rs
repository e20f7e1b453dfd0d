//! Works on the cache that take a while, and which of them are not done at one time.
//!
//! An import counts on the files that it has found or stored until their indexes are switched, and a mirror on those of its
//! packages; a collection removes files. So an import and a collection are each alone, and mirrors exclude each other by
//! repository. Commands on a store at rest are alone anyway: one of them holds its lock.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::hex::name::RepoName;

/// A work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExclusiveJob {
    /// A bundle is taken in.
    Import,
    /// Files that nothing needs are removed.
    Collect,
    /// A repository is mirrored.
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
            Self::Collect => f.write_str("a collection (gc)"),
            Self::Mirror(repository) => write!(f, "a mirror of `{repository}`"),
        }
    }
}

/// Something else is under way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is under way already; give the command again when it has ended")]
pub struct JobConflict(pub(super) ExclusiveJob);

/// The works that are under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningJobs(Arc<Mutex<Vec<ExclusiveJob>>>);

/// A work's place among them, for as long as anything of it goes on.
#[derive(Debug)]
pub(super) struct JobSlot(RunningJobs, ExclusiveJob);

impl Drop for JobSlot {
    fn drop(&mut self) {
        self.0.0.lock().retain(|work| *work != self.1);
    }
}

impl RunningJobs {
    /// A place for a work, where nothing that is under way excludes it.
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
