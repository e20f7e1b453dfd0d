//! Applies a policy to the lists `names` and `versions`.
//!
//! These two lists contain neither publication dates nor severities. They therefore show only what is certainly
//! allowed: all releases of a package that has not changed for longer than any rule looks back, and the allowed
//! releases of packages that were evaluated. An allowed release can appear late; a held release never appears.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::overrides::{Effect, Override};
use super::release_facts::ListedFacts;
use super::rules::ReleaseRules;
use crate::clock::Timestamp;
use crate::hex::splice;
use crate::hex::wire::{Fields, WireError};

/// The result of an [evaluation](super::filter::evaluate), cached for `names` and `versions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluatedPackage {
    /// When the upstream confirmed the index that was evaluated.
    pub confirmed_at: Timestamp,
    /// When the evaluation expires; `None`: never.
    pub next_change: Option<Timestamp>,
    /// The releases that are allowed.
    pub allowed: HashSet<Box<str>>,
}

/// The packages that the lists show, each with all or some of its releases. Other packages are left out.
#[derive(Debug, Default)]
pub struct ShownPackages<'a> {
    packages: HashMap<&'a str, Show<'a>>,
}

#[derive(Debug)]
enum Show<'a> {
    Whole,
    Only(&'a HashSet<Box<str>>),
}

/// Decides which packages and releases the lists show, from the payloads of `names` and `versions`. If `names` is older
/// than `versions`, newer releases may be missing in it, and its dates do not prove that a package has not changed.
pub fn select_shown<'a>(
    names: &'a [u8],
    versions: &'a [u8],
    names_is_older: bool,
    rules: &ReleaseRules,
    evaluated: &'a HashMap<Box<str>, Arc<EvaluatedPackage>>,
    now: Timestamp,
) -> Result<ShownPackages<'a>, WireError> {
    let mut shown = ShownPackages::default();
    for_each_package(names, versions, |mut entry| {
        let show = match evaluated.get(entry.name).filter(|found| found.is_valid(entry.facts.updated_at, now)) {
            Some(found) => Some(Show::Only(&found.allowed)),
            None => {
                entry.facts.updated_at = entry.facts.updated_at.filter(|_| !names_is_older);
                entry.is_certainly_allowed(rules, now).then_some(Show::Whole)
            }
        };
        shown.packages.extend(show.map(|show| (entry.name, show)));
    })?;
    Ok(shown)
}

/// The packages that are left out because they were not evaluated since they last changed, each with the date of that
/// change.
pub fn unevaluated<'a>(
    names: &'a [u8],
    versions: &'a [u8],
    rules: &ReleaseRules,
    evaluated: &HashMap<Box<str>, Arc<EvaluatedPackage>>,
    now: Timestamp,
) -> Result<Vec<(&'a str, Option<Timestamp>)>, WireError> {
    let mut found = Vec::new();
    for_each_package(names, versions, |entry| {
        let is_known = evaluated.get(entry.name).is_some_and(|found| found.is_valid(entry.facts.updated_at, now));
        if !is_known && !entry.is_certainly_allowed(rules, now) {
            found.push((entry.name, entry.facts.updated_at));
        }
    })?;
    Ok(found)
}

/// Calls `take` with every package of `versions`, and the date of its last change from `names`.
fn for_each_package<'a>(names: &'a [u8], versions: &'a [u8], mut take: impl FnMut(Entry<'a>)) -> Result<(), WireError> {
    let touched = last_changes(names)?;
    for field in Fields::new(versions) {
        let field = field?;
        if field.number == PACKAGES {
            let mut entry = Entry::read(field.bytes()?)?;
            entry.facts.updated_at = touched.get(entry.name).copied().flatten();
            take(entry);
        }
    }
    Ok(())
}

impl ShownPackages<'_> {
    /// The packages of which all releases are shown without an evaluation.
    pub fn shown_completely(&self) -> impl Iterator<Item = &str> {
        let packages = self.packages.iter();
        packages.filter(|(_, show)| matches!(show, Show::Whole)).map(|(package, _)| *package)
    }

    /// A payload of `versions` reduced to the releases that are shown.
    pub fn versions<'p>(&self, payload: &'p [u8]) -> Result<Cow<'p, [u8]>, WireError> {
        splice::drop_releases_from_versions(payload, &|package, version| match self.packages.get(package) {
            Some(Show::Whole) => false,
            Some(Show::Only(allowed)) => !allowed.contains(version),
            None => true,
        })
    }

    /// A payload of `names` reduced to the packages of which a release is shown.
    pub fn names<'p>(&self, payload: &'p [u8]) -> Result<Cow<'p, [u8]>, WireError> {
        splice::retain_packages(payload, &|package| match self.packages.get(package) {
            Some(Show::Whole) => true,
            Some(Show::Only(allowed)) => !allowed.is_empty(),
            None => false,
        })
    }

    /// Whether the lists show this package.
    pub fn lists(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }
}

impl EvaluatedPackage {
    /// Whether the evaluation is still valid: the package has not changed since, and no decision has.
    fn is_valid(&self, updated_at: Option<Timestamp>, now: Timestamp) -> bool {
        let untouched = updated_at.is_some_and(|updated| updated <= self.confirmed_at);
        untouched && self.next_change.is_none_or(|change| now < change)
    }
}

const PACKAGES: u32 = 1;
const NAME: u32 = 1;

/// When each package of `names` last changed.
pub fn last_changes(names: &[u8]) -> Result<HashMap<&str, Option<Timestamp>>, WireError> {
    const UPDATED_AT: u32 = 3;
    const SECONDS: u32 = 1;
    let mut touched = HashMap::new();
    for field in Fields::new(names) {
        let field = field?;
        if field.number != PACKAGES {
            continue;
        }
        let (mut name, mut updated_at) = ("", None);
        for field in Fields::new(field.bytes()?) {
            let field = field?;
            match field.number {
                NAME => name = field.text()?,
                UPDATED_AT => {
                    for field in Fields::new(field.bytes()?) {
                        let field = field?;
                        // In protobuf, zero means that the field is absent.
                        if field.number == SECONDS && field.varint()? != 0 {
                            // The seconds are rounded up, so that a package never seems older than it is.
                            updated_at = Some(Timestamp::from_secs(field.varint()?.saturating_add(1)));
                        }
                    }
                }
                _ => {}
            }
        }
        touched.insert(name, updated_at);
    }
    Ok(touched)
}

/// A package in `versions`.
struct Entry<'a> {
    name: &'a str,
    facts: ListedFacts,
}

impl<'a> Entry<'a> {
    fn read(entry: &'a [u8]) -> Result<Self, WireError> {
        const RETIRED: u32 = 3;
        const WITH_ADVISORIES: u32 = 5;
        let mut read = Self { name: "", facts: ListedFacts::default() };
        for field in Fields::new(entry) {
            let field = field?;
            match field.number {
                NAME => read.name = field.text()?,
                RETIRED => read.facts.has_retired |= field.varints()?.next().is_some(),
                WITH_ADVISORIES => read.facts.has_advisories |= field.varints()?.next().is_some(),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Whether no rule and no override can hold any of its releases.
    fn is_certainly_allowed(&self, rules: &ReleaseRules, now: Timestamp) -> bool {
        let denies = |found: &Override| found.effect == Effect::Deny && found.package.as_str() == self.name;
        rules.configured().all(|rule| rule.is_certainly_allowed(rules, &self.facts, now))
            && !rules.overrides.iter().any(denies)
    }
}

#[cfg(test)]
mod tests;
