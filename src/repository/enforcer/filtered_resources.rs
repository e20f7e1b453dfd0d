//! Filters resources by policy: removes held releases, once for all requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::evaluations::end;
use super::{Enforcer, Judgement};
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::cache::single_flight::Flights;
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::policy::lists;
use crate::repository::error::RepoError;
use crate::repository::sealer::{Scope, Sealer};
use crate::shutdown::Tasks;

/// How many packages without their held releases are in memory.
const VIEWS: u64 = 10_000;

/// Identifies lists that are being built: the repository, the sources, whether the names are older, and the counts of
/// evaluations and removals.
type Making = (RepoName, [Sha256; 2], bool, [u64; 2]);

/// The filtered resources.
#[derive(Debug)]
pub(super) struct FilteredResources {
    views: moka::sync::Cache<(RepoName, PackageName), Arc<FilteredPackage>>,
    lists: Arc<RwLock<HashMap<RepoName, Arc<FilteredLists>>>>,
    making: Flights<Making, Result<Arc<FilteredLists>, CacheError>>,
}

/// A package without its held releases.
#[derive(Debug)]
struct FilteredPackage {
    judgement: Arc<Judgement>,
    shown: Result<Payload, CacheError>,
}

/// `names` and `versions` of a repository, unfiltered.
#[derive(Clone, Debug)]
pub struct UnfilteredLists {
    /// `names`
    pub names: Payload,
    /// `versions`
    pub versions: Payload,
    /// Whether `versions` may have releases that are missing in `names`, because `names` was confirmed earlier.
    pub names_is_older: bool,
    /// After this time the filtered lists are rebuilt, even if the sources are the same.
    pub ttl: Duration,
}

/// Whether a request waits for the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A request. It takes older lists, if nothing in them is held, while new ones are being built.
    No(Instant),
    /// No request: the lists are built in advance.
    Until(Instant),
}

/// `names` and `versions` with the releases that are known to be allowed.
#[derive(Debug)]
pub struct FilteredLists {
    made_from: [Sha256; 2],
    made_at: Timestamp,
    /// Whether they were built from names that are older than the versions.
    names_is_older: bool,
    /// The count of evaluations at that time.
    noted: u64,
    /// The count of removals at that time.
    taken: u64,
    /// When something in them may become held.
    until: Option<Timestamp>,
    /// Packages that are listed without an evaluation.
    whole: HashSet<Box<str>>,
    /// `names`
    pub names: Payload,
    /// `versions`
    pub versions: Payload,
}

impl FilteredResources {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { views: moka::sync::Cache::new(VIEWS), lists: Arc::default(), making: Flights::new(tasks) }
    }
}

impl FilteredLists {
    /// Signs the lists whose predecessors were sent.
    async fn sign_ahead(&self, before: &Self, sealer: &Sealer) -> Result<(), CacheError> {
        for (resource, before, now) in [
            (RegistryResource::Names, &before.names, &self.names),
            (RegistryResource::Versions, &before.versions, &self.versions),
        ] {
            if before.is_signed() {
                sealer.signed(&resource, Scope::Whole, now).await?;
            }
        }
        Ok(())
    }

    /// Whether nothing in them is held now.
    fn is_sound(&self, taken: u64, now: Timestamp) -> bool {
        self.taken == taken && self.until.is_none_or(|until| now < until)
    }
}

/// Stores lists, unless newer ones with more evaluations have been stored meanwhile; returns the stored ones.
fn keep(
    all: &mut HashMap<RepoName, Arc<FilteredLists>>,
    source: RepoName,
    made: Arc<FilteredLists>,
) -> Arc<FilteredLists> {
    let known = |lists: &FilteredLists| (lists.taken, lists.noted);
    match all.get(&source).filter(|kept| known(&made) < known(kept)) {
        Some(newer) => Arc::clone(newer),
        None => {
            all.insert(source, Arc::clone(&made));
            made
        }
    }
}

impl Enforcer {
    /// A package without its held releases, cached until its evaluation changes.
    pub async fn without_held(
        &self,
        source: &RepoName,
        name: &PackageName,
        judgement: Arc<Judgement>,
        whole: Payload,
    ) -> Result<Payload, RepoError> {
        if judgement.evaluation.held.is_empty() {
            return Ok(whole);
        }
        let key = (source.clone(), name.clone());
        let is_this = |view: &Arc<FilteredPackage>| Arc::ptr_eq(&view.judgement, &judgement);
        if let Some(view) = self.made.views.get(&key).filter(is_this) {
            return Ok(view.shown.clone()?);
        }
        let views = self.made.views.clone();
        let make = move || {
            let is_other = |view: &Arc<FilteredPackage>| !Arc::ptr_eq(&view.judgement, &judgement);
            let shown = || {
                let payload = whole.bytes()?;
                let filtered = judgement.evaluation.filter(&payload).map_err(CacheError::untrusted)?;
                Ok(whole.edited(filtered))
            };
            let init = || Arc::new(FilteredPackage { judgement: Arc::clone(&judgement), shown: shown() });
            views.entry(key).or_insert_with_if(init, is_other).into_value()
        };
        let view = self.shared.blocking(move |_| make()).await?;
        Ok(view.shown.clone()?)
    }

