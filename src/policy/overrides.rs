//! Exceptions to a policy.

use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::hex::version::ReleaseVersion;

/// An exception for one package, or for some of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub effect: Effect,
    pub package: PackageName,
    /// Which versions; `None`: all.
    pub requirement: Option<Requirement>,
    /// When it ends; `None`: never.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
    /// Who answers for it.
    pub by: Option<String>,
}

/// What an exception does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Whatever the rules say, it is allowed.
    Allow,
    /// Whatever the rules and lock files say, it is held.
    Deny,
    /// The advisory of this identifier or alias does not count.
    IgnoreAdvisory(String),
    /// A retirement for this reason does not count.
    IgnoreRetirement(RetirementReason),
    /// The cooldown does not count.
    IgnoreCooldown,
}

impl Override {
    /// Whether it is about this release at this moment. A version that is none satisfies no requirement, and is denied where
    /// some are.
    pub fn concerns(&self, package: &str, version: Option<&ReleaseVersion>, now: Timestamp) -> bool {
        self.lasts(now) && self.is_about(package, version)
    }

    /// Whether it has not ended at a moment.
    pub fn lasts(&self, moment: Timestamp) -> bool {
        self.until.is_none_or(|until| moment < until)
    }

    /// Whether it is about this release while it lasts.
    pub fn is_about(&self, package: &str, version: Option<&ReleaseVersion>) -> bool {
        self.package.as_str() == package
            && match (&self.requirement, version) {
                (None, _) => true,
                (Some(requirement), Some(version)) => requirement.matches(version),
                // What cannot be decided is refused, and never allowed.
                (Some(_), None) => self.effect == Effect::Deny,
            }
    }

    /// Whether it allows or denies, which ends every question.
    pub fn is_final(&self) -> bool {
        matches!(self.effect, Effect::Allow | Effect::Deny)
    }
}

/// The final exception that counts: one with a requirement before one without, and of these the first, as for Hex.
pub fn winner<'a>(concerned: impl Iterator<Item = &'a Override>) -> Option<&'a Override> {
    let mut general = None;
    for exception in concerned.filter(|exception| exception.is_final()) {
        if exception.requirement.is_some() {
            return Some(exception);
        }
        general = general.or(Some(exception));
    }
    general
}
