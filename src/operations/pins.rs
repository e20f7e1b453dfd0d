//! Pins: protect the releases in lock files from policy changes.

use serde::{Deserialize, Serialize};

use super::locked_releases::{LockFileRelease, LockedReleases};
use super::operator::Operator;
use super::outcome::{Text, count};
use super::summary::FirstOf;
use super::{OperationError, Refusal};
use crate::clock::Timestamp;
use crate::display_text::is_plain;
use crate::policy::date_time;
use crate::state::audit::Actor;
use crate::state::exemptions::LockedRelease;

/// Maximum length of a reason in characters, the same as of a comment in Hex.
const REASON: usize = 500;

/// The result of a pin command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinOutcome {
    /// Releases were pinned.
    Pinned {
        /// Key of the repository.
        repository: String,
        /// Number of releases.
        releases: usize,
        /// A sentence for each release that was not pinned because the lock file has no checksum of it.
        not_pinned: FirstOf,
    },
    /// Releases were unpinned.
    Unpinned {
        /// Key of the repository.
        repository: String,
        /// Number of releases.
        releases: u64,
    },
}

impl PinOutcome {
    pub(super) fn text(&self) -> Text {
        match self {
            Self::Pinned { repository, releases, not_pinned } => Text {
                lines: vec![format!("{} pinned for `{repository}`", count(*releases, "release is", "releases are"))],
                remarks: not_pinned.sentences("releases are not pinned"),
                failed: !not_pinned.is_empty(),
            },
            Self::Unpinned { repository, releases } => {
                let releases = count(*releases, "release is", "releases are");
                Text::line(format!("{releases} no longer pinned for `{repository}`"))
            }
        }
    }
}

impl Operator {
    pub(super) async fn pin(
        &self,
        key: String,
        releases: &LockedReleases,
        until: Option<&str>,
        reason: &str,
        by: &Actor,
    ) -> Result<PinOutcome, OperationError> {
        let (_, enforcer) = self.policed(&key)?;
        check_reason(reason)?;
        let until = until.map(|text| self.future_time(text)).transpose()?;
        let mut not_pinned = FirstOf::default();
        for LockFileRelease { package, version, .. } in releases.iter().filter(|release| release.checksum().is_none()) {
            not_pinned.add(|| format!("{package} {version} is not pinned: the lock file has no checksum of it"));
        }
        let with_checksum = releases.iter().filter_map(|release| Some((release, release.checksum()?)));
        let pins: Vec<LockedRelease<'_>> = with_checksum
            .map(|(LockFileRelease { package, version, .. }, checksum)| LockedRelease { package, version, checksum })
            .collect();
        enforcer.pin(&pins, until, reason, by).await?;
        let count = pins.len();
        // There may be tens of thousands, and they are no longer needed.
        drop(pins);
        self.protect_pinned().await?;
        Ok(PinOutcome::Pinned { repository: key, releases: count, not_pinned })
    }

    pub(super) async fn unpin(
        &self,
        key: String,
        releases: &LockedReleases,
        by: &Actor,
    ) -> Result<PinOutcome, OperationError> {
        let (_, enforcer) = self.policed(&key)?;
        let released: Vec<(&str, &str)> = releases.iter().map(|release| (release.package, release.version)).collect();
        let count = enforcer.unpin(&released, by).await?;
        self.protect_pinned().await?;
        Ok(PinOutcome::Unpinned { repository: key, releases: count })
    }

    /// Reads a time in the future.
    pub(super) fn future_time(&self, text: &str) -> Result<Timestamp, Refusal> {
        let moment = date_time::parse(text).filter(|until| *until > self.shared.clock.now());
        moment.ok_or_else(|| Refusal::NotInFuture(text.to_owned()))
    }
}

/// Checks that a reason fits on one line of the audit log.
pub(super) fn check_reason(reason: &str) -> Result<(), Refusal> {
    let is_fine = !reason.trim().is_empty() && is_plain(reason) && reason.chars().count() <= REASON;
    is_fine.then_some(()).ok_or(Refusal::Reason { most: REASON })
}
