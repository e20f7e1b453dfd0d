//! A policy: what a platform team writes once. May import `hex` and `policy`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::cooldown::Cooldown;
use super::licence::{LicenceRules, WhereUnknown};
use super::overrides::Override;
use super::rule::ByClass;
use super::severity::Severity;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::name::{PolicyName, RepoName};

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// What clients are told that it is for.
    pub description: Option<Box<str>>,
    /// Whether it is enforced.
    pub mode: Mode,
    /// Rules by the key of the repository that a release comes from.
    pub repositories: BTreeMap<RepoName, Rules>,
}

/// Whether a policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is held is not to be had.
    Enforce,
    /// What would be held is counted and said, and is to be had.
    DryRun,
}

/// The rules for the releases of one repository. What is not set restricts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The smallest age of a release.
    pub cooldown: Option<Cooldown>,
    /// Advisories from this severity on hold a release.
    pub advisory_min_severity: Option<Severity>,
    /// Retirements for one of these reasons hold a release.
    pub retirement_reasons: BTreeSet<RetirementReason>,
    /// Which licences are held.
    pub licences: Option<LicenceRules>,
    /// What was published later is held.
    pub freeze_after: Option<Timestamp>,
    /// What becomes of a release without a date while nothing else proves its age.
    pub unknown_published_at: WhereUnknown,
    /// No cooldown for what fixes an advisory in the release that projects would get instead.
    pub cooldown_exempt_security_fixes: bool,
    /// What lock files may go on naming.
    pub locked: Locked,
    /// Exceptions, as written.
    pub overrides: Vec<Override>,
}

/// How long a release that was delivered stays to be had after a rule of a class has first held it.
pub type Locked = ByClass<Grace>;

/// How long something lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// For ever.
    Keep,
    /// This long.
    For(Duration),
    /// Not at all.
    Hold,
}

impl Locked {
    /// Nothing is kept.
    pub const HOLD: Self = Self {
        cooldown: Grace::Hold,
        freeze: Grace::Hold,
        licences: Grace::Hold,
        advisories: Grace::Hold,
        retirement: Grace::Hold,
    };
}

impl Default for Locked {
    /// What Hex users would expect of a lock file, with two weeks to leave what has turned out to be dangerous. A licence
    /// that is denied does not become another one by having been used.
    fn default() -> Self {
        const TWO_WEEKS: Grace = Grace::For(Duration::from_secs(14 * 86_400));
        Self {
            cooldown: Grace::Keep,
            freeze: Grace::Keep,
            licences: Grace::Hold,
            advisories: TWO_WEEKS,
            retirement: TWO_WEEKS,
        }
    }
}

impl Default for Rules {
    /// Rules that hold nothing.
    fn default() -> Self {
        Self {
            cooldown: None,
            advisory_min_severity: None,
            retirement_reasons: BTreeSet::new(),
            licences: None,
            freeze_after: None,
            unknown_published_at: WhereUnknown::Allow,
            cooldown_exempt_security_fixes: false,
            locked: Locked::default(),
            overrides: Vec::new(),
        }
    }
}

impl Rules {
    /// The cooldown, where it is any time at all.
    pub fn cooldown(&self) -> Option<Duration> {
        self.cooldown.as_ref().map(Cooldown::duration).filter(|duration| !duration.is_zero())
    }
}
