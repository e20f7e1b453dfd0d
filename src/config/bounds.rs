//! The bounds of all values in a configuration, with reasons.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::size::ByteSize;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Maximum length of a configuration in bytes: much longer than real configurations, and still fast to parse.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;
/// Maximum number of scalars, lists and tables in a document, including keys.
pub(super) const MAX_NODES: usize = 10_000;
/// Maximum depth of nesting; the deepest key is at level 5.
pub(super) const MAX_DEPTH: usize = 16;
/// Maximum length of a file with a key or a credential in bytes.
pub(super) const MAX_REFERENCED_BYTES: u64 = 64 << 10;
/// Maximum length of a credential in bytes: most servers refuse header lines above 8 KiB.
pub(super) const MAX_CREDENTIAL_BYTES: usize = 8 << 10;
/// Maximum length of a URL in bytes, as most servers accept it.
pub(super) const MAX_URL_BYTES: usize = 2048;
/// Maximum length of a pattern in bytes; package names have at most 64 characters.
pub(super) const MAX_PATTERN_BYTES: usize = 256;
/// Maximum length of the id of a signing key in bytes.
pub(super) const MAX_KEY_ID_BYTES: usize = 32;

// A limit of 0 means "no limit", for all limits. A time of 0 really means zero: it ends at once.

/// Requests or failures per minute.
pub(super) const RATE_LIMIT: RangeInclusive<usize> = 1..=1_000_000;
/// Concurrent connections; a process cannot hold more open.
pub(super) const MAX_CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
/// Clients wait 15 s for a request by default; a minute is for clients with longer timeouts and slow upstreams.
pub(super) const DEADLINE: RangeInclusive<Duration> = secs(1)..=secs(60);
/// A cache below one mebibyte would be too small for a typical tarball.
pub(super) const CACHE_LIMIT: RangeInclusive<ByteSize> = ByteSize::new(1 << 20)..=ByteSize::new(1 << 50);
/// Memory for frequently used resources.
pub(super) const MEMORY_LIMIT: RangeInclusive<ByteSize> = ByteSize::new(1 << 20)..=ByteSize::new(1 << 40);

/// Zero disables the fetch log; ten years are enough for any investigation.
pub(super) const FETCH_LOG_RETAIN: RangeInclusive<Duration> = secs(0)..=secs(3650 * DAY);
/// Zero sends a request to the upstream each time.
pub(super) const INSTALLS_TTL: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Zero sends a request to the upstream each time.
pub(super) const METADATA_TTL: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Zero disables background refreshes.
pub(super) const STALE_WHILE_REVALIDATE: RangeInclusive<Duration> = secs(0)..=secs(30 * DAY);
/// Ten years are in practice unlimited, for builds that must always work.
pub(super) const MAX_STALE: RangeInclusive<Duration> = secs(0)..=secs(3650 * DAY);
/// A longer time would hide new packages.
pub(super) const MISSING_TTL: RangeInclusive<Duration> = secs(0)..=secs(DAY);
/// Docs can be replaced at any time.
pub(super) const DOCS_TTL: RangeInclusive<Duration> = secs(0)..=secs(365 * DAY);
/// Zero sends each request to the upstream, even if it is failing.
pub(super) const ASSUMED_OFFLINE: RangeInclusive<Duration> = secs(0)..=secs(HOUR);
/// A handshake across the world takes well under a second.
pub(super) const CONNECT_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=secs(MINUTE);
/// Time without any data.
pub(super) const READ_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(10)..=secs(10 * MINUTE);
/// A run more often than each minute would be too much load; a mirror that runs less than once a month would be
/// outdated.
pub(super) const MIRROR_SCHEDULE: RangeInclusive<Duration> = secs(MINUTE)..=secs(30 * DAY);
/// Number of releases of a package.
pub(super) const MIRROR_LATEST: RangeInclusive<usize> = 1..=100_000;
/// Bytes per second: with less than one kibibyte, a run would never end.
pub(super) const MIRROR_RATE: RangeInclusive<ByteSize> = ByteSize::new(1 << 10)..=ByteSize::new(1 << 40);
/// Concurrent requests to one upstream.
pub(super) const CONCURRENCY: RangeInclusive<usize> = 1..=1024;
