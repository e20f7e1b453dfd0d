//! Overrides and waivers: exceptions to a policy for a package or some of its versions.

use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::hex::version::ReleaseVersion;

/// An exception for a package, or for some of its versions. Overrides are part of a policy; waivers are granted by
/// administrators while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub effect: Effect,
    pub package: PackageName,
    /// The versions that it applies to; `None`: all.
    pub requirement: Option<Requirement>,
    /// When it expires; `None`: never.
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
    /// The person responsible for it.
    pub by: Option<String>,
}

/// The effect of an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows the release, whatever the rules decide.
    Allow,
    /// Holds the release, whatever the rules and the exemptions for lock files decide.
    Deny,
    /// Ignores the advisory with this identifier or alias.
    IgnoreAdvisory(String),
    /// Ignores a retirement for this reason.
    IgnoreRetirement(RetirementReason),
    /// Ignores the cooldown.
    IgnoreCooldown,
}

impl Override {
    /// Whether it applies to this release at this time. `None` is a version that cannot be parsed: it matches no
    /// requirement, but an override that denies some versions denies it too.
    pub fn applies_at(&self, package: &str, version: Option<&ReleaseVersion>, now: Timestamp) -> bool {
        self.is_active(now) && self.applies_to(package, version)
    }

    /// Whether it has not expired at `moment`.
    pub fn is_active(&self, moment: Timestamp) -> bool {
        self.until.is_none_or(|until| moment < until)
    }

    /// Whether it applies to this release, expired or not.
    pub fn applies_to(&self, package: &str, version: Option<&ReleaseVersion>) -> bool {
        self.package.as_str() == package
            && match (&self.requirement, version) {
                (None, _) => true,
                (Some(requirement), Some(version)) => requirement.matches(version),
                // A version that cannot be compared is denied, never allowed.
                (Some(_), None) => self.effect == Effect::Deny,
            }
    }

    /// Whether it allows or denies the release: then no rule is evaluated.
    pub fn is_final(&self) -> bool {
        matches!(self.effect, Effect::Allow | Effect::Deny)
    }
}

/// The final exception that takes effect: the first one with a requirement, else the first one without, as in Hex.
pub fn effective_override<'a>(concerned: impl Iterator<Item = &'a Override>) -> Option<&'a Override> {
    let mut general = None;
    for exception in concerned.filter(|exception| exception.is_final()) {
        if exception.requirement.is_some() {
            return Some(exception);
        }
        general = general.or(Some(exception));
    }
    general
}
