//! Applies a policy to every release of a package, and removes the held ones from its index.

use std::borrow::Cow;
use std::collections::HashSet;

use super::class::Class;
use super::decide::{AllowedBy, Decision, decide, first_held};
use super::decision_inputs::DecisionInputs;
use super::reason::Reason;
use super::release_facts::PackageFacts;
use super::rules::ReleaseRules;
use crate::clock::Timestamp;
use crate::hex::splice;
use crate::hex::wire::WireError;

/// The decisions about every release of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// The held releases, in the order of the payload.
    pub held: Vec<HeldRelease>,
    /// The releases that a rule holds but an exemption or an override allows, and which one does, in the order of the
    /// payload.
    pub exempt: Vec<(Box<str>, AllowedBy)>,
    /// The next time at which one of the decisions changes by itself.
    pub next_change: Option<Timestamp>,
    /// Delivered releases that a class of rules holds now for the first time, which begins their grace period.
    pub first_held: Vec<(Box<str>, Class)>,
}

/// A release that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRelease {
    /// The version as it is written in the index.
    pub version: Box<str>,
    pub reason: Reason,
    /// When the policy stops holding it by itself, if it does.
    pub until: Option<Timestamp>,
}

/// Decides about every release of a package.
pub fn evaluate(
    package: &PackageFacts,
    rules: &ReleaseRules,
    known: &dyn DecisionInputs,
    now: Timestamp,
) -> Evaluation {
    let mut evaluation = Evaluation::default();
    for release in &package.releases {
        let until = match decide(package, release, rules, known, now) {
            Decision::Allowed { because, until } => {
                if because != AllowedBy::Clean {
                    evaluation.exempt.push((release.text.clone(), because));
                }
                until
            }
            Decision::Held { reason, until } => {
                evaluation.held.push(HeldRelease { version: release.text.clone(), reason, until });
                until
            }
        };
        evaluation.next_change = earlier(evaluation.next_change, until);
        for class in first_held(package, release, rules, known, now) {
            evaluation.first_held.push((release.text.clone(), class));
        }
    }
    evaluation
}

impl Evaluation {
    /// The held release of this version, with the reason; `None` if the version is not held.
    pub fn held(&self, version: &str) -> Option<&HeldRelease> {
        self.held.iter().find(|held| &*held.version == version)
    }

    /// Whether the rules allow a version without any exemption or override.
    pub fn allows_without_exemption(&self, version: &str) -> bool {
        self.held(version).is_none() && !self.exempt.iter().any(|(exempt, _)| **exempt == *version)
    }

    /// The payload of `packages/NAME` without the held releases. The other releases and all advisories stay the same,
    /// byte for byte.
    pub fn filter<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, WireError> {
        if self.held.is_empty() {
            return Ok(Cow::Borrowed(payload));
        }
        let held: HashSet<&str> = self.held.iter().map(|held| &*held.version).collect();
        splice::drop_releases_from_package(payload, &|version| held.contains(version))
    }
}

/// The earlier of two times, where `None` means never.
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
