//! The story of an answer that is made of several.

use std::time::Duration;

use crate::repository::{CacheStatus, Keep, Served, StaleReason};

/// What is remembered of the members' answers.
#[derive(Debug)]
pub(super) struct Story {
    status: CacheStatus,
    upstream: Option<Duration>,
    keep: Option<Keep>,
}

impl Story {
    pub(super) fn new() -> Self {
        Self { status: CacheStatus::Hit, upstream: None, keep: None }
    }

    /// Takes a member's answer in: the story is that of the one that took most, and it is kept as the shortest is.
    pub(super) fn add<T>(&mut self, served: &Served<T>, keep: Keep) {
        if rank(served.status) > rank(self.status) {
            self.status = served.status;
        }
        self.upstream = self.upstream.max(served.upstream);
        self.keep = Some(self.keep.map_or(keep, |other| shorter(other, keep)));
    }

    /// It is another answer after this time, by itself.
    pub(super) fn changes_in(&mut self, time: Duration) {
        self.keep = Some(self.keep.map_or(Keep::For(time), |keep| shorter(keep, Keep::For(time))));
    }

    /// A public member is missing.
    pub(super) fn skipped(&mut self) {
        self.status = CacheStatus::Stale(StaleReason::Skipped);
    }

    pub(super) fn tell<T>(self, value: T) -> Served<(T, Keep)> {
        let keep = self.keep.unwrap_or(Keep::Revalidate);
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

fn shorter(one: Keep, other: Keep) -> Keep {
    match (one, other) {
        (Keep::Revalidate, _) | (_, Keep::Revalidate) => Keep::Revalidate,
        (Keep::Immutable, other) | (other, Keep::Immutable) => other,
        (Keep::For(one), Keep::For(other)) => Keep::For(one.min(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_that_of_the_slowest_and_the_shortest() {
        let minute = Keep::For(Duration::from_secs(60));
        let mut story = Story::new();
        story.add(&Served::at_once((), CacheStatus::Hit), Keep::Immutable);
        story.add(&Served { value: (), status: CacheStatus::Miss, upstream: Some(Duration::from_millis(3)) }, minute);
        story.add(&Served::at_once((), CacheStatus::Revalidated), Keep::For(Duration::from_secs(90)));
        let served = story.tell("x");
        assert_eq!((served.value, served.status), (("x", minute), CacheStatus::Miss));
        assert_eq!(served.upstream, Some(Duration::from_millis(3)));

        let mut story = Story::new();
        story.skipped();
        story.add(&Served::at_once((), CacheStatus::Stale(StaleReason::Offline)), Keep::Revalidate);
        assert_eq!(story.tell(()).status, CacheStatus::Stale(StaleReason::Skipped));
    }
}
