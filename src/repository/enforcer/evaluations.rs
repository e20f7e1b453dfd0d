//! Stores evaluations for `names` and `versions`, and finds the packages without an evaluation.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::filtered_resources::UnfilteredLists;
use super::licences::StatedLicences;
use super::{Enforcer, JudgedPackage, Judgement};
use crate::cache::CacheError;
use crate::clock::Timestamp;
use crate::hex::name::{PackageName, RepoName};
use crate::policy::filter::earlier;
use crate::policy::lists::{self, EvaluatedPackage};
use crate::repository::RepoError;

/// The evaluations, by repository and package.
#[derive(Debug, Default)]
pub(super) struct Evaluations {
    by_source: RwLock<HashMap<RepoName, HashMap<Box<str>, One>>>,
    /// How often licences of a package have become known.
    lessons: RwLock<HashMap<(RepoName, PackageName), u64>>,
    /// Counts the evaluations.
    noted: AtomicU64,
    /// Counts how often something in the lists had to be removed.
    taken: AtomicU64,
}

#[derive(Clone, Debug)]
struct One {
    evaluated: Arc<EvaluatedPackage>,
    /// Whether it has tarballs with unknown licences that a rule needs.
    unread: bool,
}

/// A package that has not been evaluated since its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unevaluated {
    /// Its name.
    pub package: PackageName,
    /// When it last changed upstream.
    pub touched: Option<Timestamp>,
}

impl Evaluations {
    pub(super) fn clear(&self) {
        self.by_source.write().clear();
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    pub(super) fn noted(&self) -> u64 {
        self.noted.load(Ordering::Acquire)
    }

    /// The evaluations of one repository.
    pub(super) fn of(&self, source: &RepoName) -> HashMap<Box<str>, Arc<EvaluatedPackage>> {
        let all = self.by_source.read();
        let of = all.get(source).into_iter().flatten();
        of.map(|(package, one)| (package.clone(), Arc::clone(&one.evaluated))).collect()
    }

    fn unread(&self, source: &RepoName) -> BTreeSet<Box<str>> {
        let all = self.by_source.read();
        let of = all.get(source).into_iter().flatten();
        of.filter(|(_, one)| one.unread).map(|(package, _)| package.clone()).collect()
    }

    fn lessons(&self, source: &RepoName, package: &PackageName) -> u64 {
        self.lessons.read().get(&(source.clone(), package.clone())).copied().unwrap_or_default()
    }
}

impl Enforcer {
    /// Counts the changes on which evaluations of a package depend, apart from its index and the time.
    pub fn generation(&self, source: &RepoName, package: &PackageName) -> u64 {
        let lessons = if self.asks_about_licences(source) { self.evaluations.lessons(source, package) } else { 0 };
        self.generation.load(Ordering::Acquire) + lessons
    }

    /// Stores an evaluation for the lists, unless something that it depends on has changed meanwhile.
    pub(super) fn note_evaluated(&self, subject: JudgedPackage<'_>, judgement: &Judgement, allowed: HashSet<Box<str>>) {
        let JudgedPackage { source, package, confirmed_at, generation, .. } = subject;
        let next_change = judgement.evaluation.next_change;
        let mut all = self.evaluations.by_source.write();
        if self.generation(source, package) != generation {
            return;
        }
        let packages = all.entry(source.clone()).or_default();
        let shown_before = match packages.get(package.as_str()) {
            Some(before) => !before.evaluated.allowed.is_subset(&allowed),
            None => !judgement.evaluation.held.is_empty() && self.lists_whole(source, package.as_str()),
        };
        let evaluated = Arc::new(EvaluatedPackage { confirmed_at, next_change, allowed });
        packages.insert(package.as_str().into(), One { evaluated, unread: !judgement.unread.is_empty() });
        self.evaluations.noted.fetch_add(1, Ordering::AcqRel);
        if shown_before {
            self.evaluations.taken.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The licences of a release of this package have become known: its evaluation is outdated.
    pub(super) fn learned(&self, source: &RepoName, package: &PackageName, stated: &StatedLicences) {
        let Some(rules) = self.rules(source).and_then(|rules| rules.licences.as_ref()) else { return };
        *self.evaluations.lessons.write().entry((source.clone(), package.clone())).or_default() += 1;
        if let Some(packages) = self.evaluations.by_source.write().get_mut(source) {
            packages.remove(package.as_str());
        }
        if rules.hold(stated) {
            self.evaluations.taken.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The packages of a repository that the lists cannot show because they have not been evaluated; with `licences`
    /// also those with unread licences. A package without a date in `whole` is evaluated only once.
    pub async fn unevaluated_packages(
        &self,
        source: &RepoName,
        whole: UnfilteredLists,
        licences: bool,
    ) -> Result<Vec<Unevaluated>, RepoError> {
        let Some(rules) = self.rules(source).cloned() else { return Ok(Vec::new()) };
        let (evaluated, now) = (self.evaluations.of(source), self.shared.clock.now());
        let unread = if licences { self.evaluations.unread(source) } else { BTreeSet::new() };
        let due = self.shared.blocking(move |_| {
            let names = whole.names.bytes()?;
            let versions = whole.versions.bytes()?;
            let found =
                lists::unevaluated(&names, &versions, &rules, &evaluated, now).map_err(CacheError::untrusted)?;
            let is_due = |package: &str, touched: Option<Timestamp>| {
                unread.contains(package) || touched.is_some() || !evaluated.contains_key(package)
            };
            let mut packages = Vec::new();
            for (package, touched) in found.into_iter().filter(|(package, touched)| is_due(package, *touched)) {
                // An invalid name cannot be requested.
                packages.extend(package.parse().ok().map(|package| Unevaluated { package, touched }));
            }
            let named: BTreeSet<Box<str>> = packages.iter().map(|one| one.package.as_str().into()).collect();
            let touched = lists::last_changes(&names).map_err(CacheError::untrusted)?;
            packages.extend(unread.difference(&named).filter_map(|package| {
                Some(Unevaluated { package: package.parse().ok()?, touched: *touched.get(&**package)? })
            }));
            Ok::<_, CacheError>(packages)
        });
        Ok(due.await??)
    }

    /// When the next evaluation of a repository's packages changes by itself.
    pub fn evaluations_end(&self, source: &RepoName) -> Option<Timestamp> {
        end(&self.evaluations.of(source), self.shared.clock.now())
    }
}

pub(super) fn end(evaluated: &HashMap<Box<str>, Arc<EvaluatedPackage>>, now: Timestamp) -> Option<Timestamp> {
    let changes = evaluated.values().filter_map(|found| found.next_change).filter(|change| *change > now);
    changes.fold(None, |until, change| earlier(until, Some(change)))
}
