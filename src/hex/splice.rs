//! Edits registry payloads in the wire format.
//!
//! A payload is never decoded and encoded again, because that would lose unknown fields. All records that need no
//! change stay in their place, byte for byte. If nothing changes, the payload is returned borrowed.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::name::RepoName;
use super::resource::RegistryResource;
use super::wire::{Field, Fields, Rewrite, WireError, once, push_bytes, push_varint};

/// Packages of `Names` and `Versions`, releases of `Package`.
const ITEMS: u32 = 1;
/// The name of a package in `Names` and `Versions`.
const NAME: u32 = 1;
/// Fields of `Versions.Package`.
const VERSIONS: u32 = 2;
const RETIRED: u32 = 3;
const WITH_ADVISORIES: u32 = 5;
/// The version of a `Release`.
const VERSION: u32 = 1;
/// The advisories of a `Package`.
const ADVISORIES: u32 = 4;

/// Keeps the packages of a `names` or `versions` payload for whose name `keep` returns `true`.
pub fn retain_packages<'a>(payload: &'a [u8], keep: &dyn Fn(&str) -> bool) -> Result<Cow<'a, [u8]>, WireError> {
    edit_items(payload, |package| Ok(if keep(only_text(package, NAME)?) { Edit::Keep } else { Edit::Drop }))
}

/// Removes the releases of a `packages/NAME` payload for whose version `drop` returns `true`.
///
/// All advisories stay, so that the positions in other releases remain valid.
pub fn drop_releases_from_package<'a>(
    payload: &'a [u8],
    drop: &dyn Fn(&str) -> bool,
) -> Result<Cow<'a, [u8]>, WireError> {
    edit_items(payload, |release| Ok(if drop(only_text(release, VERSION)?) { Edit::Drop } else { Edit::Keep }))
}

/// Removes the releases of a `versions` payload for whose package and version `drop` returns `true`.
///
/// The lists of retired releases and of releases with advisories contain positions in the list of versions, so they are
/// rewritten for each package that loses a version. A package without versions is removed.
pub fn drop_releases_from_versions<'a>(
    payload: &'a [u8],
    drop: &dyn Fn(&str, &str) -> bool,
) -> Result<Cow<'a, [u8]>, WireError> {
    edit_items(payload, |package| drop_versions(package, drop))
}

/// The versions of one package of a `versions` payload.
pub fn versions_of(package: &[u8]) -> Result<BTreeSet<&str>, WireError> {
    let mut versions = BTreeSet::new();
    for field in Fields::new(package) {
        let field = field?;
        if field.number == VERSIONS {
            versions.insert(field.text()?);
        }
    }
    Ok(versions)
}

/// One package of a `versions` payload without the versions for which `drop` returns `true`; `None` if no version is
/// left.
pub fn drop_versions_of<'a>(
    package: &'a [u8],
    drop: &dyn Fn(&str) -> bool,
) -> Result<Option<Cow<'a, [u8]>>, WireError> {
    Ok(match drop_versions(package, &|_, version| drop(version))? {
        Edit::Keep => Some(Cow::Borrowed(package)),
        Edit::Drop => None,
        Edit::Write(less) => Some(Cow::Owned(less)),
    })
}

/// The advisories and the versions in a payload of `packages/NAME`.
#[derive(Debug, Default)]
pub struct AdvisoryReferences<'a> {
    /// All identifiers and aliases.
    pub names: Vec<&'a str>,
    /// The number of advisories.
    pub count: u64,
    /// The version of each release.
    pub versions: Vec<&'a str>,
}

