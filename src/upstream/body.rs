//! The body of an answer: read piece by piece or whole, never past its bounds.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::after;
use super::circuit::Report;
use super::error::{Problem, UpstreamError};
use super::limits::{MAX_BODY_TIME, MAX_PREALLOCATION};

/// A body that is still arriving. It holds one of the upstream's connection slots until it has ended, failed or been
/// dropped.
pub struct UpstreamBody {
    /// 200 for a whole representation, 206 for the rest that was asked for.
    pub status: u16,
    /// Bytes in this body, where the upstream said so.
    pub length: Option<u64>,
    /// The entity tag of the representation, well-formed, quotes and `W/` included.
    pub etag: Option<String>,
    /// The modification date as the upstream wrote it.
    pub last_modified: Option<String>,
    pub(super) bounds: Bounds,
    pub(super) subject: String,
    pub(super) attempts: u32,
    pub(super) started: Instant,
    received: u64,
    stage: Stage,
}

/// What a body is held to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) max_body: u64,
    pub(super) idle: Duration,
    /// The caller's deadline; bounds [`UpstreamBody::read_to_end`] only.
    pub(super) deadline: Instant,
    /// The end of [`MAX_BODY_TIME`].
    pub(super) latest: Instant,
}

enum Stage {
    Arriving(Box<Arriving>),
    Complete,
    Failed,
}

/// What a body holds on to while it lasts.
struct Arriving {
    response: reqwest::Response,
    _slot: OwnedSemaphorePermit,
    report: Option<Report>,
}

/// The fields of a new [`UpstreamBody`] that its response decided.
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

    /// Has the way this body ends counted for or against its upstream.
    pub(super) fn report_to(&mut self, to: Report) {
        if let Stage::Arriving(arriving) = &mut self.stage {
            arriving.report = Some(to);
        }
    }

    /// The next piece; `None` once as many bytes have come as were announced.
    ///
    /// # Errors
    /// `Timeout` after too long a silence or 15 minutes in all, `Truncated`, `TooLarge`. A body that has failed goes on
    /// failing: it never looks complete afterwards.
    ///
    /// # Cancel safety
    /// Cancel safe: a piece is either returned or still to come. The slot stays taken until the end or the drop.
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

    /// Everything that is still to come, at the latest by the deadline of the request.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and `Deadline`.
    ///
    /// # Cancel safety
    /// Dropping the future drops the body and what was collected, and frees the slot.
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
        // A steady drip never times out inside `timeout_at`, so the total is looked at here as well.
        if piece.is_some() && Instant::now() >= self.bounds.latest {
            return Err(Problem::Endless(MAX_BODY_TIME));
        }
        let Some(piece) = piece else {
            // End of file is believed only with the announced number of bytes.
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

    /// Ends the body as failed, and has the upstream blamed where it deserves it.
    fn fail(&mut self, problem: Problem) -> UpstreamError {
        let error =
            UpstreamError::new(problem, self.subject.clone(), self.attempts, self.started.elapsed()).answered(true);
        if let Some(report) = self.end(Stage::Failed) {
            report.failed(&error);
        }
        error
    }

    /// Lets go of connection and slot; returns who wants to know.
    fn end(&mut self, stage: Stage) -> Option<Report> {
        match std::mem::replace(&mut self.stage, stage) {
            Stage::Arriving(arriving) => arriving.report,
            Stage::Complete | Stage::Failed => None,
        }
    }
}

impl fmt::Debug for UpstreamBody {
    /// Without the response: its headers are the upstream's business.
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
