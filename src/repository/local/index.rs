//! The index of a local repository in memory: `names`, `versions`, and the packages that readers have requested.
//!
//! It is built from the database when it is first used. After a change of one package only that package is read again;
//! the lists are assembled from entries that were encoded before, and one rebuild serves all changes that it includes.
//! Resources for clients of this repository are signed when they are built. If only virtual repositories show them,
//! those sign what they build from them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::error::LocalFailure;
use super::package_map::PackageMap;
use super::{ListedRelease, blocking};
use crate::auth::PatternSet;
use crate::cache::payload::Payload;
use crate::clock::Timestamp;
use crate::hex::build::{self, DependencyEntry, ReleaseEntry};
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::hex::version;
use crate::repository::sealer::{Scope, Sealer};
use crate::repository::{Directory, NameRules};
use crate::state::State;
use crate::state::packages::{ListedPackage, Package};

/// Maximum size of the packages in memory, in bytes; others are built again when they are requested.
const PACKAGES_BYTES: u64 = 32 * 1024 * 1024;

/// How many sets of patterns have their lists in memory.
const VIEWS: usize = 64;

/// A package in the index.
#[derive(Debug)]
pub(super) struct Entry {
    package: ListedPackage,
    names: Vec<u8>,
    versions: Vec<u8>,
    is_listed: bool,
}

impl Entry {
    /// `is_listed`: whether the repository's name rules show it to readers.
    pub(super) fn of(mut package: ListedPackage, is_listed: bool) -> Self {
        package.releases.sort_by_cached_key(|release| version::order(&release.version));
        let retired = package.releases.iter().enumerate().filter(|(_, release)| release.retirement.is_some());
        let retired = retired.filter_map(|(at, _)| i32::try_from(at).ok()).collect();
        let versions = package.releases.iter().map(|release| release.version.as_str());
        Self {
            names: build::names_entry(&package.name, package.updated_at),
            versions: build::versions_entry(&package.name, versions, retired),
            is_listed,
            package,
        }
    }

    /// The package's name.
    pub(super) fn name(&self) -> &str {
        &self.package.name
    }

    /// Its entry in `names`.
    pub(super) fn names(&self) -> &[u8] {
        &self.names
    }

    /// Its entry in `versions`.
    pub(super) fn versions(&self) -> &[u8] {
        &self.versions
    }

    /// Whether it is in `names` and `versions`.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// The release of exactly this version.
    pub(super) fn release(&self, version: &str) -> Option<&ListedRelease> {
        self.package.releases.iter().find(|release| release.version == version)
    }

    /// Its releases, ascending.
    pub(super) fn releases(&self) -> &[ListedRelease] {
        &self.package.releases
    }

    /// When its first release was published.
    pub(super) fn inserted_at(&self) -> Timestamp {
        self.package.inserted_at
    }
}

/// The packages at one point in time.
#[derive(Debug)]
struct Generation {
    number: u64,
    packages: PackageMap,
}

/// `names` and `versions` of one generation.
#[derive(Clone, Debug)]
struct Indexes {
    generation: u64,
    names: Payload,
    versions: Payload,
}

/// The index of a repository.
#[derive(Debug)]
pub(super) struct LocalIndex {
    key: RepoName,
    name: RepoName,
    rules: NameRules,
    /// Signs in advance what will be sent; `None`: most of it will not be sent.
    sealer: Option<Sealer>,
    state: State,
    /// Has the names of the repositories of dependencies.
    directory: Arc<Directory>,
    generation: ArcSwapOption<Generation>,
    indexes: ArcSwapOption<Indexes>,
    packages: Cache<PackageName, Payload>,
    views: Mutex<HashMap<BTreeSet<String>, Indexes>>,
    /// Locked while changes are loaded from the database.
    taking: tokio::sync::Mutex<()>,
    /// Locked while the lists are assembled.
    making: tokio::sync::Mutex<()>,
}

