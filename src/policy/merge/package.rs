//! Merges `packages/NAME` for a virtual repository.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map};

use super::private_versions::PrivateVersions;
use super::push_unknown;
use crate::hex::name::RepoName;
use crate::hex::splice;
use crate::hex::version;
use crate::hex::wire::{Field, Fields, Rewrite, Value, WireError, once, push_bytes, push_varint};

/// Fields of `Package`.
const RELEASES: u32 = 1;
const NAME: u32 = 2;
const REPOSITORY: u32 = 3;
const ADVISORIES: u32 = 4;

/// The releases of a package that one member provides.
#[derive(Clone, Copy, Debug)]
pub struct MemberPart<'a> {
    /// A verified `packages/NAME` payload with the releases that the virtual repository may show; empty if it may show
    /// none.
    pub payload: &'a [u8],
    /// Further versions of the member, which must not be shown. They still belong to the member: a later part cannot
    /// provide them, so the virtual repository has no release of such a version unless an earlier part provides it.
    pub hidden: &'a BTreeSet<Box<str>>,
    /// Whether the package is private in this member. Then a later public part cannot provide a version that only
    /// differs in its build metadata either: for a resolver the two are equal.
    pub is_private: bool,
}

/// How the merged index writes the repository of a dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// As the member wrote it.
    Keep,
    /// Left out: the dependency is in the same repository as the package that depends on it.
    Omit,
    /// The name under which clients of the virtual repository know the repository.
    Name(RepoName),
}

/// Decides to which repository the dependencies of releases belong.
pub trait Origins {
    /// How to write the repository of a dependency on `package`, for a release from `parts[part]`. `repository` is the
    /// repository that the member states; `None`: the same as that of the package that depends on it.
    fn rendered(&self, part: usize, package: &str, repository: Option<&str>) -> Rendered;
}

/// A merged package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPackage {
    /// The `packages/NAME` payload.
    pub payload: Vec<u8>,
    /// For each version, the position of the part that it belongs to: the first that has it.
    pub owners: BTreeMap<Box<str>, usize>,
    /// The versions that are not in the payload because the part that they belong to hides them.
    pub hidden: BTreeSet<Box<str>>,
    /// Releases that were left out because an earlier part has the same version with another checksum, in ascending
    /// order of the version text.
    pub conflicts: Vec<Conflict>,
}

/// A payload, and the versions that were left out of it.
pub type FilteredPayload<'a> = (Cow<'a, [u8]>, BTreeSet<Box<str>>);

impl MergedPackage {
    /// The payload without the releases that `is_held` selects by part and version, and the versions that were removed.
    /// A held release is not replaced with the release of the same version from another part.
    pub fn without(&self, is_held: &dyn Fn(usize, &str) -> bool) -> Result<FilteredPayload<'_>, WireError> {
        let held = self.owners.iter().filter(|(version, part)| is_held(**part, version));
        let held: BTreeSet<Box<str>> = held.map(|(version, _)| version.clone()).collect();
        let left = splice::drop_releases_from_package(&self.payload, &|version| held.contains(version))?;
        Ok((left, held))
    }
}

/// A version that two parts provide with different contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The version.
    pub version: Box<str>,
    /// The position of the part whose release is shown.
    pub winner: usize,
    /// The position of the part whose release is left out.
    pub loser: usize,
}

