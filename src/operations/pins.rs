//! Pins: what lock files name stays to be had, whatever a policy says later.

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

/// Longest reason, in characters: what Hex takes as a comment.
const REASON: usize = 500;

/// What came of an order about pins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinOutcome {
    /// Releases are pinned.
    Pinned {
        /// Key of the repository.
        repository: String,
        /// How many.
        releases: usize,
        /// Sentences about those that are not, since the lock file has no checksum of them.
        not_pinned: FirstOf,
    },
    /// Releases are no longer pinned.
    Unpinned {
        /// Key of the repository.
        repository: String,
        /// How many.
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
        let until = until.map(|text| self.time_to_come(text)).transpose()?;
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
        // There may be tens of thousands, and they are written down.
        drop(pins);
        self.keep_pinned().await?;
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
        self.keep_pinned().await?;
        Ok(PinOutcome::Unpinned { repository: key, releases: count })
    }

    /// A moment that is not past.
    pub(super) fn time_to_come(&self, text: &str) -> Result<Timestamp, Refusal> {
        let moment = date_time::parse(text).filter(|until| *until > self.shared.clock.now());
        moment.ok_or_else(|| Refusal::NotToCome(text.to_owned()))
    }
}

/// A reason stands in the audit log, on one line.
pub(super) fn check_reason(reason: &str) -> Result<(), Refusal> {
    let is_fine = !reason.trim().is_empty() && is_plain(reason) && reason.chars().count() <= REASON;
    is_fine.then_some(()).ok_or(Refusal::Reason { most: REASON })
}
