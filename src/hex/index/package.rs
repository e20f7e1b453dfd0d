//! `packages/NAME`: the releases of one package.

use super::{SchemaError, count, each_field, excerpt, filled, set_text};
use crate::clock::Timestamp;
use crate::hex::checksum::Sha256;
use crate::hex::limits;
use crate::hex::version::ReleaseVersion;
use crate::hex::wire::once;

/// The parts of `packages/NAME` that downloads need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageIndex {
    /// The name of the package.
    pub name: Box<str>,
    /// The repository it belongs to.
    pub repository: Box<str>,
    /// Its releases, sorted by the text of the version; versions are unique.
    pub releases: Vec<Release>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The version as it is written in the index; not necessarily a valid version.
    pub version: Box<str>,
    /// SHA-256 over the parts of the tarball.
    pub inner: Option<Sha256>,
    /// SHA-256 over the whole tarball. Old registries do not have it.
    pub outer: Option<Sha256>,
    /// When the release was first published. Replacing the release does not change this.
    pub published_at: Option<Timestamp>,
}

const RELEASES: u32 = 1;
const NAME: u32 = 2;
const REPOSITORY: u32 = 3;
const ADVISORIES: u32 = 4;

impl PackageIndex {
    /// The release of exactly this version.
    pub fn release(&self, version: &ReleaseVersion) -> Option<&Release> {
        let place = self.releases.binary_search_by(|release| (*release.version).cmp(version.as_str())).ok()?;
        self.releases.get(place)
    }

