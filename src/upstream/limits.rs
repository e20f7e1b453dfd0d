//! Maxima and pauses of this room, in one place.

use std::time::Duration;

/// Redirects followed for one request.
pub(super) const MAX_REDIRECTS: u32 = 3;

/// Longest entity tag taken from a response; a longer one is treated as absent.
pub(super) const MAX_ETAG: usize = 256;

/// A streaming body must be complete after this long, however steadily it drips.
pub(super) const MAX_BODY_TIME: Duration = Duration::from_secs(15 * 60);

/// A `Retry-After` is obeyed up to here; beyond it we knock again.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The pause after a 429 that names none.
pub(super) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Memory set aside for a collected body before its first byte has come; a header alone must not allocate more.
pub(super) const MAX_PREALLOCATION: usize = 1024 * 1024;

/// Consecutive failures after which the upstream is assumed to be offline.
pub(super) const FAILURES_TO_OPEN: u32 = 3;