/// Reads the list of advisories.
pub fn advisories_of(payload: &[u8]) -> Result<AdvisoryReferences<'_>, WireError> {
    const ALIASES: u32 = 7;
    let mut carried = AdvisoryReferences::default();
    for field in Fields::new(payload) {
        let field = field?;
        match field.number {
            ITEMS => carried.versions.push(only_text(field.bytes()?, VERSION)?),
            ADVISORIES => {
                carried.count += 1;
                for field in Fields::new(field.bytes()?) {
                    let field = field?;
                    if matches!(field.number, NAME | ALIASES) {
                        carried.names.push(field.text()?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(carried)
}

/// Appends advisories to the list in a payload of `packages/NAME`, and adds the positions in `places` to the releases
/// of these versions. Existing records keep their place.
pub fn add_advisories<'a>(
    payload: &'a [u8],
    places: &HashMap<&str, Vec<u64>>,
    advisories: &[&[u8]],
) -> Result<Cow<'a, [u8]>, WireError> {
    const ADVISORY_INDEXES: u32 = 6;
    let mut rewrite = Rewrite::new(payload);
    for field in Fields::new(payload) {
        let field = field?;
        let added = match field.number {
            ITEMS => places.get(only_text(field.bytes()?, VERSION)?),
            _ => None,
        };
        match added {
            None => rewrite.keep(&field),
            Some(added) => {
                let mut release = field.bytes()?.to_vec();
                for place in added {
                    push_varint(&mut release, u64::from(ADVISORY_INDEXES) << 3);
                    push_varint(&mut release, *place);
                }
                push_bytes(rewrite.replace(), ITEMS, &release);
            }
        }
    }
    for advisory in advisories {
        push_bytes(rewrite.replace(), ADVISORIES, advisory);
    }
    Ok(rewrite.finish())
}

/// Marks the versions of a `versions` payload for whose package and version `has` returns `true` as having advisories.
pub fn add_advised<'a>(payload: &'a [u8], has: &dyn Fn(&str, &str) -> bool) -> Result<Cow<'a, [u8]>, WireError> {
    edit_items(payload, |package| {
        let name = only_text(package, NAME)?;
        let (mut known, mut advised, mut place) = (BTreeSet::new(), BTreeSet::new(), 0);
        for field in Fields::new(package) {
            let field = field?;
            match field.number {
                VERSIONS => {
                    if has(name, field.text()?) {
                        advised.insert(place);
                    }
                    place += 1;
                }
                WITH_ADVISORIES => {
                    for place in field.varints()? {
                        known.insert(place?);
                    }
                }
                _ => {}
            }
        }
        if advised.is_subset(&known) {
            return Ok(Edit::Keep);
        }
        let mut out = Vec::with_capacity(package.len() + 8);
        for field in Fields::new(package) {
            let field = field?;
            if field.number != WITH_ADVISORIES {
                out.extend_from_slice(field.record);
            }
        }
        let mut packed = Vec::new();
        known.union(&advised).for_each(|place| push_varint(&mut packed, *place));
        push_bytes(&mut out, WITH_ADVISORIES, &packed);
        Ok(Edit::Write(out))
    })
}

/// Replaces the repository in the payload of `resource` with `name`. Nothing else changes.
pub fn set_repository<'a>(
    resource: &RegistryResource,
    payload: &'a [u8],
    name: &RepoName,
) -> Result<Cow<'a, [u8]>, WireError> {
    let number = match resource {
        RegistryResource::Names | RegistryResource::Versions => 2,
        RegistryResource::Package(_) => 3,
        RegistryResource::Policy(_) => 1,
    };
    let mut seen = None;
    let mut rewrite = Rewrite::new(payload);
    for field in Fields::new(payload) {
        let field = field?;
        if field.number == number {
            once(&mut seen, (), number)?;
            if field.bytes()? != name.as_str().as_bytes() {
                push_bytes(rewrite.replace(), number, name.as_str().as_bytes());
                continue;
            }
        }
        rewrite.keep(&field);
    }
    seen.ok_or(WireError::Missing { field: number })?;
    Ok(rewrite.finish())
}

/// The change of one item of a list.
enum Edit {
    Keep,
    Drop,
    Write(Vec<u8>),
}

fn edit_items(
    payload: &[u8],
    mut edit: impl FnMut(&[u8]) -> Result<Edit, WireError>,
) -> Result<Cow<'_, [u8]>, WireError> {
    let mut rewrite = Rewrite::new(payload);
    for field in Fields::new(payload) {
        let field = field?;
        let edit = if field.number == ITEMS { edit(field.bytes()?)? } else { Edit::Keep };
        match edit {
            Edit::Keep => rewrite.keep(&field),
            Edit::Drop => {
                rewrite.replace();
            }
            Edit::Write(item) => push_bytes(rewrite.replace(), ITEMS, &item),
        }
    }
    Ok(rewrite.finish())
}

/// The text of field `number`, which must occur exactly once: different readers could use different values of a
/// duplicate.
fn only_text(item: &[u8], number: u32) -> Result<&str, WireError> {
    let mut text = None;
    for field in Fields::new(item) {
        let field = field?;
        if field.number == number {
            once(&mut text, field.text()?, number)?;
        }
    }
    text.ok_or(WireError::Missing { field: number })
}

fn drop_versions(package: &[u8], drop: &dyn Fn(&str, &str) -> bool) -> Result<Edit, WireError> {
    // The name may follow the versions, so it is read first.
    let name = only_text(package, NAME)?;
    // For each version, its position in the new list; `None` if it is removed.
    let mut places: Vec<Option<u64>> = Vec::new();
    let mut kept = 0;
    for field in Fields::new(package) {
        let field = field?;
        if field.number == VERSIONS {
            if drop(name, field.text()?) {
                places.push(None);
            } else {
                places.push(Some(kept));
                kept += 1;
            }
        }
    }
    if places.iter().all(Option::is_some) {
        return Ok(Edit::Keep);
    }
    if kept == 0 {
        return Ok(Edit::Drop);
    }

    let mut out = Vec::with_capacity(package.len());
    let mut versions = places.iter();
    let (mut retired, mut advised) = (false, false);
    for field in Fields::new(package) {
        let field = field?;
        let written = match field.number {
            VERSIONS => {
                if versions.next().is_some_and(Option::is_some) {
                    out.extend_from_slice(field.record);
                }
                continue;
            }
            RETIRED => &mut retired,
            WITH_ADVISORIES => &mut advised,
            _ => {
                out.extend_from_slice(field.record);
                continue;
            }
        };
        // The first record of the list is replaced with the whole new list.
        if !std::mem::replace(written, true) {
            push_places(&mut out, package, field.number, &places)?;
        }
    }
    Ok(Edit::Write(out))
}

/// Appends the list `number` of `package` with the new positions of its versions; nothing if the list is empty.
fn push_places(out: &mut Vec<u8>, package: &[u8], number: u32, places: &[Option<u64>]) -> Result<(), WireError> {
    let mut packed = Vec::new();
    for field in Fields::new(package) {
        let field: Field<'_> = field?;
        if field.number == number {
            for place in field.varints()? {
                let old = usize::try_from(place?).ok().and_then(|place| places.get(place));
                // A position without a version is left out.
                if let Some(Some(new)) = old {
                    push_varint(&mut packed, *new);
                }
            }
        }
    }
    if !packed.is_empty() {
        push_bytes(out, number, &packed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
