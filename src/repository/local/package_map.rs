//! The packages of an index, sorted by name and shared between its generations.
//!
//! They are stored in chunks of some hundred. A change rebuilds one chunk, with its part of `names` and `versions`, and
//! shares all others with the generation before: it costs the same in a repository of ten packages and of a million.

use std::sync::Arc;

use super::index::Entry;
use crate::hex::build;

/// Maximum number of packages in a chunk; a larger one is split.
const SHELF: usize = 256;

/// The packages of one generation. Cloning is cheap, because the chunks are shared.
#[derive(Clone, Debug, Default)]
pub(super) struct PackageMap(Vec<Arc<PackageChunk>>);

/// Packages that are neighbours in the index; at least one.
#[derive(Debug)]
struct PackageChunk {
    packages: Vec<Arc<Entry>>,
    names: Vec<u8>,
    versions: Vec<u8>,
}

impl PackageChunk {
    fn of(packages: Vec<Arc<Entry>>) -> Arc<Self> {
        let listed = || packages.iter().filter(|package| package.is_listed());
        let names = build::index_entries(listed().map(|package| package.names()));
        let versions = build::index_entries(listed().map(|package| package.versions()));
        Arc::new(Self { packages, names, versions })
    }

    fn last(&self) -> &str {
        self.packages.last().map_or("", |package| package.name())
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.packages.binary_search_by(|package| package.name().cmp(name))
    }
}

impl PackageMap {
    /// Packages in any order, each name once.
    pub(super) fn of(mut packages: Vec<Arc<Entry>>) -> Self {
        packages.sort_by(|one, other| one.name().cmp(other.name()));
        // Half full, to leave room for new packages.
        Self(packages.chunks(SHELF / 2).map(|packages| PackageChunk::of(packages.to_vec())).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        let shelf = self.0.get(self.shelf(name))?;
        shelf.packages.get(shelf.place(name).ok()?)
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter().flat_map(|shelf| &shelf.packages)
    }

    /// The entries of all listed packages for the payload of `names`.
    pub(super) fn names(&self) -> Vec<u8> {
        self.0.iter().map(|shelf| &shelf.names[..]).collect::<Vec<_>>().concat()
    }

    /// The entries of all listed packages for the payload of `versions`.
    pub(super) fn versions(&self) -> Vec<u8> {
        self.0.iter().map(|shelf| &shelf.versions[..]).collect::<Vec<_>>().concat()
    }

    /// A copy with this package, which replaces one of the same name.
    pub(super) fn with(&self, package: Arc<Entry>) -> Self {
        // A name behind all others belongs to the last chunk.
        let at = self.shelf(package.name()).min(self.0.len().saturating_sub(1));
        let Some(shelf) = self.0.get(at) else { return Self(vec![PackageChunk::of(vec![package])]) };
        let mut packages = shelf.packages.clone();
        match shelf.place(package.name()) {
            Ok(there) => packages.splice(there..=there, [package]).for_each(drop),
            Err(between) => packages.insert(between, package),
        }
        self.with_shelf(at, packages)
    }

    /// A copy without the package of this name.
    pub(super) fn without(&self, name: &str) -> Self {
        let at = self.shelf(name);
        let Some(shelf) = self.0.get(at) else { return self.clone() };
        let packages = shelf.packages.iter().filter(|package| package.name() != name).map(Arc::clone).collect();
        self.with_shelf(at, packages)
    }

    /// The first chunk that does not end before `name`: the only one that can have it.
    fn shelf(&self, name: &str) -> usize {
        self.0.partition_point(|shelf| shelf.last() < name)
    }

    fn with_shelf(&self, at: usize, mut packages: Vec<Arc<Entry>>) -> Self {
        let mut shelves = self.0.clone();
        let upper = if packages.len() > SHELF { packages.split_off(packages.len() / 2) } else { Vec::new() };
        let made = [packages, upper].into_iter().filter(|packages| !packages.is_empty()).map(PackageChunk::of);
        shelves.splice(at..=at, made);
        Self(shelves)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;

    fn package(name: &str, at: u64) -> Arc<Entry> {
        let at = Timestamp::from_secs(at);
        let package = crate::state::packages::ListedPackage {
            name: name.to_owned(),
            inserted_at: at,
            updated_at: at,
            releases: Vec::new(),
        };
        Arc::new(Entry::of(package, !name.starts_with("hidden")))
    }

    fn check(shelves: &PackageMap, model: &BTreeMap<String, Arc<Entry>>) {
        assert!(shelves.iter().map(|package| package.name()).eq(model.keys().map(String::as_str)));
        assert!(shelves.0.iter().all(|shelf| (1..=SHELF).contains(&shelf.packages.len())));
        let listed = || model.values().filter(|package| package.is_listed());
        assert_eq!(shelves.names(), build::index_entries(listed().map(|package| package.names())));
        assert_eq!(shelves.versions(), build::index_entries(listed().map(|package| package.versions())));
    }

    proptest! {
        #[test]
        fn shelves_are_a_map(
            start in 0..1000_usize,
            changes in proptest::collection::vec((0..1200_usize, any::<bool>()), 0..400),
        ) {
            let name = |number: usize| format!("{}_{number:04}", if number.is_multiple_of(7) { "hidden" } else { "shown" });
            let mut model: BTreeMap<_, _> = (0..start).map(|number| (name(number), package(&name(number), 1))).collect();
            let mut shelves = PackageMap::of(model.values().rev().map(Arc::clone).collect());
            check(&shelves, &model);
            for (at, (number, stays)) in changes.into_iter().enumerate() {
                let name = name(number);
                let before = shelves.clone();
                if stays {
                    let package = package(&name, at as u64 + 2);
                    shelves = shelves.with(Arc::clone(&package));
                    model.insert(name.clone(), package);
                } else {
                    shelves = shelves.without(&name);
                    model.remove(&name);
                }
                let found = (shelves.get(&name).map(Arc::as_ptr), model.get(&name).map(Arc::as_ptr));
                prop_assert_eq!(found.0, found.1);
                let made = shelves.0.iter().filter(|shelf| !before.0.iter().any(|old| Arc::ptr_eq(old, shelf)));
                prop_assert!(made.count() <= 2, "all others are shared");
            }
            check(&shelves, &model);
        }
    }

    #[test]
    fn many_names_in_order_fill_shelves() {
        let mut shelves = PackageMap::default();
        let mut model = BTreeMap::new();
        for number in 0..2000 {
            let name = format!("p{number:05}");
            shelves = shelves.with(package(&name, 1));
            model.insert(name.clone(), package(&name, 1));
        }
        check(&shelves, &model);
        assert!(shelves.0.len() <= 2000 / (SHELF / 2) + 1);
        for name in model.keys() {
            shelves = shelves.without(name);
        }
        check(&shelves, &BTreeMap::new());
        assert!(shelves.get("p00001").is_none() && shelves.without("p00001").0.is_empty());
    }
}
