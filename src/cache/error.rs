//! Errors of the cache. They are cheap to clone: all callers that wait for a fetch get the same error.

use std::sync::Arc;

use super::single_flight::NoOutcome;
use super::status::StaleReason;
use crate::hex::checksum::{Sha256, Sha512};
use crate::hex::envelope::EnvelopeError;
use crate::hex::tarball::TarballError;
use crate::hex::wire::WireError;
use crate::shutdown::TaskError;
use crate::store::StoreError;
use crate::store::index::IndexError;
use crate::store::slots::BadSlot;
use crate::store::spool::SpoolError;
use crate::trust::{SignError, VerifyError};
use crate::upstream::{UpstreamError, UpstreamErrorKind};

/// Why the cache cannot answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The upstream says that it does not exist.
    #[error("the upstream does not have it")]
    Missing,
    /// The upstream answers 403 for something that it served before. This is a lock, a firewall or a mistake, not a
    /// removal.
    #[error("the upstream denies access to it")]
    Forbidden,
    /// The upstream answers 404 for a list that it served before. Only a signed list says which packages exist, so the
    /// last one stays in use, and keeps its age.
    #[error("the upstream does not have this list any more")]
    NoList,
    /// The upstream lists a tarball in its signed index and does not have the file.
    #[error("the upstream lists this release but does not have its file")]
    MissingListed,
    /// It is not stored, and the repository is offline.
    #[error("it is not cached, and the repository is offline (network: offline)")]
    Offline,
    /// The upstream failed.
    #[error("the upstream failed")]
    Upstream(#[source] Arc<UpstreamError>),
    /// The upstream's answer failed verification.
    #[error("the upstream's answer failed verification")]
    Untrusted(#[source] Arc<Untrusted>),
    /// The release was replaced upstream while it was being fetched; its index has been refreshed.
    #[error("the release was replaced upstream while it was being fetched")]
    Replaced,
    /// No answer before the request's deadline.
    #[error(transparent)]
    NoOutcome(#[from] NoOutcome),
    /// An internal failure: disk, database, signing.
    #[error(transparent)]
    Internal(Arc<Internal>),
}

/// Why an upstream's answer failed verification.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// Not a signed message.
    #[error("it is not a signed registry resource")]
    Envelope(#[from] EnvelopeError),
    /// The wrong signature, schema, repository or name.
    #[error("its signature or its content is not the expected one")]
    Verify(#[from] VerifyError),
    /// A record that cannot be decoded.
    #[error("its records cannot be decoded")]
    Wire(#[from] WireError),
    /// The checksum differs from the signed one.
    #[error("its checksum is {actual}, but the signed index says {expected}")]
    Digest {
        /// From the signed index.
        expected: Sha256,
        /// Of the file.
        actual: Sha256,
    },
    /// The checksum differs from the one in the list of installers.
    #[error("its checksum is {actual}, but the list of installers says {expected}")]
    Sha512 {
        /// From the list.
        expected: Box<Sha512>,
        /// Of the file.
        actual: Box<Sha512>,
    },
    /// A list of installers that does not match its signature.
    #[error("{0}")]
    Snapshot(Box<str>),
    /// An answer of an API that is not JSON.
    #[error("the answer of its API is not JSON")]
    Json,
    /// Not a tarball whose inner checksum can be computed.
    #[error("it is not a Hex tarball")]
    Tarball(#[from] TarballError),
    /// When it was fetched a second time, it did not begin with the same bytes.
    #[error("it changed while it was being fetched")]
    ChangedDuringFetch,
}

impl Untrusted {
    /// A stable word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Envelope(_) => "envelope",
            Self::Verify(error) => error.reason(),
            Self::Wire(_) => "wire",
            Self::Digest { .. } | Self::Sha512 { .. } => "digest",
            Self::Snapshot(_) => "snapshot",
            Self::Json => "json",
            Self::Tarball(_) => "tarball",
            Self::ChangedDuringFetch => "unsteady",
        }
    }
}

/// Causes of internal failures.
#[derive(Debug, thiserror::Error)]
pub enum Internal {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No room for a body on disk or in memory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A file that was just written could not be read.
    #[error("a file could not be read back after it was written")]
    Reread(#[source] std::io::Error),
    /// Signing with our own key.
    #[error("a resource could not be signed")]
    Sign(#[from] SignError),
    /// The durable state, or another check of the repository.
    #[error("the repository could not check a resource")]
    Gate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record was not written, without which the content cannot be found.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A name that cannot be a file name in the store.
    #[error(transparent)]
    Slot(#[from] BadSlot),
    /// A resource that was verified or signed here cannot be decoded.
    #[error("a verified resource cannot be decoded")]
    Unreadable,
    /// The upstream answered "not modified", but there is no cached copy.
    #[error("the upstream answered \"not modified\", but there is no cached copy")]
    UnexpectedNotModified,
    /// A task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<TaskError> for CacheError {
    fn from(error: TaskError) -> Self {
        Self::internal(error)
    }
}

impl CacheError {
    /// Wraps a failed verification.
    pub fn untrusted(error: impl Into<Untrusted>) -> Self {
        Self::Untrusted(Arc::new(error.into()))
    }

    /// Wraps an internal failure.
    pub fn internal(error: impl Into<Internal>) -> Self {
        Self::Internal(Arc::new(error.into()))
    }

    /// Wraps a failure of the upstream.
    pub fn upstream(error: UpstreamError) -> Self {
        Self::Upstream(Arc::new(error))
    }

    /// Whether the upstream answered with something unusable. Such an answer is not requested again at once: it would
    /// be the same, however many megabytes it has.
    pub fn is_bad_answer(&self) -> bool {
        match self {
            Self::Untrusted(_) => true,
            Self::Upstream(error) => matches!(
                error.kind(),
                UpstreamErrorKind::TooLarge | UpstreamErrorKind::Protocol | UpstreamErrorKind::Redirect
            ),
            _ => false,
        }
    }

    /// Whether the upstream gave no answer at all.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Upstream(error) => error.is_unanswered(),
            Self::NoOutcome(NoOutcome::Deadline | NoOutcome::Abandoned) => true,
            _ => false,
        }
    }

    /// Whether no request was sent, so that this says nothing about the upstream that was not known before.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Upstream(error) if error.attempts() == 0)
    }

    /// The failure of the upstream in a few words for clients, without host names. `None` if the upstream did not fail.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Upstream(error) => Some(error.cause()),
            Self::Forbidden | Self::NoList | Self::MissingListed | Self::Replaced => Some(self.to_string()),
            Self::Missing | Self::Offline | Self::Untrusted(_) | Self::NoOutcome(_) | Self::Internal(_) => None,
        }
    }

    /// The reason for serving an older copy instead; `None` if that is not allowed: "it does not exist" is an answer.
    pub fn stale_reason(&self) -> Option<StaleReason> {
        match self {
            Self::Missing | Self::MissingListed | Self::Offline | Self::Replaced => None,
            Self::Forbidden => Some(StaleReason::Upstream("forbidden")),
            Self::NoList => Some(StaleReason::Deleted),
            Self::Upstream(error) => error.allows_stale().then(|| StaleReason::Upstream(error.reason())),
            Self::Untrusted(_) => Some(StaleReason::Untrusted),
            Self::NoOutcome(NoOutcome::Deadline | NoOutcome::Unfinished) => Some(StaleReason::Slow),
            Self::NoOutcome(NoOutcome::Abandoned) => Some(StaleReason::Upstream("abandoned")),
            Self::Internal(_) => Some(StaleReason::Upstream("internal")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::slots::{Area, Slot};

    #[test]
    fn a_name_without_a_place_is_called_by_its_name() {
        let slot = Slot::new(Area::Registry, "hexpm", "packages/../jason").unwrap_err();
        let error = CacheError::internal(slot);
        assert_eq!(error.to_string(), "\"packages/../jason\" cannot be a file name in the store");
    }
}
