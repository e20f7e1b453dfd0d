//! The list `names` or `versions` of a member, split by package.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::hex::checksum::Sha256;
use crate::hex::resource::RegistryResource;
use crate::policy::merge::{self, Bulk};

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `names`
    Names,
    /// `versions`
    Versions,
}

impl Kind {
    pub(super) fn resource(self) -> RegistryResource {
        match self {
            Self::Names => RegistryResource::Names,
            Self::Versions => RegistryResource::Versions,
        }
    }
}

/// A member's `names` or `versions`, split by package.
#[derive(Debug)]
pub(super) struct Listing {
    /// Digest of the source: listings with equal digests are equal.
    pub(super) digest: Sha256,
    /// Digest of the names alone: listings with equal digests have the same packages.
    pub(super) names_digest: Sha256,
    entries: BTreeMap<Box<str>, Bytes>,
    /// The records that the schema does not define.
    unknown: Vec<u8>,
}

impl Listing {
    /// Splits a list by package. This takes some milliseconds for hex.pm's, so it must not run in an async task.
    pub(super) fn of(list: &Payload) -> Result<Self, CacheError> {
        let payload = list.bytes()?;
        let bulk = Bulk::split(&payload).map_err(CacheError::untrusted)?;
        let unknown = merge::unknown_records(std::slice::from_ref(&bulk));
        let entries: BTreeMap<Box<str>, Bytes> =
            bulk.entries.into_iter().map(|(name, entry)| (name.into(), payload.slice_ref(entry))).collect();
        Ok(Self { digest: *list.digest(), names_digest: digest_of(&entries), entries, unknown })
    }

    /// An empty list.
    pub(super) fn empty() -> Self {
        let entries = BTreeMap::new();
        Self { digest: Sha256::of(b""), names_digest: digest_of(&entries), entries, unknown: Vec::new() }
    }

    /// Whether it lists a package.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Bytes> {
        self.entries.get(name)
    }

    /// The packages that it lists.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(AsRef::as_ref)
    }

    pub(super) fn unknown(&self) -> &[u8] {
        &self.unknown
    }
}

fn digest_of(entries: &BTreeMap<Box<str>, Bytes>) -> Sha256 {
    // Names do not contain line breaks.
    let names: Vec<&str> = entries.keys().map(AsRef::as_ref).collect();
    Sha256::of(names.join("\n").as_bytes())
}

/// Collects the packages whose entries differ.
pub(super) fn changed(before: &Listing, now: &Listing, names: &mut BTreeSet<Box<str>>) {
    if before.digest == now.digest {
        return;
    }
    let differs = |name: &str, entry: &Bytes, other: &Listing| other.entry(name) != Some(entry);
    for (one, other) in [(before, now), (now, before)] {
        let different = one.entries.iter().filter(|(name, entry)| differs(name, entry, other));
        names.extend(different.map(|(name, _)| name.clone()));
    }
}
