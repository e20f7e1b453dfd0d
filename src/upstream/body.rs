//! The body of an answer, read piece by piece or as a whole, within limits of size and time.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::after;
use super::circuit::Report;
use super::error::{Problem, UpstreamError};
use super::limits::{MAX_BODY_TIME, MAX_PREALLOCATION};

/// A body that is being received. It occupies a connection slot of the upstream until it is complete, has failed, or is
/// dropped.
pub struct UpstreamBody {
    /// 200 for the whole body, 206 for the requested rest.
    pub status: u16,
    /// The number of bytes in this body, if the upstream announced it.
    pub length: Option<u64>,
    /// The valid entity tag of the whole body, quotes and `W/` included.
    pub etag: Option<String>,
    /// The modification date, as the upstream wrote it.
    pub last_modified: Option<String>,
    pub(super) bounds: Bounds,
    pub(super) subject: String,
    pub(super) attempts: u32,
    pub(super) started: Instant,
    received: u64,
    stage: Stage,
}

/// The limits of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_body: u64,
    pub(super) idle: Duration,
    /// The deadline of the caller; limits only [`UpstreamBody::read_to_end`].
    pub(super) deadline: Instant,
    /// The end of [`MAX_BODY_TIME`].
    pub(super) latest: Instant,
}

enum Stage {
    Arriving(Box<Arriving>),
    Complete,
    Failed,
}

/// The resources that a body occupies while it is received.
struct Arriving {
    response: reqwest::Response,
    _slot: OwnedSemaphorePermit,
    report: Option<Report>,
}

/// The fields of a new [`UpstreamBody`] that come from the head of the response.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) length: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

impl UpstreamBody {
    pub(super) fn new(
        head: Head,
        response: reqwest::Response,
        slot: OwnedSemaphorePermit,
        bounds: Bounds,
        subject: String,
        started: Instant,
    ) -> Self {
        let Head { status, length, etag, last_modified } = head;
        let stage = Stage::Arriving(Box::new(Arriving { response, _slot: slot, report: None }));
        Self { status, length, etag, last_modified, bounds, subject, attempts: 1, started, received: 0, stage }
    }

    /// Reports to `to` how this body ends, so that the circuit breaker counts it.
    pub(super) fn report_to(&mut self, to: Report) {
        if let Stage::Arriving(arriving) = &mut self.stage {
            arriving.report = Some(to);
        }
    }

    /// The next piece; `None` once all announced bytes have arrived.
    ///
    /// # Errors
    /// `Timeout` if no data arrives for too long or after 15 minutes in all, `Truncated`, `TooLarge`. After an error,
    /// each further call fails too, so that a failed body never looks complete.
    ///
    /// # Cancel safety
    /// Cancel safe: a piece is either returned now or by a later call. The slot stays occupied until the end or the
    /// drop.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        match self.advance().await {
            Ok(Some(piece)) => Ok(Some(piece)),
            Ok(None) => {
                if let Some(report) = self.end(Stage::Complete) {
                    report.complete();
                }
                Ok(None)
            }
            Err(problem) => Err(self.fail(problem)),
        }
    }

    /// Reads the rest of the body, until the deadline of the request at the latest.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and `Deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body and the bytes read so far, and frees the slot.
    pub async fn read_to_end(mut self) -> Result<Bytes, UpstreamError> {
        match timeout_at(self.bounds.deadline, self.collect()).await {
            Ok(collected) => collected,
            Err(_) => Err(self.fail(Problem::Deadline)),
        }
    }

    async fn collect(&mut self) -> Result<Bytes, UpstreamError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let expected = self.length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let mut all = BytesMut::with_capacity(expected.min(MAX_PREALLOCATION));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    async fn advance(&mut self) -> Result<Option<Bytes>, Problem> {
        let truncated = |got, source| Problem::Truncated { expected: self.length, got, source };
        let response = match &mut self.stage {
            Stage::Arriving(arriving) => &mut arriving.response,
            Stage::Complete => return Ok(None),
            Stage::Failed => return Err(truncated(self.received, None)),
        };
        let silence_ends = after(Instant::now(), self.bounds.idle);
        let piece = match timeout_at(silence_ends.min(self.bounds.latest), response.chunk()).await {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Err(truncated(self.received, Some(error.without_url()))),
            Err(_) if silence_ends <= self.bounds.latest => return Err(Problem::Idle(self.bounds.idle)),
            Err(_) => return Err(Problem::Endless(MAX_BODY_TIME)),
        };
        // A slow but steady body never times out inside `timeout_at`, so the total time is checked here as well.
        if piece.is_some() && Instant::now() >= self.bounds.latest {
            return Err(Problem::Endless(MAX_BODY_TIME));
        }
        let Some(piece) = piece else {
            // The end is accepted only after the announced number of bytes.
            return if self.length.is_none_or(|length| length == self.received) {
                Ok(None)
            } else {
                Err(truncated(self.received, None))
            };
        };
        self.received = self.received.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.received > self.bounds.max_body {
            return Err(Problem::TooLarge(self.bounds.max_body));
        }
        Ok(Some(piece))
    }

    /// Ends the body as failed, and reports the failure to the circuit breaker.
    fn fail(&mut self, problem: Problem) -> UpstreamError {
        let error = UpstreamError::new(problem, self.subject.clone(), self.attempts, self.started.elapsed())
            .with_answered(true);
        if let Some(report) = self.end(Stage::Failed) {
            report.failed(&error);
        }
        error
    }

    /// Frees the connection and the slot. Returns the report to be made, if there is one.
    fn end(&mut self, stage: Stage) -> Option<Report> {
        match std::mem::replace(&mut self.stage, stage) {
            Stage::Arriving(arriving) => arriving.report,
            Stage::Complete | Stage::Failed => None,
        }
    }
}

impl fmt::Debug for UpstreamBody {
    /// Without the response, whose headers are untrusted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("subject", &self.subject)
            .field("status", &self.status)
            .field("length", &self.length)
            .field("etag", &self.etag)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
