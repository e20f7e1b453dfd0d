//! Combines the cache statuses of several members' answers.

use std::time::Duration;

use crate::repository::{CacheLifetime, CacheStatus, Served, StaleReason};

/// The combined status of the answers so far.
#[derive(Debug)]
pub(super) struct MemberStatuses {
    status: CacheStatus,
    upstream: Option<Duration>,
    keep: Option<CacheLifetime>,
}

impl MemberStatuses {
    pub(super) fn new() -> Self {
        Self { status: CacheStatus::Hit, upstream: None, keep: None }
    }

    /// Adds a member's answer. The status of the slowest answer counts, and the shortest lifetime.
    pub(super) fn add<T>(&mut self, served: &Served<T>, keep: CacheLifetime) {
        if rank(served.status) > rank(self.status) {
            self.status = served.status;
        }
        self.upstream = self.upstream.max(served.upstream);
        self.keep = Some(self.keep.map_or(keep, |other| shorter(other, keep)));
    }

    /// The answer changes by itself after this time, so its lifetime ends there.
    pub(super) fn changes_in(&mut self, time: Duration) {
        self.keep = Some(self.keep.map_or(CacheLifetime::For(time), |keep| shorter(keep, CacheLifetime::For(time))));
    }

    /// A public member was skipped.
    pub(super) fn skipped(&mut self) {
        self.status = CacheStatus::Stale(StaleReason::Skipped);
    }

    pub(super) fn into_served<T>(self, value: T) -> Served<(T, CacheLifetime)> {
        let keep = self.keep.unwrap_or(CacheLifetime::Revalidate);
        Served { value: (value, keep), status: self.status, upstream: self.upstream }
    }
}

fn rank(status: CacheStatus) -> u8 {
    match status {
        CacheStatus::Hit => 0,
        CacheStatus::Revalidated => 1,
        CacheStatus::Coalesced => 2,
        CacheStatus::Miss => 3,
        CacheStatus::Bypass(_) => 4,
        CacheStatus::Stale(StaleReason::Revalidating) => 5,
        CacheStatus::Stale(StaleReason::Skipped) => 7,
        CacheStatus::Stale(_) => 6,
    }
}

fn shorter(one: CacheLifetime, other: CacheLifetime) -> CacheLifetime {
    match (one, other) {
        (CacheLifetime::Revalidate, _) | (_, CacheLifetime::Revalidate) => CacheLifetime::Revalidate,
        (CacheLifetime::Immutable, other) | (other, CacheLifetime::Immutable) => other,
        (CacheLifetime::For(one), CacheLifetime::For(other)) => CacheLifetime::For(one.min(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_that_of_the_slowest_and_the_shortest() {
        let minute = CacheLifetime::For(Duration::from_secs(60));
        let mut story = MemberStatuses::new();
        story.add(&Served::at_once((), CacheStatus::Hit), CacheLifetime::Immutable);
        story.add(&Served { value: (), status: CacheStatus::Miss, upstream: Some(Duration::from_millis(3)) }, minute);
        story.add(&Served::at_once((), CacheStatus::Revalidated), CacheLifetime::For(Duration::from_secs(90)));
        let served = story.into_served("x");
        assert_eq!((served.value, served.status), (("x", minute), CacheStatus::Miss));
        assert_eq!(served.upstream, Some(Duration::from_millis(3)));

        let mut story = MemberStatuses::new();
        story.skipped();
        story.add(&Served::at_once((), CacheStatus::Stale(StaleReason::Offline)), CacheLifetime::Revalidate);
        assert_eq!(story.into_served(()).status, CacheStatus::Stale(StaleReason::Skipped));
    }
}
