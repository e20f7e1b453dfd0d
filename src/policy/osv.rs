//! Advisories from an OSV dump, for repositories whose index carries none of them.
//!
//! Format: <https://ossf.github.io/osv-schema/>; a dump is one entry, a list of entries, or a zip of such files. Only entries
//! about the ecosystem `Hex` count, each until the moment at which it is withdrawn. They are added to what clients see: a release gets
//! places in the table of advisories, the table gets entries at its end, and nothing else is touched.

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
    /// Of the file.
    file: Sha256,
    /// Of what it says.
    digest: Sha256,
    packages: HashMap<Box<str>, Vec<KnownAdvisory>>,
    /// Advisories, those that do not count any more among them.
    entries: usize,
    /// When some of them stop to count, ascending.
    withdrawals: Vec<Timestamp>,
    /// How many of these moments have come.
    withdrawn: usize,
}

/// An advisory about one package.
#[derive(Clone, Debug)]
struct KnownAdvisory {
    /// As clients get it.
    record: Vec<u8>,
    /// What it is called, in lower case.
    names: BTreeSet<String>,
    withdrawn: Option<Timestamp>,
    affected: Affected,
}

/// Why a dump cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// It is larger than any dump.
    #[error("it is longer than {} bytes", limits::OSV_DUMP)]
    TooLong,
    /// It is not the archive that it begins as.
    #[error("it is no zip archive that can be read: {0}")]
    Zip(&'static str),
    /// A file of it is not JSON, or not of the schema.
    #[error("{name}: {source}")]
    Json {
        /// The file; empty where the dump is one.
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

impl PartialEq for AdvisoryDump {
    /// What it says follows from its bytes, and from what was withdrawn by now.
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for AdvisoryDump {}

impl AdvisoryDump {
    /// Reads a dump: all that it has, also what was withdrawn ([`AdvisoryDump::at`]).
    pub fn read(bytes: &[u8]) -> Result<Self, DumpError> {
        if bytes.len() > limits::OSV_DUMP {
            return Err(DumpError::TooLong);
        }
        let file = Sha256::of(bytes);
        let mut dump =
            Self { file, digest: file, packages: HashMap::new(), entries: 0, withdrawals: Vec::new(), withdrawn: 0 };
        if zip::is_archive(bytes) {
            zip::each(bytes, |name, file| match name.ends_with(".json") {
                true => dump.take(name, file),
                false => Ok(()),
            })?;
        } else {
            dump.take("the dump", bytes)?;
        }
        dump.withdrawals.sort_unstable();
        Ok(dump)
    }

    /// Whether something of it that counts is withdrawn by this moment.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.withdrawals.get(self.withdrawn).is_some_and(|at| *at <= now)
    }

    /// Without what is withdrawn by this moment.
    pub fn at(mut self, now: Timestamp) -> Self {
        if !self.is_over(now) {
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

    /// A digest from which follows what it says.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// How many advisories count.
    pub fn len(&self) -> usize {
        self.entries.saturating_sub(self.withdrawn)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has any about a package.
    pub fn concerns(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// A payload of `packages/NAME` with the advisories that it does not carry already, under whichever of their names.
    pub fn add_to_package<'a>(&self, package: &str, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, WireError> {
        let Some(all) = self.packages.get(package) else { return Ok(Cow::Borrowed(payload)) };
        let carried = splice::advisories_of(payload)?;
        let names: BTreeSet<String> = carried.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let missing: Vec<&KnownAdvisory> = all.iter().filter(|known| known.names.is_disjoint(&names)).collect();
        // The places of those that concern a release, in the order in which they are found.
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

    /// A payload of `versions` in which the versions that have one of these advisories are said to have some.
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
