//! The limits and pauses of this room.

use std::time::Duration;

/// The most redirects that are followed for one request.
pub(super) const MAX_REDIRECTS: u32 = 3;

/// Longest entity tag that is accepted; a longer one is treated as absent.
pub(super) const MAX_ETAG: usize = 256;

/// The longest time for a body that is read piece by piece, however steadily it arrives.
pub(super) const MAX_BODY_TIME: Duration = Duration::from_secs(15 * 60);

/// The longest pause that is accepted from a `Retry-After` header.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The pause after a 429 without `Retry-After`.
pub(super) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The most memory that is allocated for a body before its bytes arrive, so that a header alone cannot allocate more.
pub(super) const MAX_PREALLOCATION: usize = 1024 * 1024;

/// Consecutive failures after which the upstream is assumed to be offline.
pub(super) const FAILURES_TO_OPEN: u32 = 3;
