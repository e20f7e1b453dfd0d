//! Why a release is held, and how that is said. May import `hex` and `policy`.

use std::fmt;

use super::licence::LicenceFault;
use super::severity::Severity;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;

/// Why a release is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By an override, with its reason.
    Denied(Option<String>),
    Advisory {
        id: Box<str>,
        severity: Severity,
    },
    Retirement(RetirementReason),
    Licence(LicenceFault),
    /// Published after this.
    Frozen(Timestamp),
    /// Nothing says how old it is, which a rule of this class asks.
    UnknownAge(Class),
    /// Younger than this.
    Cooldown(Box<str>),
}

/// Rules that are excused alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Cooldown,
    Freeze,
    Licence,
    Advisory,
    Retirement,
}

impl Class {
    /// Each.
    pub const ALL: [Self; 5] = [Self::Cooldown, Self::Freeze, Self::Licence, Self::Advisory, Self::Retirement];
}

/// Something for each class of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByClass<T> {
    pub cooldown: T,
    pub freeze: T,
    pub licences: T,
    pub advisories: T,
    pub retirement: T,
}

impl<T> ByClass<T> {
    /// Of one class.
    pub fn of(&self, class: Class) -> &T {
        match class {
            Class::Cooldown => &self.cooldown,
            Class::Freeze => &self.freeze,
            Class::Licence => &self.licences,
            Class::Advisory => &self.advisories,
            Class::Retirement => &self.retirement,
        }
    }
}

impl Rule {
    /// The word for it in metrics and records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Denied(_) => "deny",
            Self::Advisory { .. } => "advisory",
            Self::Retirement(_) => "retirement",
            Self::Licence(_) => "licence",
            Self::Frozen(_) => "freeze",
            Self::UnknownAge(_) => "unknown_age",
            Self::Cooldown(_) => "cooldown",
        }
    }

    /// With which rules a delivery excuses it; `None`: never. What cannot be decided was not allowed at a delivery either.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Denied(_) | Self::Licence(LicenceFault::Undecided(_)) => None,
            Self::Advisory { .. } => Some(Class::Advisory),
            Self::Retirement(_) => Some(Class::Retirement),
            Self::Licence(_) => Some(Class::Licence),
            Self::Frozen(_) => Some(Class::Freeze),
            Self::UnknownAge(class) => Some(*class),
            Self::Cooldown(_) => Some(Class::Cooldown),
        }
    }
}

impl fmt::Display for Rule {
    /// What is wrong with the release, as the end of a sentence that begins with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(Some(reason)) => write!(f, "is denied ({reason})"),
            Self::Denied(None) => f.write_str("is denied"),
            Self::Advisory { id, severity } => {
                write!(f, "has the security advisory {id} (severity {})", severity.as_str())
            }
            Self::Retirement(reason) => write!(f, "is retired ({})", reason.as_str()),
            Self::Licence(LicenceFault::Denied(licence)) => write!(f, "has the licence {licence}"),
            Self::Licence(LicenceFault::Unknown(Some(text))) => {
                write!(f, "states {text} as its licence, which SPDX does not know")
            }
            Self::Licence(LicenceFault::Unknown(None)) => f.write_str("states no licence"),
            Self::Licence(LicenceFault::Undecided(why)) => write!(f, "has licences that cannot be decided: {why}"),
            Self::Frozen(at) => write!(f, "was published after {at}"),
            Self::UnknownAge(_) => f.write_str("has no date of publication, and nothing else proves its age"),
            Self::Cooldown(cooldown) => write!(f, "was published less than {cooldown} ago"),
        }
    }
}