impl LocalIndex {
    pub(super) fn new(
        key: RepoName,
        name: RepoName,
        rules: NameRules,
        sealer: Option<Sealer>,
        state: State,
        directory: Arc<Directory>,
    ) -> Self {
        let packages = Cache::builder()
            .max_capacity(PACKAGES_BYTES)
            .weigher(|_, payload: &Payload| u32::try_from(payload.memory_bytes()).unwrap_or(u32::MAX))
            .build();
        Self {
            key,
            name,
            rules,
            sealer,
            state,
            directory,
            generation: ArcSwapOption::empty(),
            indexes: ArcSwapOption::empty(),
            packages,
            views: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// A package's entry; `None` if the package does not exist.
    pub(super) async fn listed(&self, name: &PackageName) -> Result<Option<Arc<Entry>>, LocalFailure> {
        Ok(self.generation().await?.packages.get(name.as_str()).map(Arc::clone))
    }

    /// The package in the database, for a change of it: the last committed change may not be in the index yet.
    pub(super) async fn committed(&self, name: &PackageName) -> Result<Option<Arc<Entry>>, LocalFailure> {
        let listed = self.state.listed_package(self.key.as_str(), name.as_str()).await?;
        Ok(listed.map(|package| self.entry(package)))
    }

    /// Whether a release with this tarball exists.
    pub(super) async fn has_tarball(&self, outer: &Sha256) -> Result<bool, LocalFailure> {
        let generation = self.generation().await?;
        let mut releases = generation.packages.iter().flat_map(|package| package.releases());
        Ok(releases.any(|release| release.outer == *outer))
    }

    /// `names` with the packages that a caller may read.
    pub(super) async fn names(&self, patterns: &PatternSet) -> Result<Payload, LocalFailure> {
        Ok(self.view(patterns).await?.names)
    }

    /// `versions` with the packages that a caller may read.
    pub(super) async fn versions(&self, patterns: &PatternSet) -> Result<Payload, LocalFailure> {
        Ok(self.view(patterns).await?.versions)
    }

    /// `packages/NAME`; `None` if it does not exist.
    pub(super) async fn package(&self, name: &PackageName) -> Result<Option<Payload>, LocalFailure> {
        if let Some(payload) = self.packages.get(name) {
            return Ok(Some(payload));
        }
        // Checked first, because virtual repositories request every name that their members have.
        if self.generation().await?.packages.get(name.as_str()).is_none() {
            return Ok(None);
        }
        // The lock prevents that the old state is put into memory while a change is loaded.
        let _one = self.taking.lock().await;
        let Some(package) = self.state.package(self.key.as_str(), name.as_str()).await? else { return Ok(None) };
        let payload = self.made_package(name, &package).await?;
        self.packages.insert(name.clone(), payload.clone());
        Ok(Some(payload))
    }

    /// Loads a changed package from the database, and rebuilds the package and both lists.
    pub(super) async fn changed(&self, name: &PackageName) -> Result<(), LocalFailure> {
        // If nothing is in memory yet, the first reader finds the change in the database.
        let loaded = self.generation().await?.number;
        let number = {
            let _one = self.taking.lock().await;
            let listed = self.state.listed_package(self.key.as_str(), name.as_str()).await?;
            let payload = match self.state.package(self.key.as_str(), name.as_str()).await? {
                Some(package) => Some(self.made_package(name, &package).await?),
                None => None,
            };
            match payload {
                Some(payload) => self.packages.insert(name.clone(), payload),
                None => self.packages.invalidate(name),
            }
            let before = self.generation.load_full();
            let none = PackageMap::default();
            let (before, shelves) = before.as_ref().map_or((loaded, &none), |before| (before.number, &before.packages));
            let packages = match listed {
                Some(listed) => shelves.with(self.entry(listed)),
                None => shelves.without(name.as_str()),
            };
            let number = before + 1;
            self.generation.store(Some(Arc::new(Generation { number, packages })));
            number
        };
        self.indexes_at_least(number).await.map(drop)
    }

    /// Discards everything, because the database was changed from elsewhere.
    pub(super) async fn forget(&self) {
        let _one = self.taking.lock().await;
        let _none = self.making.lock().await;
        self.generation.store(None);
        self.indexes.store(None);
        self.packages.invalidate_all();
        self.views.lock().clear();
    }

    fn entry(&self, package: ListedPackage) -> Arc<Entry> {
        let is_listed = self.rules.allows(&package.name);
        Arc::new(Entry::of(package, is_listed))
    }

    async fn generation(&self) -> Result<Arc<Generation>, LocalFailure> {
        if let Some(generation) = self.generation.load_full() {
            return Ok(generation);
        }
        let _one = self.taking.lock().await;
        if let Some(generation) = self.generation.load_full() {
            return Ok(generation);
        }
        let listed = self.state.listed(self.key.as_str()).await?;
        let rules = self.rules.clone();
        let packages = blocking(move || {
            let entry = |package: ListedPackage| {
                let is_listed = rules.allows(&package.name);
                Arc::new(Entry::of(package, is_listed))
            };
            Ok(PackageMap::of(listed.into_iter().map(entry).collect()))
        });
        let generation = Arc::new(Generation { number: 1, packages: packages.await? });
        self.generation.store(Some(Arc::clone(&generation)));
        Ok(generation)
    }

    async fn view(&self, patterns: &PatternSet) -> Result<Indexes, LocalFailure> {
        let generation = self.generation().await?;
        let Some(limited) = patterns.patterns() else { return self.indexes_at_least(generation.number).await };
        if let Some(view) = self.views.lock().get(limited).filter(|view| view.generation == generation.number) {
            return Ok(view.clone());
        }
        let view = self.put_together(&generation, patterns.clone()).await?;
        let mut views = self.views.lock();
        if views.len() >= VIEWS {
            views.clear();
        }
        views.insert(limited.clone(), view.clone());
        Ok(view)
    }

    /// The complete lists, of that generation or a later one.
    async fn indexes_at_least(&self, number: u64) -> Result<Indexes, LocalFailure> {
        let there = || self.indexes.load_full().filter(|indexes| indexes.generation >= number);
        if let Some(indexes) = there() {
            return Ok((*indexes).clone());
        }
        let _one = self.making.lock().await;
        // The rebuild that we waited for may include our change.
        if let Some(indexes) = there() {
            return Ok((*indexes).clone());
        }
        let generation = self.generation().await?;
        let indexes = self.put_together(&generation, PatternSet::everything()).await?;
        self.indexes.store(Some(Arc::new(indexes.clone())));
        Ok(indexes)
    }

    /// Assembles both lists in parallel.
    async fn put_together(&self, generation: &Arc<Generation>, patterns: PatternSet) -> Result<Indexes, LocalFailure> {
        let one = async |resource, whole: fn(&PackageMap) -> Vec<u8>, entry: fn(&Entry) -> &[u8]| {
            let (generation, repository, patterns) = (Arc::clone(generation), self.name.clone(), patterns.clone());
            let payload = blocking(move || {
                let packages = &generation.packages;
                let entries = if patterns.patterns().is_none() {
                    whole(packages)
                } else {
                    let seen = packages.iter().filter(|package| package.is_listed() && patterns.allows(package.name()));
                    build::index_entries(seen.map(|package| entry(package)))
                };
                Ok(Payload::new(build::index_of(repository.as_str(), entries)))
            });
            let payload = payload.await?;
            self.sign_ahead(&resource, &payload).await?;
            Ok::<_, LocalFailure>(payload)
        };
        let (names, versions) = tokio::join!(
            one(RegistryResource::Names, PackageMap::names, Entry::names),
            one(RegistryResource::Versions, PackageMap::versions, Entry::versions)
        );
        Ok(Indexes { generation: generation.number, names: names?, versions: versions? })
    }

    async fn made_package(&self, name: &PackageName, package: &Package) -> Result<Payload, LocalFailure> {
        let payload = Payload::new(payload(&self.key, &self.name, package, &self.directory));
        self.sign_ahead(&RegistryResource::Package(name.clone()), &payload).await?;
        Ok(payload)
    }

    async fn sign_ahead(&self, resource: &RegistryResource, payload: &Payload) -> Result<(), LocalFailure> {
        if let Some(sealer) = &self.sealer {
            sealer.signed(resource, Scope::Passing, payload).await?;
        }
        Ok(())
    }
}

/// The payload of `packages/NAME`. A dependency in this repository has no `repository`; one in another repository has
/// its name, or its key if it is no longer configured.
fn payload(key: &RepoName, name: &RepoName, package: &Package, directory: &Directory) -> Vec<u8> {
    let mut releases: Vec<_> = package.releases.iter().collect();
    releases.sort_by_cached_key(|release| version::order(&release.listed.version));
    let foreign: HashMap<&str, String> = releases
        .iter()
        .flat_map(|release| &release.requirements)
        .filter(|requirement| requirement.repository != key.as_str())
        .map(|requirement| {
            let other = requirement.repository.as_str();
            (other, directory.name_of(other).map_or_else(|| other.to_owned(), |name| name.to_string()))
        })
        .collect();
    let entries: Vec<ReleaseEntry<'_>> = releases
        .iter()
        .map(|release| ReleaseEntry {
            version: &release.listed.version,
            inner: &release.listed.inner,
            outer: &release.listed.outer,
            dependencies: release
                .requirements
                .iter()
                .map(|requirement| DependencyEntry {
                    package: &requirement.package,
                    requirement: &requirement.requirement,
                    optional: requirement.optional,
                    app: &requirement.app,
                    repository: foreign.get(requirement.repository.as_str()).map(String::as_str),
                })
                .collect(),
            retired: release
                .listed
                .retirement
                .as_ref()
                .map(|retirement| (retirement.reason, retirement.message.as_deref())),
            published_at: release.listed.published_at,
        })
        .collect();
    build::package(name.as_str(), &package.name, &entries)
}
