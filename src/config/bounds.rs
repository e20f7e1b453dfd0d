//! Every bound on what a configuration may say, each with its reason.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::size::ByteSize;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Longest configuration text: far above what people write, far below what hurts.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;
/// Most scalars, lists and tables in one document, keys included.
pub(super) const MAX_NODES: usize = 10_000;
/// Deepest nesting; the deepest key there is lies at 5.
pub(super) const MAX_DEPTH: usize = 16;
/// Longest file that a key refers to and whose content is read: keys and credentials.
pub(super) const MAX_REFERENCED_BYTES: u64 = 64 << 10;
/// Longest credential: servers commonly refuse header lines above 8 KiB.
pub(super) const MAX_CREDENTIAL_BYTES: usize = 8 << 10;
/// Longest URL, as common servers take it.
pub(super) const MAX_URL_BYTES: usize = 2048;
/// Longest pattern; package names have at most 64 characters.
pub(super) const MAX_PATTERN_BYTES: usize = 256;
/// Longest id of a signing key.
pub(super) const MAX_KEY_ID_BYTES: usize = 32;

// Of limits 0 is none, wherever one is configured. A time of 0 is none at all: what it bounds is over at once.

/// Requests or failures a minute.
pub(super) const RATE_LIMIT: RangeInclusive<usize> = 1..=1_000_000;
/// Connections at one time; above lies what a process can hold open.
pub(super) const MAX_CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
/// Clients give a whole request 15 s; a minute is for patient ones behind slow upstreams.
pub(super) const DEADLINE: RangeInclusive<Duration> = secs(1)..=secs(60);
/// A cache below a mebibyte would not hold a common tarball.
pub(super) const CACHE_LIMIT: RangeInclusive<ByteSize> = ByteSize::new(1 << 20)..=ByteSize::new(1 << 50);
/// Memory for hot resources.
pub(super) const MEMORY_LIMIT: RangeInclusive<ByteSize> = ByteSize::new(1 << 20)..=ByteSize::new(1 << 40);

/// Zero writes nothing down; ten years are longer than any inquiry.
pub(super) const FETCH_LOG_RETAIN: RangeInclusive<Duration> = secs(0)..=secs(3650 * DAY);
/// Zero asks the upstream each time.
pub(super) const INSTALLS_TTL: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Zero asks the upstream each time.
pub(super) const METADATA_TTL: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Zero turns background refreshing off.
pub(super) const STALE_WHILE_REVALIDATE: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Ten years: "for ever" for a build that must go on.
pub(super) const MAX_STALE: RangeInclusive<Duration> = secs(0)..=secs(3650 * DAY);
/// Longer would hide a package that was published meanwhile.
pub(super) const MISSING_TTL: RangeInclusive<Duration> = secs(0)..=secs(DAY);
/// Docs may be replaced at any time.
pub(super) const DOCS_TTL: RangeInclusive<Duration> = secs(0)..=secs(365 * DAY);
/// Zero asks a failing upstream again with each request.
pub(super) const ASSUMED_OFFLINE: RangeInclusive<Duration> = secs(0)..=secs(HOUR);
/// A handshake across the world takes well under a second.
pub(super) const CONNECT_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=secs(MINUTE);
/// Time without a byte.
pub(super) const READ_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=secs(10 * MINUTE);
/// More often than each minute is a burden, less often than each month is no mirror.
pub(super) const MIRROR_SCHEDULE: RangeInclusive<Duration> = secs(MINUTE)..=secs(30 * DAY);
/// Releases of a package.
pub(super) const MIRROR_LATEST: RangeInclusive<usize> = 1..=100_000;
/// Bytes a second: below a kibibyte no run ends.
pub(super) const MIRROR_RATE: RangeInclusive<ByteSize> = ByteSize::new(1 << 10)..=ByteSize::new(1 << 40);
/// Requests to one upstream at one time.
pub(super) const CONCURRENCY: RangeInclusive<usize> = 1..=1024;
