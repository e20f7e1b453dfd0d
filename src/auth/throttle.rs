//! Rate limits in fixed windows that are aligned to the clock, for requests and for failed attempts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

use super::principal::{Caller, Subject};
use crate::clock::Timestamp;

/// The group whose requests or failures are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    /// An address; for IPv6 the /64 network, which belongs to one customer.
    Address(IpAddr),
    /// The name of an unknown user.
    Name(String),
    User(i64),
    Organization(i64),
    /// Everybody else, when there are too many groups.
    Others,
}

impl Bucket {
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 => v4,
        })
    }
}

/// The largest number of groups that are counted separately.
const MOST: usize = 100_000;

/// The result of a request for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThrottleDecision {
    /// Allowed; contains the number of requests that are left.
    Yes(u32),
    /// Denied; `first` is true for the first denial in the window.
    No { first: bool },
}

/// Counts per group, with a limit for each period. A limit of zero means no limit.
#[derive(Debug)]
pub(super) struct Windows {
    limit: u32,
    period: Duration,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// For each group, the window and the count in it.
    buckets: HashMap<Bucket, (u64, u32)>,
    /// The window of the last removal of old groups, which happens once per window.
    pruned: u64,
}

impl Windows {
    pub(super) fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period, counts: Mutex::default() }
    }

    /// Counts one more, if the limit allows it.
    pub(super) fn take(&self, bucket: Bucket, now: Timestamp) -> ThrottleDecision {
        if self.limit == 0 {
            return ThrottleDecision::Yes(u32::MAX);
        }
        let window = self.window(now);
        let mut counts = self.counts.lock();
        if counts.buckets.len() >= MOST && counts.pruned != window {
            counts.buckets.retain(|_, (at, _)| *at == window);
            counts.pruned = window;
        }
        let full = counts.buckets.len() >= MOST && !counts.buckets.contains_key(&bucket);
        let count = counts.buckets.entry(if full { Bucket::Others } else { bucket }).or_insert((window, 0));
        if count.0 != window {
            *count = (window, 0);
        }
        count.1 = count.1.saturating_add(1);
        match self.limit.checked_sub(count.1) {
            Some(more) => ThrottleDecision::Yes(more),
            None => ThrottleDecision::No { first: count.1 == self.limit.saturating_add(1) },
        }
    }

    /// Removes one from the count: the request does not count, or was not a failure.
    pub(super) fn give_back(&self, bucket: &Bucket, now: Timestamp) {
        let window = self.window(now);
        if let Some((_, count)) = self.counts.lock().buckets.get_mut(bucket).filter(|(at, _)| *at == window) {
            *count = count.saturating_sub(1);
        }
    }

    /// The end of the current window.
    pub(super) fn end(&self, now: Timestamp) -> Timestamp {
        let period = self.period.as_secs().max(1);
        Timestamp::from_secs(self.window(now).saturating_add(1).saturating_mul(period))
    }

    fn window(&self, now: Timestamp) -> u64 {
        now.as_secs() / self.period.as_secs().max(1)
    }
}

/// The rate limits of the API per minute. Zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// For each user and each organization.
    pub account: u32,
    /// For each address without a credential.
    pub anonymous: u32,
    /// Wrong credentials from one address, and for one user or unknown name.
    pub failures: u32,
}

impl Default for RateLimits {
    /// The limits of hex.pm, which has none for failures.
    fn default() -> Self {
        Self { account: 500, anonymous: 100, failures: 10 }
    }
}

/// The contents of the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// The limit per window.
    pub limit: u32,
    /// Requests that are left in the window.
    pub remaining: u32,
    /// The end of the window, in seconds since the epoch.
    pub reset_unix: u64,
    /// Whether this request is over the limit.
    pub refused: bool,
}

/// The rate limits of the API.
#[derive(Debug)]
pub struct RateLimiter {
    account: Windows,
    anonymous: Windows,
}

impl RateLimiter {
    /// A limiter without any counts.
    pub fn new(limits: RateLimits) -> Self {
        let minute = Duration::from_secs(60);
        Self { account: Windows::new(limits.account, minute), anonymous: Windows::new(limits.anonymous, minute) }
    }

