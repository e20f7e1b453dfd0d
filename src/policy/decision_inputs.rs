//! What a decision takes into account beside an index and a policy.

use std::sync::Arc;

use super::class::ByClass;
use super::overrides::Override;
use super::release_facts::{LicenceFacts, ReleaseFacts};
use crate::clock::Timestamp;

/// What a view owes to lock files for one release, with the checksum that it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockExemption {
    /// When it was first delivered.
    pub delivered: Option<Timestamp>,
    /// Whether its licences had been read and allowed at a delivery. What was delivered before that has not been decided
    /// by the rules for licences, and they may still hold it.
    pub licences_known: bool,
    /// A lock file pins it.
    pub pinned: Option<Pinned>,
    /// When a rule of each class first held it after it was delivered.
    pub held_since: HeldSince,
}

/// When rules first held a release.
pub type HeldSince = ByClass<Option<Timestamp>>;

impl Default for HeldSince {
    /// Never.
    fn default() -> Self {
        Self { cooldown: None, freeze: None, licences: None, advisories: None, retirement: None }
    }
}

/// A pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// When it ends; `None`: never.
    pub until: Option<Timestamp>,
}

/// What is known of releases beside what their index says.
pub trait DecisionInputs {
    /// What is owed to lock files.
    fn exemption(&self, release: &ReleaseFacts) -> Option<LockExemption>;

    /// A moment at which the release is proven to have existed, for releases without a date.
    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp>;

    /// What the release states as its licences, once that has been read.
    fn licences(&self, release: &ReleaseFacts) -> Option<Arc<LicenceFacts>>;

    /// Exceptions that were given beside the policy: what they are about is allowed unless an override denies it.
    fn waivers(&self) -> &[Override];
}

/// Nothing is known.
impl DecisionInputs for () {
    fn exemption(&self, _: &ReleaseFacts) -> Option<LockExemption> {
        None
    }

    fn proven_since(&self, _: &ReleaseFacts) -> Option<Timestamp> {
        None
    }

    fn licences(&self, _: &ReleaseFacts) -> Option<Arc<LicenceFacts>> {
        None
    }

    fn waivers(&self) -> &[Override] {
        &[]
    }
}
