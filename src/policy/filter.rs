//! A package through its policy: what is left of it, and until when that holds.

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

/// What a policy says of every release of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// What is held, in the order of the payload.
    pub held: Vec<HeldRelease>,
    /// What rules hold and something excuses, and what that is, in the order of the payload.
    pub exempt: Vec<(Box<str>, AllowedBy)>,
    /// When any decision changes next by itself.
    pub next_change: Option<Timestamp>,
    /// Delivered releases that are held for the first time by rules of a class, whose grace begins now.
    pub first_held: Vec<(Box<str>, Class)>,
}

/// A release that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRelease {
    /// As the index spells it.
    pub version: Box<str>,
    pub reason: Reason,
    /// When that ends by itself.
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
    /// Whether a version is held, and why.
    pub fn held(&self, version: &str) -> Option<&HeldRelease> {
        self.held.iter().find(|held| &*held.version == version)
    }

    /// Whether every rule that has been decided allows a version by itself.
    pub fn allows(&self, version: &str) -> bool {
        self.held(version).is_none() && !self.exempt.iter().any(|(exempt, _)| **exempt == *version)
    }

    /// The payload of `packages/NAME` without what is held. What is left is what it was, byte for byte; so are the
    /// advisories, all of them.
    pub fn filter<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, WireError> {
        if self.held.is_empty() {
            return Ok(Cow::Borrowed(payload));
        }
        let held: HashSet<&str> = self.held.iter().map(|held| &*held.version).collect();
        splice::drop_releases_from_package(payload, &|version| held.contains(version))
    }
}

/// The earlier of two moments that may never come.
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
