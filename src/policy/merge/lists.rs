//! Merges `names` and `versions` for a virtual repository.
//!
//! If only one part provides a package, its entry is copied. Merging 20,000 packages is one pass over the payloads of
//! the members, and takes less time than signing the result.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::push_unknown;
use crate::hex::build;
use crate::hex::name::RepoName;
use crate::hex::version;
use crate::hex::wire::{Field, Fields, WireError, once, push_bytes, push_varint};

/// Fields of `Names` and `Versions`.
const PACKAGES: u32 = 1;
const REPOSITORY: u32 = 2;
/// Fields of their entries.
const NAME: u32 = 1;
const UPDATED_AT: u32 = 3;
const VERSIONS: u32 = 2;
const RETIRED: u32 = 3;
const WITH_ADVISORIES: u32 = 5;

/// The entries of a `names` or `versions` payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk<'a> {
    /// The entry of each package, by its name. If two entries have the same name, the last one counts, as in clients,
    /// which read them into a map.
    pub entries: BTreeMap<&'a str, &'a [u8]>,
    /// The records of unknown fields, in their order.
    unknown: Vec<&'a [u8]>,
}

impl<'a> Bulk<'a> {
    /// Splits `payload` into its entries. Of each entry only the name is read.
    pub fn split(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut unknown = Vec::new();
        let mut entries = Vec::new();
        for field in Fields::new(payload) {
            let field = field?;
            match field.number {
                PACKAGES => {
                    let entry = field.bytes()?;
                    entries.push((name(entry)?, entry));
                }
                REPOSITORY => {}
                _ => unknown.push(field.record),
            }
        }
        Ok(Self { entries: entries.into_iter().collect(), unknown })
    }
}

/// The name in an entry of `names` or `versions`.
fn name(entry: &[u8]) -> Result<&str, WireError> {
    let mut name = None;
    for field in Fields::new(entry) {
        let field = field?;
        if field.number == NAME {
            once(&mut name, field.text()?, NAME)?;
        }
    }
    name.ok_or(WireError::Missing { field: NAME })
}

/// Decides which parts provide a package.
pub trait SelectProviders {
    /// Reduces `parts` to the parts whose entries are merged. It contains the positions of the parts that list
    /// `package`, in order of priority. If it is left empty, the package is not in the virtual repository.
    fn choose(&self, package: &str, parts: &mut Vec<usize>);
}

/// Merges `names` payloads of members, in order of priority.
///
/// # Errors
///
/// A payload is malformed, or a package has no name. `trust::verify` accepts neither.
pub fn names(view: &RepoName, parts: &[&[u8]], shares: &dyn SelectProviders) -> Result<Vec<u8>, WireError> {
    merged(view, parts, shares, names_entry)
}

/// Merges `versions` payloads of members, in order of priority.
///
/// # Errors
///
/// As [`names`].
pub fn versions(view: &RepoName, parts: &[&[u8]], shares: &dyn SelectProviders) -> Result<Vec<u8>, WireError> {
    merged(view, parts, shares, versions_entry)
}

/// A function that merges the entries of one package.
type MergeEntry = for<'a> fn(&[&'a [u8]]) -> Result<Cow<'a, [u8]>, WireError>;

fn merged(
    view: &RepoName,
    parts: &[&[u8]],
    shares: &dyn SelectProviders,
    entry: MergeEntry,
) -> Result<Vec<u8>, WireError> {
    let bulks = parts.iter().map(|part| Bulk::split(part)).collect::<Result<Vec<_>, _>>()?;
    let mut rests: Vec<_> = bulks.iter().map(|bulk| bulk.entries.iter().peekable()).collect();
    let mut payload = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    let (mut listed, mut entries) = (Vec::new(), Vec::new());
    while let Some(name) = rests.iter_mut().filter_map(|rest| rest.peek().map(|(name, _)| **name)).min() {
        listed.clear();
        let of_part = rests.iter_mut().map(|rest| rest.next_if(|(next, _)| **next == name).map(|(_, entry)| *entry));
        let of_part: Vec<Option<&[u8]>> = of_part.collect();
        listed.extend(of_part.iter().enumerate().filter_map(|(part, entry)| entry.is_some().then_some(part)));
        shares.choose(name, &mut listed);
        entries.clear();
        entries.extend(listed.iter().filter_map(|part| of_part.get(*part).copied().flatten()));
        if !entries.is_empty() {
            push_bytes(&mut payload, PACKAGES, &entry(&entries)?);
        }
    }
    push_bytes(&mut payload, REPOSITORY, view.as_str().as_bytes());
    let unknown: Vec<_> = bulks.into_iter().map(|bulk| bulk.unknown).collect();
    push_unknown(&mut payload, &unknown);
    Ok(payload)
}

