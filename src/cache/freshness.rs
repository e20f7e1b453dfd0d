//! Decides whether a cached registry resource may be served, by its age and the rules of its repository.

use std::time::Duration;

use crate::clock::Timestamp;

/// How a repository treats its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamMode {
    /// Never serves stale answers.
    Strict,
    /// Serves stale answers while the upstream fails.
    Fallback,
    /// Never contacts the upstream.
    Offline,
}

/// The freshness rules of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessRules {
    /// How long a resource counts as fresh.
    pub ttl: Duration,
    /// How long after that it is served at once and revalidated in the background.
    pub stale_while_revalidate: Duration,
    /// The maximum age that is ever served.
    pub max_stale: Duration,
    /// How the upstream is treated.
    pub network: UpstreamMode,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Serve the cached entry: it is fresh.
    Serve,
    /// Serve the cached entry although it has expired, and do not contact the upstream.
    ServeOffline,
    /// Serve the cached entry, and revalidate it in the background.
    ServeStaleThenRevalidate,
    /// Revalidate first; if that fails, the cached entry may be served.
    RevalidateOrStale,
    /// Fetch: there is no cached entry, or it is too old, or it may not be served stale.
    Fetch,
    /// Refuse: there is no cached entry, and the repository is offline.
    Refuse,
}

/// Decides about an entry that the upstream last confirmed at `confirmed_at`; `None` if there is no entry.
pub fn plan(confirmed_at: Option<Timestamp>, now: Timestamp, rules: &FreshnessRules) -> Plan {
    let Some(confirmed_at) = confirmed_at else {
        return if rules.network == UpstreamMode::Offline { Plan::Refuse } else { Plan::Fetch };
    };
    if now.is_within(rules.ttl, confirmed_at) {
        return Plan::Serve;
    }
    let age = now.since(confirmed_at);
    match rules.network {
        // There will be no newer answer.
        UpstreamMode::Offline => Plan::ServeOffline,
        UpstreamMode::Strict => Plan::Fetch,
        UpstreamMode::Fallback if age > rules.max_stale => Plan::Fetch,
        // The confirmation is in the future, so its age is unknown: the upstream is asked first.
        UpstreamMode::Fallback if now.is_before(confirmed_at) => Plan::RevalidateOrStale,
        UpstreamMode::Fallback if age < rules.ttl.saturating_add(rules.stale_while_revalidate) => {
            Plan::ServeStaleThenRevalidate
        }
        UpstreamMode::Fallback => Plan::RevalidateOrStale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u64 = 60;
    const SWR: u64 = 300;
    const MAX: u64 = 86_400;

    fn rules(network: UpstreamMode) -> FreshnessRules {
        FreshnessRules {
            ttl: Duration::from_secs(TTL),
            stale_while_revalidate: Duration::from_secs(SWR),
            max_stale: Duration::from_secs(MAX),
            network,
        }
    }

    #[test]
    fn every_age_in_every_mode() {
        use Plan::{Fetch, Refuse, RevalidateOrStale, Serve, ServeOffline, ServeStaleThenRevalidate};
        use UpstreamMode::{Fallback, Offline, Strict};
        let table: &[(Option<u64>, Plan, Plan, Plan)] = &[
            // age, strict, fallback, offline
            (None, Fetch, Fetch, Refuse),
            (Some(0), Serve, Serve, Serve),
            (Some(TTL - 1), Serve, Serve, Serve),
            (Some(TTL), Fetch, ServeStaleThenRevalidate, ServeOffline),
            (Some(TTL + SWR - 1), Fetch, ServeStaleThenRevalidate, ServeOffline),
            (Some(TTL + SWR), Fetch, RevalidateOrStale, ServeOffline),
            (Some(MAX), Fetch, RevalidateOrStale, ServeOffline),
            (Some(MAX + 1), Fetch, Fetch, ServeOffline),
        ];
        let now = Timestamp::from_secs(10_000_000);
        for (age, strict, fallback, offline) in table {
            let confirmed = age.map(|age| Timestamp::from_secs(10_000_000 - age));
            assert_eq!(plan(confirmed, now, &rules(Strict)), *strict, "strict {age:?}");
            assert_eq!(plan(confirmed, now, &rules(Fallback)), *fallback, "fallback {age:?}");
            assert_eq!(plan(confirmed, now, &rules(Offline)), *offline, "offline {age:?}");
        }
    }

    #[test]
    fn a_confirmation_of_a_clock_that_was_set_back_is_not_fresh() {
        use UpstreamMode::{Fallback, Offline, Strict};
        let plan = |seconds, network| {
            plan(Some(Timestamp::from_secs(seconds)), Timestamp::from_secs(100_000), &rules(network))
        };
        for ahead in [16, 3600, 40 * MAX] {
            let confirmed = 100_000 + ahead;
            assert_eq!(plan(confirmed, Strict), Plan::Fetch, "{ahead}");
            assert_eq!(plan(confirmed, Fallback), Plan::RevalidateOrStale, "{ahead}");
            assert_eq!(plan(confirmed, Offline), Plan::ServeOffline, "{ahead}");
        }
        assert_eq!(plan(100_015, Strict), Plan::Serve, "confirmed while the request waited");
    }
}