/// Merges the releases of one package from several members, in order of priority.
///
/// With one part, only the name of the repository and the repositories of dependencies (see `origins`) are replaced.
/// With several parts, the releases are sorted in ascending order, the lists of advisories are joined, identical
/// advisories are merged into one, and the advisory positions of each release are updated.
///
/// # Errors
///
/// A payload is malformed, has no name or no repository, or has two releases of the same version. `trust::verify`
/// accepts none of these. Also if `parts` is empty.
pub fn package(view: &RepoName, parts: &[MemberPart<'_>], origins: &dyn Origins) -> Result<MergedPackage, WireError> {
    match parts {
        [only] => single(view, only, origins),
        several => merge_several(view, several, origins),
    }
}

fn single(view: &RepoName, part: &MemberPart<'_>, origins: &dyn Origins) -> Result<MergedPackage, WireError> {
    let payload = part.payload;
    let mut owners = BTreeMap::new();
    let mut repository = None;
    let mut rewrite = Rewrite::new(payload);
    for field in Fields::new(payload) {
        let field = field?;
        match field.number {
            RELEASES => {
                let release = Release::read(0, field.bytes()?)?;
                if owners.insert(release.version.into(), 0).is_some() {
                    return Err(WireError::Duplicate { field: RELEASES });
                }
                match release.rewritten(origins, None)? {
                    Cow::Borrowed(_) => rewrite.keep(&field),
                    Cow::Owned(release) => push_bytes(rewrite.replace(), RELEASES, &release),
                }
            }
            REPOSITORY => {
                once(&mut repository, (), REPOSITORY)?;
                if field.bytes()? == view.as_str().as_bytes() {
                    rewrite.keep(&field);
                } else {
                    push_bytes(rewrite.replace(), REPOSITORY, view.as_str().as_bytes());
                }
            }
            _ => rewrite.keep(&field),
        }
    }
    repository.ok_or(WireError::Missing { field: REPOSITORY })?;
    let hidden: BTreeSet<Box<str>> =
        part.hidden.iter().filter(|version| !owners.contains_key(*version)).cloned().collect();
    owners.extend(hidden.iter().map(|version| (version.clone(), 0)));
    Ok(MergedPackage { payload: rewrite.finish().into_owned(), owners, hidden, conflicts: Vec::new() })
}

fn merge_several(view: &RepoName, parts: &[MemberPart<'_>], origins: &dyn Origins) -> Result<MergedPackage, WireError> {
    let mut name = None;
    let mut releases: BTreeMap<&str, Release<'_>> = BTreeMap::new();
    let mut hidden: BTreeMap<&str, usize> = BTreeMap::new();
    let mut conflicts = Vec::new();
    let mut advisories = Advisories::default();
    let mut unknown = Vec::with_capacity(parts.len());
    let mut private = PrivateVersions::default();
    for (part, MemberPart { payload, hidden: its_hidden, is_private }) in parts.iter().enumerate() {
        let mut others = Vec::new();
        let mut versions = HashSet::new();
        advisories.begin_part();
        for field in Fields::new(payload) {
            let field = field?;
            match field.number {
                RELEASES => {
                    let release = Release::read(part, field.bytes()?)?;
                    if !versions.insert(release.version) {
                        return Err(WireError::Duplicate { field: RELEASES });
                    }
                    let owner = if *is_private { None } else { private.owner(release.version) };
                    match owner.filter(|_| !releases.contains_key(release.version)) {
                        Some(owner) => {
                            hidden.entry(release.version).or_insert(owner);
                        }
                        None if hidden.contains_key(release.version) => {}
                        None => conflicts.extend(add_release(&mut releases, release)),
                    }
                }
                NAME => {
                    name.get_or_insert(field.bytes()?);
                }
                REPOSITORY => {}
                ADVISORIES => advisories.add(field.bytes()?),
                _ => others.push(field.record),
            }
        }
        unknown.push(others);
        for version in its_hidden.iter().filter(|version| !releases.contains_key(&***version)) {
            hidden.entry(version).or_insert(part);
        }
        if *is_private {
            private.add(part, versions.into_iter().chain(its_hidden.iter().map(AsRef::as_ref)));
        }
    }
    conflicts.sort_by(|left, right| (&left.version, left.loser).cmp(&(&right.version, right.loser)));

    let shown = releases.values().map(|release| (release.version, release.part));
    let owners = shown.chain(hidden.iter().map(|(version, part)| (*version, *part)));
    let owners = owners.map(|(version, part)| (version.into(), part)).collect();
    let mut ascending: Vec<_> = releases.into_values().collect();
    ascending.sort_by_cached_key(|release| version::order(release.version));
    let mut payload = Vec::with_capacity(parts.iter().map(|part| part.payload.len()).sum());
    for release in ascending {
        let places = advisories.places.get(release.part).map(Vec::as_slice);
        push_bytes(&mut payload, RELEASES, &release.rewritten(origins, places)?);
    }
    push_bytes(&mut payload, NAME, name.ok_or(WireError::Missing { field: NAME })?);
    push_bytes(&mut payload, REPOSITORY, view.as_str().as_bytes());
    for advisory in &advisories.table {
        push_bytes(&mut payload, ADVISORIES, advisory);
    }
    push_unknown(&mut payload, &unknown);
    let hidden = hidden.into_keys().map(Into::into).collect();
    Ok(MergedPackage { payload, owners, hidden, conflicts })
}

/// Adds `release` unless its version is already present. Returns a conflict if the present release is a different one.
fn add_release<'a>(releases: &mut BTreeMap<&'a str, Release<'a>>, release: Release<'a>) -> Option<Conflict> {
    let (version, loser) = (release.version, release.part);
    match releases.entry(version) {
        btree_map::Entry::Vacant(place) => {
            place.insert(release);
            None
        }
        btree_map::Entry::Occupied(there) => {
            let winner = there.get();
            winner.differs(&release).then(|| Conflict { version: version.into(), winner: winner.part, loser })
        }
    }
}

/// The joined list of advisories, and the positions of each part's advisories in it.
#[derive(Default)]
struct Advisories<'a> {
    table: Vec<&'a [u8]>,
    known: HashMap<&'a [u8], u64>,
    /// For each part, the new position of each of its advisories.
    places: Vec<Vec<u64>>,
}

impl<'a> Advisories<'a> {
    fn begin_part(&mut self) {
        self.places.push(Vec::new());
    }

    fn add(&mut self, advisory: &'a [u8]) {
        let end = self.table.len() as u64;
        let first = *self.known.entry(advisory).or_insert(end);
        // The list of the first part is copied unchanged, duplicates included, so that its releases need no change.
        let place = if self.places.len() == 1 { end } else { first };
        if place == end {
            self.table.push(advisory);
        }
        if let Some(places) = self.places.last_mut() {
            places.push(place);
        }
    }
}

