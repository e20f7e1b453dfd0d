//! Adds security advisories from a file in the OSV format to indexes, for repositories whose index does not contain
//! them.
//!
//! Format: <https://ossf.github.io/osv-schema/>; the file (a *dump*) contains one entry or a list of entries in JSON,
//! or is a zip archive of such files. Only entries for the ecosystem `Hex` count, and only until they are withdrawn.
//! The advisories are appended to the list of advisories in an index, and the affected releases get their positions.
//! Nothing else changes.

mod cvss;
mod entry;
mod zip;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message as _;

use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::splice;
use crate::hex::version::ReleaseVersion;
use crate::hex::wire::WireError;
use entry::Affected;

/// The advisories of a dump, by package.
#[derive(Clone, Debug)]
pub struct AdvisoryDump {
    /// The checksum of the file.
    file: Sha256,
    /// Identifies the advisories that count: the file, and how many were withdrawn.
    digest: Sha256,
    packages: HashMap<Box<str>, Vec<KnownAdvisory>>,
    /// The number of advisories, withdrawn ones included.
    entries: usize,
    /// When advisories are withdrawn, in ascending order.
    withdrawals: Vec<Timestamp>,
    /// How many of these times have passed.
    withdrawn: usize,
}

/// An advisory about one package.
#[derive(Clone, Debug)]
struct KnownAdvisory {
    /// The encoded message that clients get.
    record: Vec<u8>,
    /// Its identifier and aliases, in lower case.
    names: BTreeSet<String>,
    withdrawn: Option<Timestamp>,
    affected: Affected,
}

/// Why a dump cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The dump exceeds the size limit.
    #[error("it is larger than {} bytes", limits::OSV_DUMP)]
    TooLong,
    /// The dump begins like a zip archive, but cannot be read as one.
    #[error("the zip archive cannot be read: {0}")]
    Zip(&'static str),
    /// A file in it is not JSON, or does not match the OSV schema.
    #[error("{name}: {source}")]
    Json {
        /// The name of the file in the archive, or `the dump`.
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

impl PartialEq for AdvisoryDump {
    /// The digest covers the file and the number of withdrawn advisories, which together determine the content.
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for AdvisoryDump {}

impl AdvisoryDump {
    /// Reads a dump, withdrawn advisories included. [`AdvisoryDump::without_withdrawn`] removes these.
    pub fn read(bytes: &[u8]) -> Result<Self, DumpError> {
        if bytes.len() > limits::OSV_DUMP {
            return Err(DumpError::TooLong);
        }
        let file = Sha256::of(bytes);
        let mut dump =
            Self { file, digest: file, packages: HashMap::new(), entries: 0, withdrawals: Vec::new(), withdrawn: 0 };
        if zip::is_archive(bytes) {
            zip::for_each_file(bytes, |name, file| match name.ends_with(".json") {
                true => dump.take(name, file),
                false => Ok(()),
            })?;
        } else {
            dump.take("the dump", bytes)?;
        }
        dump.withdrawals.sort_unstable();
        Ok(dump)
    }

    /// Whether an advisory that still counts is withdrawn at `now`.
    pub fn has_withdrawn(&self, now: Timestamp) -> bool {
        self.withdrawals.get(self.withdrawn).is_some_and(|at| *at <= now)
    }

    /// Removes the advisories that are withdrawn at `now`.
    pub fn without_withdrawn(mut self, now: Timestamp) -> Self {
        if !self.has_withdrawn(now) {
            return self;
        }
        self.packages.retain(|_, all| {
            all.retain(|known| known.withdrawn.is_none_or(|at| now < at));
            !all.is_empty()
        });
        self.withdrawn = self.withdrawals.partition_point(|at| *at <= now);
        let count = u64::try_from(self.withdrawn).unwrap_or(u64::MAX).to_be_bytes();
        self.digest = Sha256::of(&[self.file.as_bytes(), &count[..]].concat());
        self
    }

    fn take(&mut self, name: &str, bytes: &[u8]) -> Result<(), DumpError> {
        let found = entry::read(bytes).map_err(|source| DumpError::Json { name: name.to_owned(), source })?;
        for found in found {
            self.entries += 1;
            self.withdrawals.extend(found.withdrawn);
            let names = std::iter::once(&found.advisory.id).chain(&found.advisory.aliases);
            let names: BTreeSet<String> = names.map(|name| name.to_ascii_lowercase()).collect();
            let record = found.advisory.encode_to_vec();
            for (package, affected) in found.packages {
                let (record, names) = (record.clone(), names.clone());
                let known = KnownAdvisory { record, names, withdrawn: found.withdrawn, affected };
                self.packages.entry(package).or_default().push(known);
            }
        }
        Ok(())
    }

    /// A digest that identifies the content.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// The number of advisories that are not withdrawn.
    pub fn len(&self) -> usize {
        self.entries.saturating_sub(self.withdrawn)
    }

    /// Whether no advisory counts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has an advisory about a package.
    pub fn concerns(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// Adds advisories to a payload of `packages/NAME`, except those that it already contains under their identifier or
    /// an alias.
    pub fn add_to_package<'a>(&self, package: &str, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, WireError> {
        let Some(all) = self.packages.get(package) else { return Ok(Cow::Borrowed(payload)) };
        let carried = splice::advisories_of(payload)?;
        let names: BTreeSet<String> = carried.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let missing: Vec<&KnownAdvisory> = all.iter().filter(|known| known.names.is_disjoint(&names)).collect();
        // The positions of the advisories that affect a release, in the order in which they are found.
        let mut places: BTreeMap<usize, u64> = BTreeMap::new();
        let mut by_version: HashMap<&str, Vec<u64>> = HashMap::new();
        for text in &carried.versions {
            let Ok(version) = text.parse::<ReleaseVersion>() else { continue };
            for (at, _) in missing.iter().enumerate().filter(|(_, known)| known.affected.has(text, &version)) {
                let next = carried.count + places.len() as u64;
                by_version.entry(text).or_default().push(*places.entry(at).or_insert(next));
            }
        }
        let mut table: Vec<(u64, &[u8])> =
            places.iter().filter_map(|(at, place)| Some((*place, missing.get(*at)?.record.as_slice()))).collect();
        table.sort_unstable();
        let records: Vec<&[u8]> = table.into_iter().map(|(_, record)| record).collect();
        splice::add_advisories(payload, &by_version, &records)
    }

    /// Marks the versions in a payload of `versions` that one of these advisories affects.
    pub fn add_to_versions<'a>(&self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, WireError> {
        splice::add_advised(payload, &|package, text| {
            let Some(all) = self.packages.get(package) else { return false };
            let Ok(version) = text.parse::<ReleaseVersion>() else { return false };
            all.iter().any(|known| known.affected.has(text, &version))
        })
    }
}

#[cfg(test)]
mod tests;