/// The records of unknown fields of `Names` or `Versions` in all parts, as an argument for [`index`].
pub fn unknown_records(parts: &[Bulk<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let records: Vec<_> = parts.iter().map(|part| part.unknown.clone()).collect();
    push_unknown(&mut out, &records);
    out
}

/// Builds a `names` or `versions` payload from merged entries. `entries` are sorted by the bytes of their names;
/// `unknown` is from [`unknown_records`].
pub fn index<'a>(view: &RepoName, entries: impl IntoIterator<Item = &'a [u8]>, unknown: &[u8]) -> Vec<u8> {
    let mut payload = build::index(view.as_str(), entries);
    payload.extend_from_slice(unknown);
    payload
}

/// Merges the entries of one package in `names`, in order of priority. The result has the latest date of change.
///
/// # Errors
///
/// An entry is malformed or has no name, or `parts` is empty.
pub fn names_entry<'a>(parts: &[&'a [u8]]) -> Result<Cow<'a, [u8]>, WireError> {
    if let [only] = parts {
        return Ok(Cow::Borrowed(only));
    }
    let mut title = None;
    let mut latest: Option<((i64, i64), &[u8])> = None;
    let mut unknown = Vec::with_capacity(parts.len());
    for part in parts {
        let mut others = Vec::new();
        for field in Fields::new(part) {
            let field = field?;
            match field.number {
                NAME => {
                    title.get_or_insert(field.bytes()?);
                }
                UPDATED_AT => {
                    let at = time(field.bytes()?)?;
                    if latest.is_none_or(|(before, _)| at > before) {
                        latest = Some((at, field.record));
                    }
                }
                _ => others.push(field.record),
            }
        }
        unknown.push(others);
    }
    let mut out = Vec::new();
    push_bytes(&mut out, NAME, title.ok_or(WireError::Missing { field: NAME })?);
    if let Some((_, record)) = latest {
        out.extend_from_slice(record);
    }
    push_unknown(&mut out, &unknown);
    Ok(Cow::Owned(out))
}

/// Seconds and nanoseconds of a `Timestamp`.
fn time(timestamp: &[u8]) -> Result<(i64, i64), WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::new(timestamp) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()?.cast_signed(),
            2 => nanos = field.varint()?.cast_signed(),
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// Merges the entries of one package in `versions`, in order of priority. The result has the versions of all entries in
/// ascending order. The flags of a version (retired, has advisories) are those of the first entry that has it.
///
/// # Errors
///
/// An entry is malformed or has no name, or `parts` is empty.
pub fn versions_entry<'a>(parts: &[&'a [u8]]) -> Result<Cow<'a, [u8]>, WireError> {
    if let [only] = parts {
        return Ok(Cow::Borrowed(only));
    }
    let mut title = None;
    let mut versions: BTreeMap<&str, Flags> = BTreeMap::new();
    let mut unknown = Vec::with_capacity(parts.len());
    for part in parts {
        let mut listed: Vec<&str> = Vec::new();
        let (mut retired, mut advised) = (BTreeSet::new(), BTreeSet::new());
        let mut others = Vec::new();
        for field in Fields::new(part) {
            let field = field?;
            match field.number {
                NAME => {
                    title.get_or_insert(field.bytes()?);
                }
                VERSIONS => listed.push(field.text()?),
                RETIRED => add_places(&mut retired, &field)?,
                WITH_ADVISORIES => add_places(&mut advised, &field)?,
                _ => others.push(field.record),
            }
        }
        let flags = |at: usize| Flags { retired: retired.contains(&at), advised: advised.contains(&at) };
        let of_part: HashMap<&str, Flags> = listed.iter().enumerate().map(|(at, text)| (*text, flags(at))).collect();
        for (text, flags) in of_part {
            versions.entry(text).or_insert(flags);
        }
        unknown.push(others);
    }
    let mut ascending: Vec<_> = versions.into_iter().collect();
    ascending.sort_by_cached_key(|(text, _)| version::order(text));

    let mut out = Vec::new();
    push_bytes(&mut out, NAME, title.ok_or(WireError::Missing { field: NAME })?);
    for (text, _) in &ascending {
        push_bytes(&mut out, VERSIONS, text.as_bytes());
    }
    push_places(&mut out, RETIRED, ascending.iter().map(|(_, flags)| flags.retired));
    push_places(&mut out, WITH_ADVISORIES, ascending.iter().map(|(_, flags)| flags.advised));
    push_unknown(&mut out, &unknown);
    Ok(Cow::Owned(out))
}

#[derive(Clone, Copy, Debug)]
struct Flags {
    retired: bool,
    advised: bool,
}

fn add_places(places: &mut BTreeSet<usize>, field: &Field<'_>) -> Result<(), WireError> {
    for place in field.varints()? {
        places.extend(usize::try_from(place?).ok());
    }
    Ok(())
}

/// Appends the packed list of the positions where `flags` is true; appends nothing if there is none.
fn push_places(out: &mut Vec<u8>, number: u32, flags: impl Iterator<Item = bool>) {
    let mut packed = Vec::new();
    for (place, _) in flags.enumerate().filter(|(_, flag)| *flag) {
        push_varint(&mut packed, place as u64);
    }
    if !packed.is_empty() {
        push_bytes(out, number, &packed);
    }
}