/// The fields of a release that the merge needs.
struct Release<'a> {
    part: usize,
    version: &'a str,
    inner: Option<&'a [u8]>,
    outer: Option<&'a [u8]>,
    message: &'a [u8],
}

impl<'a> Release<'a> {
    const VERSION: u32 = 1;
    const INNER: u32 = 2;
    const DEPENDENCIES: u32 = 3;
    const OUTER: u32 = 5;
    const ADVISORY_INDEXES: u32 = 6;

    fn read(part: usize, message: &'a [u8]) -> Result<Self, WireError> {
        let (mut version, mut inner, mut outer) = (None, None, None);
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                Self::VERSION => once(&mut version, field.text()?, field.number)?,
                Self::INNER => once(&mut inner, field.bytes()?, field.number)?,
                Self::OUTER => once(&mut outer, field.bytes()?, field.number)?,
                _ => {}
            }
        }
        let version = version.ok_or(WireError::Missing { field: Self::VERSION })?;
        Ok(Self { part, version, inner, outer: outer.filter(|outer| !outer.is_empty()), message })
    }

    /// Whether the two releases have different tarballs. Old registries have only the inner checksum.
    fn differs(&self, other: &Self) -> bool {
        match (self.outer, other.outer) {
            (Some(left), Some(right)) => left != right,
            _ => self.inner != other.inner,
        }
    }

    /// The message for the merged index. `places` has the new positions of the part's advisories; `None`: unchanged.
    fn rewritten(&self, origins: &dyn Origins, places: Option<&[u64]>) -> Result<Cow<'a, [u8]>, WireError> {
        let mut rewrite = Rewrite::new(self.message);
        for field in Fields::new(self.message) {
            let field = field?;
            match (field.number, places) {
                (Self::DEPENDENCIES, _) => match dependency(field.bytes()?, self.part, origins)? {
                    Cow::Borrowed(_) => rewrite.keep(&field),
                    Cow::Owned(dependency) => push_bytes(rewrite.replace(), Self::DEPENDENCIES, &dependency),
                },
                (Self::ADVISORY_INDEXES, Some(places)) => match moved(&field, places)? {
                    None => rewrite.keep(&field),
                    Some(indexes) => push_indexes(rewrite.replace(), &field, &indexes),
                },
                _ => rewrite.keep(&field),
            }
        }
        Ok(rewrite.finish())
    }
}

/// The new positions of a record of advisory indexes; `None` if they are unchanged.
fn moved(field: &Field<'_>, places: &[u64]) -> Result<Option<Vec<u64>>, WireError> {
    let mut changed = false;
    let mut indexes = Vec::new();
    for old in field.varints()? {
        let old = old?;
        // An index without an advisory is left out.
        let new = usize::try_from(old).ok().and_then(|old| places.get(old)).copied();
        changed |= new != Some(old);
        indexes.extend(new);
    }
    Ok(changed.then_some(indexes))
}

/// Appends `indexes` in the same form as `field`, packed or not.
fn push_indexes(out: &mut Vec<u8>, field: &Field<'_>, indexes: &[u64]) {
    match field.value {
        Value::Bytes(_) => {
            let mut packed = Vec::new();
            indexes.iter().for_each(|index| push_varint(&mut packed, *index));
            push_bytes(out, field.number, &packed);
        }
        Value::Varint(_) | Value::Fixed64(_) | Value::Fixed32(_) => {
            for index in indexes {
                push_varint(out, u64::from(field.number) << 3);
                push_varint(out, *index);
            }
        }
    }
}

/// A dependency with its repository rewritten as `origins` says.
fn dependency<'a>(message: &'a [u8], part: usize, origins: &dyn Origins) -> Result<Cow<'a, [u8]>, WireError> {
    const PACKAGE: u32 = 1;
    const REPOSITORY: u32 = 5;

    let (mut package, mut repository, mut records) = (None, None, 0);
    for field in Fields::new(message) {
        let field = field?;
        match field.number {
            PACKAGE => once(&mut package, field.text()?, PACKAGE)?,
            REPOSITORY => {
                repository = Some(field.text()?);
                records += 1;
            }
            _ => {}
        }
    }
    let package = package.ok_or(WireError::Missing { field: PACKAGE })?;
    let rendered = match origins.rendered(part, package, repository) {
        Rendered::Keep => return Ok(Cow::Borrowed(message)),
        Rendered::Omit => None,
        Rendered::Name(name) => Some(name),
    };
    let mut wanted = rendered.as_ref().map(RepoName::as_str);
    if wanted == repository && records <= 1 {
        return Ok(Cow::Borrowed(message));
    }
    let mut rewrite = Rewrite::new(message);
    for field in Fields::new(message) {
        let field = field?;
        if field.number != REPOSITORY {
            rewrite.keep(&field);
            continue;
        }
        let out = rewrite.replace();
        if let Some(name) = wanted.take() {
            push_bytes(out, REPOSITORY, name.as_bytes());
        }
    }
    if let Some(name) = wanted {
        push_bytes(rewrite.replace(), REPOSITORY, name.as_bytes());
    }
    Ok(rewrite.finish())
}