    /// A repository's `names` and `versions` with the releases that are known to be allowed. They are rebuilt if the
    /// sources change, if something in them may be held, and otherwise after their TTL. `sealer` belongs to the
    /// repository that sends them: if the previous lists were sent, the new ones are signed in advance.
    pub async fn lists(
        &self,
        source: &RepoName,
        whole: UnfilteredLists,
        wait: Wait,
        sealer: Option<&Sealer>,
    ) -> Result<Arc<FilteredLists>, RepoError> {
        let Some(rules) = self.rules(source).cloned() else { return Err(RepoError::NotFound) };
        let made_from = [*whole.names.digest(), *whole.versions.digest()];
        let (noted, taken) = (self.evaluations.noted(), self.evaluations.taken());
        let now = self.shared.clock.now();
        let made = self.made.lists.read().get(source).cloned().filter(|lists| lists.is_sound(taken, now));
        let is_current = |lists: &&Arc<FilteredLists>| {
            lists.made_from == made_from
                && lists.names_is_older == whole.names_is_older
                && now.is_within(whole.ttl, lists.made_at)
                && (matches!(wait, Wait::No(_)) || lists.noted == noted)
        };
        if let Some(lists) = made.as_ref().filter(is_current) {
            return Ok(Arc::clone(lists));
        }
        // The previous lists could show more.
        if let Some(lists) = made.as_ref().filter(|lists| whole.names_is_older && !lists.names_is_older) {
            return Ok(Arc::clone(lists));
        }
        let making = (source.clone(), made_from, whole.names_is_older, [noted, taken]);
        let ticket = self.made.making.join(making, || {
            let (evaluated, sealer, shared) = (self.evaluations.of(source), sealer.cloned(), self.shared.clone());
            let (all, source) = (Arc::clone(&self.made.lists), source.clone());
            async move {
                let make = move || {
                    let name_list = whole.names.bytes()?;
                    let version_list = whole.versions.bytes()?;
                    let shown =
                        lists::select_shown(&name_list, &version_list, whole.names_is_older, &rules, &evaluated, now);
                    let shown = shown.map_err(CacheError::untrusted)?;
                    Ok::<_, CacheError>(FilteredLists {
                        made_from,
                        made_at: now,
                        names_is_older: whole.names_is_older,
                        noted,
                        taken,
                        until: end(&evaluated, now),
                        whole: shown.shown_completely().map(Into::into).collect(),
                        names: whole.names.edited(shown.names(&name_list).map_err(CacheError::untrusted)?),
                        versions: whole.versions.edited(shown.versions(&version_list).map_err(CacheError::untrusted)?),
                    })
                };
                let lists = Arc::new(shared.blocking(move |_| make()).await??);
                let before = all.read().get(&source).cloned();
                if let (Some(before), Some(sealer)) = (before, sealer) {
                    lists.sign_ahead(&before, &sealer).await?;
                }
                Ok(keep(&mut all.write(), source, lists))
            }
        });
        match (wait, made) {
            (Wait::No(_), Some(older)) => Ok(older),
            (Wait::No(deadline) | Wait::Until(deadline), _) => {
                Ok(ticket.wait(deadline).await.map_err(CacheError::from)??)
            }
        }
    }

    /// The same as [`Enforcer::lists`], as input for the next filter.
    pub async fn filter_lists(
        &self,
        source: &RepoName,
        whole: UnfilteredLists,
        wait: Wait,
        sealer: Option<&Sealer>,
    ) -> Result<UnfilteredLists, RepoError> {
        let ttl = whole.ttl;
        let lists = self.lists(source, whole, wait, sealer).await?;
        let (names, versions) = (lists.names.clone(), lists.versions.clone());
        Ok(UnfilteredLists { names, versions, names_is_older: lists.names_is_older, ttl })
    }

    /// Whether a package is listed completely, without an evaluation.
    pub(super) fn lists_whole(&self, source: &RepoName, package: &str) -> bool {
        self.made.lists.read().get(source).is_some_and(|lists| lists.whole.contains(package))
    }

    /// Whether lists of a repository have been built, that is, a client has requested them.
    pub fn has_lists(&self, source: &RepoName) -> bool {
        self.made.lists.read().contains_key(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_made_of_less_do_not_take_the_place_of_newer_ones() {
        let list = Payload::new(Vec::new());
        let lists = |taken, noted| {
            Arc::new(FilteredLists {
                made_from: [*list.digest(); 2],
                made_at: Timestamp::from_secs(1),
                names_is_older: false,
                noted,
                taken,
                until: None,
                whole: HashSet::new(),
                names: list.clone(),
                versions: list.clone(),
            })
        };
        let source: RepoName = "hexpm".parse().unwrap();
        let mut all = HashMap::new();
        // The build that took longest ends last.
        for (made, kept) in [((0, 2), (0, 2)), ((0, 1), (0, 2)), ((1, 0), (1, 0)), ((0, 9), (1, 0)), ((1, 3), (1, 3))] {
            let answered = keep(&mut all, source.clone(), lists(made.0, made.1));
            assert_eq!((answered.taken, answered.noted), kept, "after {made:?}");
            assert!(Arc::ptr_eq(&answered, &all[&source]));
        }
    }
}
