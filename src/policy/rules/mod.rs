//! The rules of policies. Each rule is one file: how its configuration is read and printed, when it holds a release,
//! and which reason it gives.
//!
//! To add a rule, write its file, add it to [`ReleaseRules`], [`RULES`] and [`KEYS`], and document it. All other code
//! uses rules through the trait [`Rule`] and through [`RuleKey`], never by name.

mod advisory;
mod age;
mod candidate;
mod cooldown;
mod freeze;
mod key;
mod licence;
mod retirement;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use candidate::{ReleaseCase, RuleQuery};
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

/// The rules, the most severe first: if several hold a release, the reason of the first one is reported.
pub const RULES: &[&dyn Rule] =
    &[&advisory::Advisories, &retirement::Retirements, &licence::Licensing, &freeze::Freeze, &cooldown::MinimumAge];

/// The configuration keys of the rules, in the order in which they are listed and printed.
pub const KEYS: &[RuleKey] = &[
    cooldown::KEY,
    advisory::KEY,
    retirement::KEY,
    licence::KEY,
    freeze::KEY,
    age::KEY,
    cooldown::KEY_OF_SECURITY_FIXES,
];

/// The rules for the releases of one repository. A rule that is not set restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseRules {
    /// The minimum age of a release.
    pub cooldown: Option<Cooldown>,
    /// Advisories of at least this severity hold a release.
    pub advisory_min_severity: Option<Severity>,
    /// Retirements for one of these reasons hold a release.
    pub retirement_reasons: BTreeSet<RetirementReason>,
    /// The licences that hold a release.
    pub licences: Option<LicenceRules>,
    /// Releases published after this time are held.
    pub freeze_after: Option<Timestamp>,
    /// Whether a release without a publication date is held if nothing else proves its age.
    pub unknown_published_at: WhereUnknown,
    /// Whether the cooldown leaves out releases that fix an advisory of the release that projects would get instead.
    pub cooldown_exempt_security_fixes: bool,
    /// How long releases that lock files contain stay available.
    pub locked: LockFileProtection,
    /// The overrides, as written.
    pub overrides: Vec<Override>,
}

/// A rule of a policy, which holds some releases.
pub trait Rule: std::fmt::Debug + Sync {
    /// The class of the rule, which decides which exemptions apply.
    fn class(&self) -> Class;

    /// Whether the rule is configured. If not, it is not evaluated.
    fn is_set(&self, rules: &ReleaseRules) -> bool;

    /// The facts it needs beside the index of the package.
    fn needs(&self) -> &'static [RuleInput];

    /// The reason why it holds the release; `None` if it does not.
    fn judge(&self, case: &ReleaseCase<'_>, question: RuleQuery) -> Option<Reason>;

    /// Appends every time at which its decision can change by itself, in any order; times in the past are allowed.
    fn add_change_times(&self, _case: &ReleaseCase<'_>, _moments: &mut Vec<Timestamp>) {}

    /// Whether the rule could be decided when the release was delivered. If not, the delivery does not excuse it.
    fn could_decide_at(&self, _delivery: &LockExemption) -> bool {
        true
    }

    /// Whether these facts from the lists are enough to know that it holds no release of the package.
    fn is_certainly_allowed(&self, rules: &ReleaseRules, listed: &ListedFacts, now: Timestamp) -> bool;

    /// Adds the rule to a Hex policy resource. A rule that Hex does not have is left out: only this server enforces it.
    fn publish(&self, _rules: &ReleaseRules, _restriction: &mut message::Restriction) {}

    /// The reason why an override that ignores this rule has no effect; `None` if it has one or is about another rule.
    fn useless_override(&self, _rules: &ReleaseRules, _effect: &Effect) -> Option<&'static str> {
        None
    }

    /// Warnings about settings that are valid but perhaps not intended, each as `PATH: sentence`, with the path below
    /// the rules.
    fn warnings(&self, _rules: &ReleaseRules) -> Vec<String> {
        Vec::new()
    }
}

/// The facts that a rule needs beside the versions, checksums and dates of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleInput {
    /// A proof of the age of releases that have no date.
    ProvenAge,
    /// The licences that tarballs state.
    Licences,
    /// Advisories and retirements, which an index can add to a release after its publication.
    Remarks,
}

impl ReleaseRules {
    /// The rules that are configured, the most severe first.
    pub fn configured(&self) -> impl Iterator<Item = &'static dyn Rule> {
        RULES.iter().copied().filter(|rule| rule.is_set(self))
    }

    /// Whether a configured rule needs these facts.
    pub fn need(&self, need: RuleInput) -> bool {
        self.configured().any(|rule| rule.needs().contains(&need))
    }

    /// The cooldown; `None` if it is not set or zero.
    pub fn cooldown(&self) -> Option<Duration> {
        self.cooldown.as_ref().filter(|cooldown| !cooldown.is_zero()).map(Cooldown::duration)
    }
}

choice! {
    /// Whether a release is held or allowed if a fact about it is unknown.
    #[derive(Default)]
    pub enum WhereUnknown {
        Hold = "hold",
        #[default]
        Allow = "allow",
    }
}

/// A policy, as it is written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// Its purpose, which clients show to their users.
    pub description: Option<Box<str>>,
    /// Whether it is enforced.
    pub mode: Mode,
    /// The rules for releases of each remote or local repository, by the key of the repository.
    pub repositories: BTreeMap<RepoName, ReleaseRules>,
}

choice! {
    /// Whether a policy is enforced.
    pub enum Mode {
        /// Clients cannot download held releases.
        Enforce = "enforce",
        /// Releases that would be held stay available; they are counted and reported.
        DryRun = "dry_run",
    }
}

/// How long a delivered release stays available after a rule of a class has first held it.
pub type LockFileProtection = ByClass<Grace>;

/// How long a delivered release stays available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// For ever.
    Keep,
    /// For this time.
    For(Duration),
    /// Not at all: it is held at once.
    Hold,
}

impl LockFileProtection {
    /// A delivered release is held like any other.
    pub const HOLD: Self = Self {
        cooldown: Grace::Hold,
        freeze: Grace::Hold,
        licences: Grace::Hold,
        advisories: Grace::Hold,
        retirement: Grace::Hold,
    };
}

impl Default for LockFileProtection {
    /// Lock files keep working, as Hex users expect. Releases that turn out to be dangerous stay available for two
    /// weeks, so that projects can replace them. A denied licence stays denied, even if the release was already used.
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
