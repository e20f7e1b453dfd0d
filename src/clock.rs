//! Wall-clock time as a value and as an input.
//!
//! Freshness, retention and checksum windows are decided from a [`Timestamp`] that somebody passes in, so a test can
//! choose it. Deadlines of requests are another thing: they use the runtime's monotonic clock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far ahead of now what was written may lie without the clock having been set back: a request looks at the clock when
/// it begins, and what it finds may have been written while it waited.
pub const AHEAD: Duration = Duration::from_secs(15);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 9999-12-31T23:59:59Z: the last moment that RFC 3339 can write. Nothing that ends by itself ends later, and what lies
    /// beyond it is written as it.
    pub const LAST: Self = Self::from_secs(253_402_300_799);

    /// A point `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A point `seconds` seconds after the epoch; saturates.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Time passed since `earlier`; zero when `earlier` lies in the future (clocks are set back now and then).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whether less than `span` has passed since `earlier`. What lies further ahead than [`AHEAD`] was written before the
    /// clock was set back, and nobody knows how long ago: it is past.
    pub fn is_within(self, span: Duration, earlier: Self) -> bool {
        self.since(earlier) < span && !self.is_before(earlier)
    }

    /// Whether the clock was set back since `earlier` was written; see [`AHEAD`].
    pub fn is_before(self, earlier: Self) -> bool {
        earlier.since(self) > AHEAD
    }

    /// Whether `until` lies ahead, but not farther than the `at_most` by which it was set: a clock set back must not lock
    /// us out.
    pub fn awaits(self, until: Self, at_most: Duration) -> bool {
        self < until && until.since(self) <= at_most
    }

    /// This point moved forward by `by`; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Timestamp {
    /// RFC 3339 in UTC, with six digits behind the seconds, as Hex's API writes times.
    pub fn to_micros(self) -> String {
        humantime::format_rfc3339_micros(self.writable()).to_string()
    }

    /// The same moment for what writes times, and fails beyond [`Self::LAST`].
    fn writable(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.min(Self::LAST).as_millis())
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.writable()).fmt(f)
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still unless told otherwise.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.as_millis()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the clock back.
    pub fn set_back(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_sub(by, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_makes_nothing_negative() {
        let early = Timestamp::from_secs(10);
        assert_eq!(early.since(Timestamp::from_secs(20)), Duration::ZERO);
        assert_eq!(early.plus(Duration::from_secs(5)), Timestamp::from_secs(15));
    }

    #[test]
    fn what_was_written_before_the_clock_was_set_back_is_past() {
        let now = Timestamp::from_secs(1_000);
        let minute = Duration::from_secs(60);
        for (seconds, expected) in [(940, false), (941, true), (1_000, true), (1_015, true), (1_016, false)] {
            assert_eq!(now.is_within(minute, Timestamp::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_secs(1_700_000_000).to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(Timestamp::from_millis(1_700_000_000_120).to_micros(), "2023-11-14T22:13:20.120000Z");
        for far in [Timestamp::LAST, Timestamp::LAST.plus(Duration::from_secs(1)), Timestamp::from_millis(u64::MAX)] {
            assert_eq!(far.to_string(), "9999-12-31T23:59:59Z");
            assert_eq!(far.to_micros(), "9999-12-31T23:59:59.000000Z");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_moment_can_be_printed_and_read_again(millis: u64) {
            let time = Timestamp::from_millis(millis);
            let nearest = time.min(Timestamp::LAST);
            let read = |text: String| humantime::parse_rfc3339(&text).map(Timestamp::from);
            proptest::prop_assert_eq!(read(time.to_string()).unwrap().as_secs(), nearest.as_secs());
            proptest::prop_assert_eq!(read(time.to_micros()).unwrap(), nearest);
        }
    }
}
