//! Why a repository does not answer with what was asked for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::local::LocalFailure;
use crate::cache::CacheError;
use crate::hex::name::RepoName;
use crate::hex::resource::ArtifactName;
use crate::state::StateError;
use crate::upstream::{UpstreamError, UpstreamErrorKind};

/// Why a repository does not answer with what was asked for. The edge maps each to one status and one sentence.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RepoError {
    /// There is no such thing here.
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
        /// What is held, by which policy and rule, and until when; fit for a header.
        sentence: Arc<str>,
    },
    /// The list of installers has no checksum for the file, so nothing could be verified.
    #[error("the list that names {path} has no checksum for it")]
    NoListedChecksum {
        /// The file.
        path: Box<str>,
    },
    /// It is not here, and nobody is asked.
    #[error("{what} is not here, and nobody is asked (network: offline)")]
    Offline {
        /// What is missing, and of which repository; fit for a header.
        what: Arc<str>,
        /// What kind of thing that is.
        kind: NotHere,
    },
    /// What upstream sent does not verify, and there is no older copy.
    #[error("what the upstream sent does not verify")]
    Untrusted(#[source] CacheError),
    /// The upstream says 451 (RFC 7725): it may not be had, and a copy from before is no way around that.
    #[error("the upstream has taken it away for legal reasons")]
    TakenAway,
    /// The upstream failed, and there is no older copy.
    #[error("the upstream failed")]
    Upstream(#[source] CacheError),
    /// No answer within the request's time.
    #[error("the upstream did not answer in time")]
    Timeout(#[source] CacheError),
    /// Something of our own failed.
    #[error("internal failure")]
    Internal(#[source] CacheError),
    /// It belongs to a repository that the caller may not read, and nobody else answers in its place.
    #[error("it belongs to a repository that the caller may not read")]
    Withheld,
    /// A member of a virtual repository has no list of its packages, so it is not known what others may answer.
    #[error("the member {member} does not have a list of its packages")]
    NoNames {
        /// The member; not for callers.
        member: RepoName,
    },
    /// The database failed.
    #[error(transparent)]
    State(Arc<StateError>),
    /// What a local repository has cannot be read or written.
    #[error(transparent)]
    Local(Arc<LocalFailure>),
}

/// What is not here while nobody is asked, and so how it would come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHere {
    /// A package or a file of one, as lock files name it.
    Listed,
    /// A package that the registry did not have when its list of names was brought here.
    Unlisted,
    /// A list of installers, or a file that it names.
    Installer,
    /// What the upstream's HTTP API alone knows.
    Answer,
}

impl NotHere {
    /// What there is to do about it: the end of a sentence, fit for a header.
    fn way(self) -> &'static str {
        match self {
            Self::Listed => {
                ". Where there is a network, hexkeep prefetch --lock FILE fetches it; across a gap, hexkeep bundle create \
                 --lock FILE and hexkeep bundle import bring it"
            }
            Self::Unlisted => {
                "; the list of names that was brought here does not have it. Where there is a network, hexkeep prefetch \
                 --lock FILE fetches it; across a gap, hexkeep bundle create --lock FILE and hexkeep bundle import bring it"
            }
            Self::Installer => {
                ". Where there is a network, it comes with the first who asks for it; across a gap, hexkeep bundle create \
                 --installers and hexkeep bundle import bring what is there"
            }
            Self::Answer => "; only the upstream knows it",
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
            CacheError::Offline => Self::Offline { what: "it".into(), kind: NotHere::Listed },
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
    /// What the cache says, with the name of what is missing where nobody is asked for it.
    pub(super) fn of(error: CacheError, kind: NotHere, what: impl fmt::Display) -> Self {
        match error {
            CacheError::Offline => Self::Offline { what: what.to_string().into(), kind },
            error => error.into(),
        }
    }

    /// What is said of it to whoever asked, with the way to what is not here.
    pub fn advice(&self) -> String {
        let way = if let Self::Offline { kind, .. } = self { kind.way() } else { "" };
        format!("{self}{way}")
    }

    /// Whether it says that there is no such thing, as far as can be known.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound | Self::Offline { kind: NotHere::Unlisted, .. })
    }

    /// Whether the upstream gave no answer at all.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Upstream(error) | Self::Timeout(error) if error.is_silence())
    }

    /// How long to wait at least before the same may be answered; `None` where asking again changes nothing.
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