    /// Reads a payload of `packages/NAME`.
    pub fn decode(payload: &[u8]) -> Result<Self, SchemaError> {
        let message = "Package";
        let (mut name, mut repository) = (None, None);
        let (mut releases, mut advisories) = (0, 0);
        each_field(message, payload, |field| {
            match field.number {
                RELEASES => count(&mut releases, message, "releases", limits::RELEASES)?,
                NAME => set_text(&mut name, field)?,
                REPOSITORY => set_text(&mut repository, field)?,
                ADVISORIES => {
                    count(&mut advisories, message, "advisories", limits::ADVISORIES)?;
                    check_advisory(field.bytes()?)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        let name = filled(name, message, NAME)?.into();
        let repository = filled(repository, message, REPOSITORY)?.into();
        // Advisories follow the releases that refer to them, so the releases are read in a second pass.
        let mut index = Self { name, repository, releases: Vec::with_capacity(releases) };
        each_field(message, payload, |field| {
            if field.number == RELEASES {
                index.releases.push(read_release(field.bytes()?, advisories)?);
            }
            Ok(())
        })?;
        index.releases.sort_unstable_by(|left, right| left.version.cmp(&right.version));
        match index.releases.windows(2).find(|pair| matches!(pair, [left, right] if left.version == right.version)) {
            Some([double, _]) => Err(SchemaError::DoubleRelease { version: excerpt(&double.version) }),
            _ => Ok(index),
        }
    }
}

fn read_release(release: &[u8], advisories: usize) -> Result<Release, SchemaError> {
    const VERSION: u32 = 1;
    const INNER: u32 = 2;
    const DEPENDENCIES: u32 = 3;
    const RETIRED: u32 = 4;
    const OUTER: u32 = 5;
    const ADVISORY_INDEXES: u32 = 6;
    const PUBLISHED_AT: u32 = 7;
    let message = "Release";

    let (mut version, mut inner, mut outer, mut published_at) = (None, None, None, None);
    let mut dependencies = 0;
    let mut highest_advisory: Option<u64> = None;
    each_field(message, release, |field| {
        match field.number {
            VERSION => set_text(&mut version, field)?,
            INNER => once(&mut inner, field.bytes()?, INNER)?,
            OUTER => once(&mut outer, field.bytes()?, OUTER)?,
            DEPENDENCIES => {
                count(&mut dependencies, message, "dependencies", limits::DEPENDENCIES)?;
                check_dependency(field.bytes()?)?;
            }
            RETIRED => check_retirement(field.bytes()?)?,
            ADVISORY_INDEXES => {
                for index in field.varints()? {
                    highest_advisory = highest_advisory.max(Some(index?));
                }
            }
            PUBLISHED_AT => once(&mut published_at, read_timestamp(field.bytes()?)?, PUBLISHED_AT)?,
            _ => {}
        }
        Ok(())
    })?;
    let version = filled(version, message, VERSION)?;
    if let Some(index) = highest_advisory.filter(|index| usize::try_from(*index).map_or(true, |i| i >= advisories)) {
        return Err(SchemaError::Advisory { version: excerpt(version), index, advisories });
    }
    let checksum = |bytes: Option<&[u8]>| match bytes {
        None | Some([]) => Ok(None),
        Some(bytes) => Sha256::try_from(bytes)
            .map(Some)
            .map_err(|_| SchemaError::Checksum { version: excerpt(version), length: bytes.len() }),
    };
    Ok(Release { inner: checksum(inner)?, outer: checksum(outer)?, version: version.into(), published_at })
}

fn check_dependency(dependency: &[u8]) -> Result<(), SchemaError> {
    const PACKAGE: u32 = 1;
    const REQUIREMENT: u32 = 2;
    const OPTIONAL: u32 = 3;
    const APP: u32 = 4;
    const REPOSITORY: u32 = 5;
    let message = "Dependency";

    let (mut package, mut requirement) = (None, None);
    each_field(message, dependency, |field| {
        match field.number {
            PACKAGE => set_text(&mut package, field)?,
            REQUIREMENT => set_text(&mut requirement, field)?,
            OPTIONAL => field.varint().map(drop)?,
            APP | REPOSITORY => field.text().map(drop)?,
            _ => {}
        }
        Ok(())
    })?;
    filled(package, message, PACKAGE)?;
    filled(requirement, message, REQUIREMENT)?;
    Ok(())
}

fn check_retirement(retirement: &[u8]) -> Result<(), SchemaError> {
    const REASON: u32 = 1;
    const MESSAGE: u32 = 2;

    each_field("RetirementStatus", retirement, |field| {
        match field.number {
            REASON => field.varint().map(drop)?,
            MESSAGE => field.text().map(drop)?,
            _ => {}
        }
        Ok(())
    })
}

fn check_advisory(advisory: &[u8]) -> Result<(), SchemaError> {
    const ID: u32 = 1;
    const SUMMARY: u32 = 2;
    const HTML_URL: u32 = 3;
    const SEVERITY: u32 = 4;
    const API_URL: u32 = 6;
    const ALIASES: u32 = 7;
    let message = "SecurityAdvisory";

    let mut id = None;
    each_field(message, advisory, |field| {
        match field.number {
            ID => set_text(&mut id, field)?,
            SUMMARY | HTML_URL | API_URL | ALIASES => field.text().map(drop)?,
            SEVERITY => field.varint().map(drop)?,
            _ => {}
        }
        Ok(())
    })?;
    filled(id, message, ID)?;
    Ok(())
}

/// Reads a `Timestamp` message. A time before 1970 becomes 1970, and a time that is out of range the largest one.
pub(super) fn read_timestamp(timestamp: &[u8]) -> Result<Timestamp, SchemaError> {
    const SECONDS: u32 = 1;
    const NANOS: u32 = 2;

    let (mut seconds, mut nanos) = (0, 0);
    each_field("Timestamp", timestamp, |field| {
        match field.number {
            SECONDS => seconds = signed(field.varint()?),
            NANOS => nanos = signed(field.varint()?),
            _ => {}
        }
        Ok(())
    })?;
    let millis = seconds.saturating_mul(1000).saturating_add(nanos.clamp(0, 999_999_999) / 1_000_000);
    Ok(Timestamp::from_millis(u64::try_from(millis).unwrap_or_default()))
}

/// In the wire format, `int32` and `int64` are the 64 bits of their two's complement.
fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}
