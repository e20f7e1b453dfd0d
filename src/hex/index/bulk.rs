//! `names` and `versions`: they are checked completely, but only a summary is kept.
//!
//! hex.pm lists about 20,000 packages, which are not needed as strings in memory. Code that needs the entries iterates
//! over the payload.

use super::package::read_timestamp;
use super::{SchemaError, count, each_field, filled, set_text};
use crate::clock::Timestamp;
use crate::hex::limits;
use crate::hex::wire::{Field, Fields, once};

/// The summary of `names`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesIndex {
    /// The repository it belongs to.
    pub repository: Box<str>,
    /// How many packages it lists.
    pub packages: u32,
    /// The latest change of any package, if the resource contains dates.
    pub newest: Option<Timestamp>,
}

/// The summary of `versions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsIndex {
    /// The repository it belongs to.
    pub repository: Box<str>,
    /// How many packages it lists.
    pub packages: u32,
    /// The total number of releases.
    pub releases: u32,
}

const PACKAGES: u32 = 1;
const REPOSITORY: u32 = 2;
const NAME: u32 = 1;
const UPDATED_AT: u32 = 3;
const VERSIONS: u32 = 2;
const RETIRED: u32 = 3;
const WITH_ADVISORIES: u32 = 5;

/// Whether a payload of `names` or `versions` lists a package. A malformed payload lists none.
pub fn lists(payload: &[u8], package: &str) -> bool {
    let entries = Fields::new(payload).filter_map(Result::ok).filter(|field| field.number == PACKAGES);
    let mut names = entries.filter_map(|field| {
        let entry = Fields::new(field.bytes().ok()?).filter_map(Result::ok).find(|field| field.number == NAME)?;
        entry.text().ok()
    });
    names.any(|name| name == package)
}

/// The entry of one package in `names` or `versions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkEntry<'a> {
    /// The package.
    pub name: &'a str,
    /// Its encoded record, to detect changes.
    pub record: &'a [u8],
    /// When it last changed; only `names` can contain this.
    pub updated_at: Option<Timestamp>,
    /// The number of its releases; only `versions` contains this.
    pub releases: u32,
}

/// The packages of a verified payload of `names`, in its order.
pub fn names_entries(payload: &[u8]) -> impl Iterator<Item = BulkEntry<'_>> {
    bulk_entries(payload, |entry, field| {
        if field.number == UPDATED_AT {
            entry.updated_at = field.bytes().ok().and_then(|bytes| read_timestamp(bytes).ok());
        }
    })
}

/// The packages of a verified payload of `versions`, in its order.
pub fn versions_entries(payload: &[u8]) -> impl Iterator<Item = BulkEntry<'_>> {
    bulk_entries(payload, |entry, field| entry.releases += u32::from(field.number == VERSIONS))
}

fn bulk_entries<'a>(
    payload: &'a [u8],
    read: impl Fn(&mut BulkEntry<'a>, &Field<'a>),
) -> impl Iterator<Item = BulkEntry<'a>> {
    let packages = Fields::new(payload).filter_map(Result::ok).filter(|field| field.number == PACKAGES);
    packages.filter_map(move |package| {
        let mut entry = BulkEntry { name: "", record: package.bytes().ok()?, updated_at: None, releases: 0 };
        for field in Fields::new(entry.record).filter_map(Result::ok) {
            match field.number {
                NAME => entry.name = field.text().ok()?,
                _ => read(&mut entry, &field),
            }
        }
        Some(entry)
    })
}

impl NamesIndex {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SchemaError> {
        let mut newest = None;
        let (repository, packages) = walk("Names", payload, |package| {
            let message = "Names.Package";
            let (mut name, mut updated_at) = (None, None);
            each_field(message, package, |field| {
                match field.number {
                    NAME => set_text(&mut name, field)?,
                    UPDATED_AT => once(&mut updated_at, read_timestamp(field.bytes()?)?, UPDATED_AT)?,
                    _ => {}
                }
                Ok(())
            })?;
            filled(name, message, NAME)?;
            newest = newest.max(updated_at);
            Ok(())
        })?;
        Ok(Self { repository, packages, newest })
    }
}

impl VersionsIndex {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, SchemaError> {
        let mut releases = 0_u32;
        let (repository, packages) = walk("Versions", payload, |package| {
            let message = "Versions.Package";
            let mut name = None;
            let mut versions = 0;
            each_field(message, package, |field| {
                match field.number {
                    NAME => set_text(&mut name, field)?,
                    VERSIONS => {
                        filled(Some(field.text()?), message, VERSIONS)?;
                        count(&mut versions, message, "versions", limits::RELEASES)?;
                        releases = releases.saturating_add(1);
                    }
                    RETIRED | WITH_ADVISORIES => {
                        for place in field.varints()? {
                            place?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
            filled(name, message, NAME)?;
            Ok(())
        })?;
        Ok(Self { repository, packages, releases })
    }
}

/// Calls `read` with each package of a `Names` or a `Versions` message, which have the same structure. Returns the
/// repository and the number of packages.
fn walk<'a>(
    message: &'static str,
    payload: &'a [u8],
    mut read: impl FnMut(&'a [u8]) -> Result<(), SchemaError>,
) -> Result<(Box<str>, u32), SchemaError> {
    let mut repository = None;
    let mut packages = 0;
    each_field(message, payload, |field| {
        match field.number {
            PACKAGES => {
                count(&mut packages, message, "packages", limits::PACKAGES)?;
                read(field.bytes()?)?;
            }
            REPOSITORY => set_text(&mut repository, field)?,
            _ => {}
        }
        Ok(())
    })?;
    let repository = filled(repository, message, REPOSITORY)?;
    Ok((repository.into(), u32::try_from(packages).unwrap_or(u32::MAX)))
}
