//! The facts that a decision needs beside the index of the package and the rules of the policy.

use std::sync::Arc;

use super::class::ByClass;
use super::overrides::Override;
use super::release_facts::{LicenceFacts, ReleaseFacts};
use crate::clock::Timestamp;

/// The exemptions that one release has because lock files contain it, for the checksum that it had then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockExemption {
    /// When a client first downloaded it.
    pub delivered: Option<Timestamp>,
    /// Whether a client downloaded it after its licences had been read and allowed. If not, the licence rules have
    /// never decided about it, and may still hold it.
    pub licences_known: bool,
    /// The pin, if a registered lock file contains it.
    pub pinned: Option<Pinned>,
    /// For each class of rules: when a rule first held it after it had been delivered.
    pub held_since: HeldSince,
}

/// For each class of rules: when a rule first held a release; `None` if none has.
pub type HeldSince = ByClass<Option<Timestamp>>;

impl Default for HeldSince {
    /// No rule has held it.
    fn default() -> Self {
        Self { cooldown: None, freeze: None, licences: None, advisories: None, retirement: None }
    }
}

/// A pin: a registered lock file contains the release, and its project may download it until the pin ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// When it ends; `None`: never.
    pub until: Option<Timestamp>,
}

/// Gives the facts about releases that their index does not contain.
pub trait DecisionInputs {
    /// The exemptions of a release for lock files.
    fn exemption(&self, release: &ReleaseFacts) -> Option<LockExemption>;

    /// A time at which the release verifiably existed, for releases without a publication date.
    fn proven_since(&self, release: &ReleaseFacts) -> Option<Timestamp>;

    /// The licences that the release states; `None` until its tarball has been read.
    fn licences(&self, release: &ReleaseFacts) -> Option<Arc<LicenceFacts>>;

    /// The waivers: exceptions that administrators granted without changing the policy. A waiver allows its releases
    /// unless an override denies them.
    fn waivers(&self) -> &[Override];
}

/// No facts: no exemption, no proof of age, no licences, no waivers.
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
