//! The header `x-hex-message`, which mix prints (client-protocol §1.9).
//!
//! Versions of Hex before 2.5 hang for a minute on any value of this header. So it is only sent to user agents with
//! `hex/2.5` or later, and only in the one form that they parse.

use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;

use crate::clock::Timestamp;
use crate::hex::name::{PackageName, RepoName};

/// A caller gets the same message at most once in this time.
const QUIET: Duration = Duration::from_secs(600);

/// The number of callers to remember.
const CALLERS: u64 = 10_000;

/// The callers that recently got a message.
#[derive(Clone, Debug)]
pub struct RecentMessages<K: Eq + Hash + Send + Sync + 'static>(moka::sync::Cache<K, Timestamp>);

/// For messages about stale answers: one per client address and repository.
pub type StaleMessages = RecentMessages<(IpAddr, RepoName)>;

/// For messages about hidden releases: one per client address, account, repository and package.
pub type HiddenMessages = RecentMessages<(IpAddr, Option<String>, RepoName, PackageName)>;

impl<K: Eq + Hash + Send + Sync + 'static> RecentMessages<K> {
    /// An empty record.
    pub fn new() -> Self {
        Self(moka::sync::Cache::new(CALLERS))
    }

    /// Whether the caller must get this message now; if so, it is recorded as sent.
    pub fn is_due(&self, what: K, now: Timestamp) -> bool {
        // This is the usual case, and much cheaper than a write.
        if self.0.get(&what).is_some_and(|told| now.is_within(QUIET, told)) {
            return false;
        }
        let mut is_first = false;
        self.0.entry(what).and_upsert_with(|told| match told {
            Some(told) if now.is_within(QUIET, *told.value()) => *told.value(),
            Some(_) | None => {
                is_first = true;
                now
            }
        });
        is_first
    }
}

impl<K: Eq + Hash + Send + Sync + 'static> Default for RecentMessages<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether this user agent can read the header: it contains `hex/2.5.0` or later as a product.
pub fn understood_by(user_agent: &str) -> bool {
    user_agent.split(' ').filter_map(|product| product.strip_prefix("hex/")).any(|version| {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(2), Some(minor)) => minor >= 5,
            (Some(major), _) => major > 2,
            (None, _) => false,
        }
    })
}

/// The value of the header for a text; `None` if the text contains characters that cannot be sent.
pub fn value(text: &str) -> Option<HeaderValue> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\');
    if !printable {
        return None;
    }
    HeaderValue::from_str(&format!("\"{text}\";level=warn")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_agents_that_read_it() {
        for (agent, understood) in [
            ("hex_core/0.18.0 hex/2.5.1 (elixir/1.14.0) (OTP/25) (erts/13.1.5)", true),
            ("hex_core/0.19.0 hex/2.5.2-dev (elixir/1.14.0)", true),
            ("hex_core/1.0.0 hex/3.0.0 (elixir/1.20.0)", true),
            ("hex_core/0.15.0 hex/2.4.2 (elixir/1.14.0)", false),
            ("Hex/2.0.6 (Elixir/1.14.0) (OTP/25.2.3)", false),
            ("hex_core/0.7.1 (rebar3/3.19.0) (httpc) (OTP/25)", false),
            ("hex/", false),
            ("", false),
        ] {
            assert_eq!(understood_by(agent), understood, "{agent}");
        }
    }

    #[test]
    fn in_the_one_form_that_is_read() {
        assert_eq!(value("served stale").unwrap(), "\"served stale\";level=warn");
        assert!(value("a \"quoted\" word").is_none());
        assert!(value("über").is_none());
    }

    #[test]
    fn a_caller_is_told_once_for_a_repository() {
        let told = StaleMessages::new();
        let (here, there) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let (hexpm, acme) = ("hexpm".parse().unwrap(), "acme".parse().unwrap());
        let at = |seconds: u64| Timestamp::from_secs(1_000_000 + seconds);
        let first = |caller: IpAddr, repository: &RepoName, now| told.is_due((caller, repository.clone()), now);
        assert!(first(here, &hexpm, at(0)));
        assert!(!first(here, &hexpm, at(0)) && !first(here, &hexpm, at(599)));
        assert!(first(there, &hexpm, at(0)) && first(here, &acme, at(0)));
        assert!(first(here, &hexpm, at(600)) && !first(here, &hexpm, at(1199)));
    }
}
