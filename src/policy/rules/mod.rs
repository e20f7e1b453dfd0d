//! A policy, and the rules that it is made of: one file each, with what it reads in a configuration, what it prints,
//! when it holds a release and what it says then.
//!
//! A new rule is its file, its lines in [`ReleaseRules`], [`RULES`] and [`KEYS`], and its documentation. Whatever decides,
//! publishes, reads and prints asks each rule the same questions and knows none by name.

mod advisory;
mod age;
mod case;
mod cooldown;
mod freeze;
mod key;
mod licence;
mod retirement;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use case::{ReleaseCase, RuleQuery};
pub use cooldown::{Cooldown, CooldownError, print_days};
pub use key::{RuleKey, RuleParseError, RuleValue};
pub use licence::LicenceRules;

use super::class::{ByClass, Class};
use super::decision_inputs::LockExemption;
use super::overrides::{Effect, Override};
use super::reason::Reason;
use super::release_facts::ListedFacts;
use super::severity::Severity;
use crate::choice::choice;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::message;
use crate::hex::name::{PolicyName, RepoName};

/// The rules, the gravest first: of several that hold a release, the first is said.
pub const RULES: &[&dyn Rule] =
    &[&advisory::Advisories, &retirement::Retirements, &licence::Licensing, &freeze::Freeze, &cooldown::MinimumAge];

/// Their keys in a configuration, in the order in which they are listed and printed.
pub const KEYS: &[RuleKey] = &[
    cooldown::KEY,
    advisory::KEY,
    retirement::KEY,
    licence::KEY,
    freeze::KEY,
    age::KEY,
    cooldown::KEY_OF_SECURITY_FIXES,
];

/// The rules for the releases of one repository. What is not set restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseRules {
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
    pub locked: LockFileProtection,
    /// Exceptions, as written.
    pub overrides: Vec<Override>,
}

/// A rule: when it holds a release, and what that depends on.
pub trait Rule: std::fmt::Debug + Sync {
    /// Which exemptions count for it.
    fn class(&self) -> Class;

    /// Whether it restricts anything. Where it does not, it is not asked whether it holds a release.
    fn is_set(&self, rules: &ReleaseRules) -> bool;

    /// What it looks at beside the index of a package.
    fn needs(&self) -> &'static [RuleInput];

    /// Why it holds a release; nothing where it does not.
    fn judge(&self, case: &ReleaseCase<'_>, question: RuleQuery) -> Option<Reason>;

    /// Adds every moment at which its answer can change by itself, in whatever order, past ones too.
    fn moments(&self, _case: &ReleaseCase<'_>, _moments: &mut Vec<Timestamp>) {}

    /// Whether it was decided when a release was delivered. A delivery excuses nothing else.
    fn was_decided_at(&self, _delivery: &LockExemption) -> bool {
        true
    }

    /// Whether it can hold no release of a package of which only this is known: no index and no file need be read.
    fn is_beyond_doubt(&self, rules: &ReleaseRules, listed: &ListedFacts, now: Timestamp) -> bool;

    /// Writes it into Hex's own policy. What Hex does not have is enforced here alone.
    fn publish(&self, _rules: &ReleaseRules, _restriction: &mut message::Restriction) {}

    /// Why an override that passes over this rule changes nothing, where that is so.
    fn is_ignored_in_vain(&self, _rules: &ReleaseRules, _effect: &Effect) -> Option<&'static str> {
        None
    }

    /// What is allowed and perhaps not meant, each as a path below the rules and a sentence.
    fn advice(&self, _rules: &ReleaseRules) -> Vec<String> {
        Vec::new()
    }
}

/// What a rule looks at beside the versions, checksums and dates of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleInput {
    /// A proof of the age of releases that have no date.
    ProvenAge,
    /// What tarballs state as their licences.
    Licences,
    /// Advisories and retirements, which an index adds to releases later.
    Remarks,
}

impl ReleaseRules {
    /// The rules that restrict something, the gravest first.
    pub fn set(&self) -> impl Iterator<Item = &'static dyn Rule> {
        RULES.iter().copied().filter(|rule| rule.is_set(self))
    }

    /// Whether a rule looks at this.
    pub fn need(&self, need: RuleInput) -> bool {
        self.set().any(|rule| rule.needs().contains(&need))
    }

    /// The cooldown, where it is any time at all.
    pub fn cooldown(&self) -> Option<Duration> {
        self.cooldown.as_ref().filter(|cooldown| !cooldown.is_zero()).map(Cooldown::duration)
    }
}

choice! {
    /// What happens where something is not known.
    #[derive(Default)]
    pub enum WhereUnknown {
        Hold = "hold",
        #[default]
        Allow = "allow",
    }
}

/// A policy: what a platform team writes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// What clients are told that it is for.
    pub description: Option<Box<str>>,
    /// Whether it is enforced.
    pub mode: Mode,
    /// Rules by the key of the repository that a release comes from.
    pub repositories: BTreeMap<RepoName, ReleaseRules>,
}

choice! {
    /// Whether a policy is enforced.
    pub enum Mode {
        /// What is held is not to be had.
        Enforce = "enforce",
        /// What would be held is counted and said, and is to be had.
        DryRun = "dry_run",
    }
}

/// How long a release that was delivered stays to be had after a rule of a class has first held it.
pub type LockFileProtection = ByClass<Grace>;

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

impl LockFileProtection {
    /// Nothing is kept.
    pub const HOLD: Self = Self {
        cooldown: Grace::Hold,
        freeze: Grace::Hold,
        licences: Grace::Hold,
        advisories: Grace::Hold,
        retirement: Grace::Hold,
    };
}

impl Default for LockFileProtection {
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
