//! Why the cache has no answer. Cheap to clone: everybody who waited for a fetch gets the same error.

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

/// Why the cache has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    /// The upstream says that it does not exist.
    #[error("the upstream does not have it")]
    Missing,
    /// The upstream says 403 to something that it gave before. That is a lock, a firewall or a mistake, not a removal.
    #[error("the upstream refuses to give it")]
    Forbidden,
    /// The upstream says 404 to a list that it gave before. What it has, and what it has not, only a signed list says: the
    /// last one gets no younger by this.
    #[error("the upstream does not have its list any more")]
    NoList,
    /// The upstream lists a tarball in its signed index and does not have the file.
    #[error("the upstream lists this release and does not have its file")]
    MissingListed,
    /// It is not stored, and the repository is offline.
    #[error("it is not cached, and the repository is configured to be offline")]
    Offline,
    /// The upstream failed.
    #[error("the upstream failed")]
    Upstream(#[source] Arc<UpstreamError>),
    /// The upstream sent something that does not verify.
    #[error("what the upstream sent does not verify")]
    Untrusted(#[source] Arc<Untrusted>),
    /// The release was replaced upstream while it was being fetched; its index has been refreshed.
    #[error("the release was replaced upstream while it was being fetched")]
    Replaced,
    /// No answer before the request's deadline.
    #[error(transparent)]
    NoOutcome(#[from] NoOutcome),
    /// Something of our own failed: disk, database, signing.
    #[error(transparent)]
    Internal(Arc<Internal>),
}

/// What was wrong with what an upstream sent.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// Not a signed message.
    #[error("it is not a signed registry resource")]
    Envelope(#[from] EnvelopeError),
    /// Signature, schema, repository or name.
    #[error("it is not what was asked for")]
    Verify(#[from] VerifyError),
    /// A record that cannot be edited.
    #[error("its records cannot be read")]
    Wire(#[from] WireError),
    /// Another checksum than the signed one.
    #[error("its checksum is {actual}, and the signed index says {expected}")]
    Digest {
        /// Of the signed index.
        expected: Sha256,
        /// Of the file.
        actual: Sha256,
    },
    /// Another checksum than the list of installers says.
    #[error("its checksum is {actual}, and the list that names it says {expected}")]
    Sha512 {
        /// Of the list.
        expected: Box<Sha512>,
        /// Of the file.
        actual: Box<Sha512>,
    },
    /// A list of installers and its signature that do not belong together.
    #[error("{0}")]
    Snapshot(Box<str>),
    /// An answer of an API that is no JSON.
    #[error("what its API sent is not JSON")]
    Json,
    /// Not a tarball whose inner checksum can be taken.
    #[error("it is not a Hex tarball")]
    Tarball(#[from] TarballError),
    /// Fetched a second time, it did not begin with the same bytes.
    #[error("it changed while it was being fetched")]
    Unsteady,
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
            Self::Unsteady => "unsteady",
        }
    }
}

/// What of our own failed.
#[derive(Debug, thiserror::Error)]
pub enum Internal {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No place for a body on disk or in memory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// What was just written could not be read again.
    #[error("a file could not be read again")]
    Reread(#[source] std::io::Error),
    /// Our own signature.
    #[error("a resource could not be signed")]
    Sign(#[from] SignError),
    /// The durable state, or whatever else the repository asked before admitting a resource.
    #[error("a resource could not be admitted")]
    Gate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record without which something cannot be found was not written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A name that has no place in the store.
    #[error(transparent)]
    Slot(#[from] BadSlot),
    /// What was verified or signed here cannot be read.
    #[error("a resource that was verified cannot be read")]
    Unreadable,
    /// An answer that nothing has changed, where nothing is here that could be the same.
    #[error("nothing is here that an answer of the upstream could be about")]
    Unasked,
    /// A task gave no answer.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl From<TaskError> for CacheError {
    fn from(error: TaskError) -> Self {
        Self::internal(error)
    }
}

impl CacheError {
    /// Wraps what did not verify.
    pub fn untrusted(error: impl Into<Untrusted>) -> Self {
        Self::Untrusted(Arc::new(error.into()))
    }

    /// Wraps a failure of our own.
    pub fn internal(error: impl Into<Internal>) -> Self {
        Self::Internal(Arc::new(error.into()))
    }

    /// Wraps a failure of the upstream.
    pub fn upstream(error: UpstreamError) -> Self {
        Self::Upstream(Arc::new(error))
    }

    /// Whether the upstream did answer, and with something that cannot be used: asked again at once it would send the
    /// same again, however many megabytes that is.
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
            Self::Upstream(error) => error.is_silence(),
            Self::NoOutcome(NoOutcome::Deadline | NoOutcome::Abandoned) => true,
            _ => false,
        }
    }

    /// What went wrong with the upstream, in a few words for whoever asked; they name no host. `None` where it is no failure
    /// of the upstream.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Upstream(error) => Some(error.cause()),
            Self::Forbidden | Self::NoList | Self::MissingListed | Self::Replaced => Some(self.to_string()),
            Self::Missing | Self::Offline | Self::Untrusted(_) | Self::NoOutcome(_) | Self::Internal(_) => None,
        }
    }

    /// The reason under which an older copy may be served instead, `None` where it may not: "it does not exist" is an
    /// answer.
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
