//! The cache statuses. The same word is used in the response header, the log and the metrics.

use std::fmt;

/// How the cache obtained an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// It was cached and fresh.
    Hit,
    /// It was fetched for this request.
    Miss,
    /// It was fetched for another request at the same time.
    Coalesced,
    /// It was cached, and the upstream confirmed it for this request.
    Revalidated,
    /// It was cached, and has expired.
    Stale(StaleReason),
    /// It was fetched, and could not be stored.
    Bypass(BypassReason),
}

/// Why an answer is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleReason {
    /// It is being refreshed in the background.
    Revalidating,
    /// `network: offline`.
    Offline,
    /// The upstream did not answer within the time after which a stale answer is served.
    Slow,
    /// The upstream has removed it; it is kept because of `on_upstream_delete: keep`.
    Deleted,
    /// The upstream failed; the word is the reason of the upstream error.
    Upstream(&'static str),
    /// The upstream's answer failed verification.
    Untrusted,
    /// A public member of a virtual repository failed and was left out.
    Skipped,
}

/// Why an answer was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BypassReason {
    /// The disk could not be written.
    DiskFull,
    /// It does not fit below `storage.cache_limit`.
    NoRoom,
}

impl CacheStatus {
    /// The word without its reason: for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Revalidated => "revalidated",
            Self::Stale(_) => "stale",
            Self::Bypass(_) => "bypass",
        }
    }

    /// The reason, if the status has one.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Stale(reason) => Some(reason.word()),
            Self::Bypass(reason) => Some(reason.word()),
            Self::Hit | Self::Miss | Self::Coalesced | Self::Revalidated => None,
        }
    }
}

impl StaleReason {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Revalidating => "revalidating",
            Self::Offline => "offline",
            Self::Slow => "slow",
            Self::Deleted => "deleted",
            Self::Upstream(reason) => reason,
            Self::Untrusted => "untrusted",
            Self::Skipped => "skipped",
        }
    }
}

impl BypassReason {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::NoRoom => "no_room",
        }
    }
}

impl fmt::Display for CacheStatus {
    /// As in the header `x-hexkeep-cache`: `hit`, `stale; reason=timeout`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self.reason() {
            Some(reason) => write!(f, "; reason={reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_in_the_header() {
        assert_eq!(CacheStatus::Hit.to_string(), "hit");
        assert_eq!(CacheStatus::Stale(StaleReason::Upstream("timeout")).to_string(), "stale; reason=timeout");
        assert_eq!(CacheStatus::Bypass(BypassReason::DiskFull).to_string(), "bypass; reason=disk_full");
    }
}
