//! Why a repository does not return the requested content.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::local::LocalFailure;
use crate::cache::CacheError;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::state::StateError;
use crate::upstream::{UpstreamError, UpstreamErrorKind};

/// Why a repository does not return the requested content. The HTTP layer maps each error to a status and a sentence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepoError {
    /// The requested content does not exist here.
    #[error("not found")]
    NotFound,
    /// The release's checksum changed upstream after the time in which that is allowed.
    #[error("the checksum of {release} changed upstream after it was published")]
    ChecksumRefused {
        /// The release.
        release: ArtifactName,
    },
    /// The index lists no checksum for the release, so nothing could be verified.
    #[error("the signed index has no checksum for {release}")]
    NoChecksum {
        /// The release.
        release: ArtifactName,
    },
    /// A policy holds it.
    #[error("{sentence}")]
    Held {
        /// The release, the policy and rule that hold it, and the end of the hold; fit for a header.
        sentence: Arc<str>,
    },
    /// The list of installers has no checksum for the file, so nothing could be verified.
    #[error("the list of installers has no checksum for {path}")]
    NoListedChecksum {
        /// The file.
        path: Box<str>,
    },
    /// It is not cached, and the repository is offline.
    #[error("{what} is not cached, and the upstream is not contacted (network: offline)")]
    Offline {
        /// The missing content and its repository; fit for a header.
        what: Arc<str>,
        /// The kind of the missing content.
        kind: MissingOffline,
    },
    /// The upstream's answer failed verification, and there is no older copy.
    #[error("the upstream's answer failed verification")]
    Untrusted(#[source] CacheError),
    /// The upstream answered 451 (RFC 7725): the content is legally unavailable, and an older copy must not be served
    /// either.
    #[error("the upstream has made it unavailable for legal reasons")]
    TakenAway,
    /// The upstream failed, and there is no older copy.
    #[error("the upstream failed")]
    Upstream(#[source] CacheError),
    /// No answer within the request's time.
    #[error("the upstream did not answer in time")]
    Timeout(#[source] CacheError),
    /// An internal failure.
    #[error("internal failure")]
    Internal(#[source] CacheError),
    /// It belongs to a repository that the caller may not read, and no other repository answers instead.
    #[error("it belongs to a repository that the caller may not read")]
    Withheld,
    /// A member of a virtual repository has no list of its packages, so it is unknown which names others may answer
    /// for.
    #[error("the list of packages of the member {member} is not available")]
    NoNames {
        /// The member; not shown to clients.
        member: RepoName,
    },
    /// The database failed.
    #[error(transparent)]
    State(Arc<StateError>),
    /// The data of a local repository cannot be read or written.
    #[error(transparent)]
    Local(Arc<LocalFailure>),
}

/// What kind of content is missing offline, and so how to get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingOffline {
    /// A package or a file of it, as in lock files.
    Listed,
    /// A package that is not in the cached list of names.
    Unlisted,
    /// A list of installers, or a file in it.
    Installer,
    /// Information that only the upstream's HTTP API has.
    Answer,
}

impl MissingOffline {
    /// How to get it: the end of a sentence, fit for a header.
    fn way(self) -> &'static str {
        match self {
            Self::Listed => {
                ". With network access, hexkeep prefetch --lock FILE fetches it; without, transfer it with hexkeep bundle \
                 create --lock FILE on a connected server and hexkeep bundle import here"
            }
            Self::Unlisted => {
                "; it is not in the cached list of names. With network access, hexkeep prefetch --lock FILE fetches it; \
                 without, transfer it with hexkeep bundle create --lock FILE on a connected server and hexkeep bundle \
                 import here"
            }
            Self::Installer => {
                ". With network access, it is fetched when a client requests it; without, transfer it with hexkeep bundle \
                 create --installers on a connected server and hexkeep bundle import here"
            }
            Self::Answer => "; only the upstream has this information",
        }
    }
}

impl From<LocalFailure> for RepoError {
    fn from(error: LocalFailure) -> Self {
        match error {
            LocalFailure::State(error) => Self::State(error),
            error => Self::Local(Arc::new(error)),
        }
    }
}

impl From<StateError> for RepoError {
    fn from(error: StateError) -> Self {
        Self::State(Arc::new(error))
    }
}

impl From<CacheError> for RepoError {
    fn from(error: CacheError) -> Self {
        match &error {
            CacheError::Missing => Self::NotFound,
            CacheError::Offline => Self::Offline { what: "it".into(), kind: MissingOffline::Listed },
            CacheError::Upstream(upstream) if upstream.kind() == UpstreamErrorKind::Status(451) => Self::TakenAway,
            CacheError::Upstream(upstream) if timed_out(upstream) => Self::Timeout(error),
            CacheError::Upstream(_)
            | CacheError::MissingListed
            | CacheError::Forbidden
            | CacheError::NoList
            | CacheError::Replaced => Self::Upstream(error),
            CacheError::Untrusted(_) => Self::Untrusted(error),
            CacheError::NoOutcome(_) => Self::Timeout(error),
            CacheError::Internal(_) => Self::Internal(error),
        }
    }
}

impl RepoError {
    /// Converts an error of the cache; if the repository is offline, with the name of the missing content.
    pub(super) fn of(error: CacheError, kind: MissingOffline, what: impl fmt::Display) -> Self {
        match error {
            CacheError::Offline => Self::Offline { what: what.to_string().into(), kind },
            error => error.into(),
        }
    }

    /// The text for the client, with the way to get content that is missing offline.
    pub fn advice(&self) -> String {
        let way = if let Self::Offline { kind, .. } = self { kind.way() } else { "" };
        format!("{self}{way}")
    }

    /// Whether it says that the content does not exist, as far as this can be known.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound | Self::Offline { kind: MissingOffline::Unlisted, .. })
    }

    /// Whether the upstream gave no answer at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Upstream(error) | Self::Timeout(error) if error.is_silence())
    }

    /// The minimum time before a retry may succeed; `None` if a retry changes nothing.
    pub fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream(CacheError::Upstream(error)) | Self::Timeout(CacheError::Upstream(error)) => {
                let passes = error.is_retryable()
                    || matches!(error.kind(), UpstreamErrorKind::RateLimited | UpstreamErrorKind::AssumedOffline);
                passes.then(|| error.retry_after().unwrap_or_default())
            }
            Self::Upstream(CacheError::Replaced) | Self::Timeout(_) => Some(Duration::ZERO),
            _ => None,
        }
    }
}

fn timed_out(error: &Arc<UpstreamError>) -> bool {
    matches!(error.kind(), UpstreamErrorKind::Timeout | UpstreamErrorKind::Deadline)
}