    /// Counts a request; `None` if there is no limit.
    pub fn check(&self, caller: &Caller, address: IpAddr, now: Timestamp) -> Option<RateLimitStatus> {
        let (windows, bucket) = self.place(caller, address)?;
        let (remaining, refused) = match windows.take(bucket, now) {
            ThrottleDecision::Yes(remaining) => (remaining, false),
            ThrottleDecision::No { .. } => (0, true),
        };
        Some(RateLimitStatus { limit: windows.limit, remaining, reset_unix: windows.end(now).as_secs(), refused })
    }

    /// Removes a request from the count: answers with 304 do not count.
    pub fn forgive(&self, caller: &Caller, address: IpAddr, now: Timestamp) {
        if let Some((windows, bucket)) = self.place(caller, address) {
            windows.give_back(&bucket, now);
        }
    }

    fn place(&self, caller: &Caller, address: IpAddr) -> Option<(&Windows, Bucket)> {
        let (windows, bucket) = match caller.principal().map(|principal| &principal.who) {
            Some(Subject::User { id, .. }) => (&self.account, Bucket::User(*id)),
            Some(Subject::Organization { id, .. }) => (&self.account, Bucket::Organization(*id)),
            None => (&self.anonymous, Bucket::address(address)),
        };
        (windows.limit > 0).then_some((windows, bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(600 + seconds)
    }

    #[test]
    fn windows_are_fixed_and_aligned() {
        let limiter = RateLimiter::new(RateLimits { anonymous: 2, ..RateLimits::default() });
        let client = "192.0.2.1".parse().unwrap();
        let ask = |seconds| limiter.check(&Caller::Anonymous, client, at(seconds)).unwrap();
        assert_eq!(ask(10), RateLimitStatus { limit: 2, remaining: 1, reset_unix: 660, refused: false });
        assert_eq!((ask(20).remaining, ask(20).refused), (0, true));
        limiter.forgive(&Caller::Anonymous, client, at(30));
        limiter.forgive(&Caller::Anonymous, client, at(30));
        assert!(!ask(30).refused, "a request that does not count frees a place");
        assert!(ask(59).refused && !ask(60).refused);
        let none = RateLimiter::new(RateLimits { anonymous: 0, ..RateLimits::default() });
        assert_eq!(none.check(&Caller::Anonymous, client, at(0)), None);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let bucket = |text: &str| Bucket::address(text.parse().unwrap());
        assert_eq!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:2:ffff::9"));
        assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
        assert_eq!(bucket("::ffff:192.0.2.1"), bucket("192.0.2.1"));
        assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
    }

    #[test]
    fn the_first_that_is_turned_away_is_known() {
        let windows = Windows::new(1, Duration::from_secs(60));
        let take = |seconds| windows.take(Bucket::User(1), at(seconds));
        assert_eq!(
            (take(0), take(0), take(0)),
            (ThrottleDecision::Yes(0), ThrottleDecision::No { first: true }, ThrottleDecision::No { first: false })
        );
        assert_eq!(take(61), ThrottleDecision::Yes(0));
        assert_eq!(windows.take(Bucket::User(2), at(0)), ThrottleDecision::Yes(0));
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let windows = Windows::new(0, Duration::from_secs(60));
        assert!((0..1000).all(|_| windows.take(Bucket::User(1), at(0)) == ThrottleDecision::Yes(u32::MAX)));
        windows.give_back(&Bucket::User(1), at(0));
        assert!(windows.counts.lock().buckets.is_empty(), "groups without counts are removed");
    }

    #[test]
    fn memory_is_bounded() {
        let windows = Windows::new(5, Duration::from_secs(60));
        for id in 0..200_000 {
            windows.take(Bucket::User(id), at(0));
        }
        assert!(windows.counts.lock().buckets.len() <= MOST + 1);
        assert!(
            matches!(windows.take(Bucket::User(-1), at(0)), ThrottleDecision::No { .. }),
            "the rest is counted together"
        );
        assert_eq!(windows.take(Bucket::User(-1), at(60)), ThrottleDecision::Yes(4));
    }
}
