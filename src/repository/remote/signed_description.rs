//! Describes a package by the signed registry, and by the metadata in stored tarballs.

use prost::Message as _;
use serde_json::Map;

use super::answers::read;
use crate::cache::SharedCaches;
use crate::cache::payload::Payload;
use crate::clock::Timestamp;
use crate::hex::build::RetirementReason;
use crate::hex::checksum::Sha256;
use crate::hex::message;
use crate::hex::name::RepoName;
use crate::hex::upload::outer::Outer;
use crate::hex::{limits, metadata, version};
use crate::repository::error::RepoError;
use crate::repository::local::{ReleaseMetadata, Requirement, Retirement};
use crate::store::Store;
use crate::store::blobs::BlobLookup;
use crate::store::spool::ContentReader;

/// A package according to the signed registry.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedPackage {
    /// Its name.
    pub name: String,
    /// Its releases, the newest first.
    pub releases: Vec<DescribedRelease>,
    /// The metadata of the newest release whose tarball is stored.
    pub about: Option<ReleaseMetadata>,
}

/// A release according to the signed registry.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribedRelease {
    /// The version.
    pub version: String,
    /// Checksum of the whole tarball.
    pub outer: Option<Sha256>,
    /// Checksum of its parts.
    pub inner: Option<Sha256>,
    /// When it was first published; if its registry does not say this, when this server first saw it.
    pub published_at: Option<Timestamp>,
    /// Why it should not be used.
    pub retirement: Option<Retirement>,
    /// Its dependencies.
    pub requirements: Vec<Requirement>,
}

/// Describes a package by its index. A dependency without a repository is in `key`.
pub(in crate::repository) async fn describe(
    shared: &SharedCaches,
    package: Payload,
    key: &RepoName,
) -> Result<DescribedPackage, RepoError> {
    let key = key.to_string();
    let described = read(shared, package, move |payload| {
        let package = message::Package::decode(payload).ok()?;
        let mut releases: Vec<DescribedRelease> =
            package.releases.into_iter().map(|release| described_release(release, &key)).collect();
        releases.sort_by_cached_key(|release| std::cmp::Reverse(version::order(&release.version)));
        Some(DescribedPackage { name: package.name, releases, about: None })
    });
    let mut described = described.await?;
    let checksums: Vec<Sha256> = described.releases.iter().filter_map(|release| release.outer).collect();
    described.about = shared.blocking(move |store| newest_about(store, &checksums)).await?;
    Ok(described)
}

fn described_release(release: message::Release, key: &str) -> DescribedRelease {
    let digest = |bytes: &[u8]| Sha256::try_from(bytes).ok();
    let time = |time: &message::Timestamp| u64::try_from(time.seconds).ok().map(Timestamp::from_secs);
    let retirement = release.retired.map(|retired| Retirement {
        reason: u64::try_from(retired.reason)
            .ok()
            .and_then(RetirementReason::from_wire)
            .unwrap_or(RetirementReason::Other),
        message: retired.message,
    });
    let requirements = release.dependencies.into_iter().map(|dependency| Requirement {
        app: dependency.app.unwrap_or_else(|| dependency.package.clone()),
        requirement: dependency.requirement,
        optional: dependency.optional.unwrap_or_default(),
        repository: dependency.repository.unwrap_or_else(|| key.to_owned()),
        package: dependency.package,
    });
    DescribedRelease {
        version: release.version,
        outer: release.outer_checksum.as_deref().and_then(digest),
        inner: digest(&release.inner_checksum),
        published_at: release.published_at.as_ref().and_then(time),
        retirement,
        requirements: requirements.collect(),
    }
}

/// The metadata of the first of these tarballs that is stored. Blocks.
fn newest_about(store: &Store, checksums: &[Sha256]) -> Option<ReleaseMetadata> {
    let here = checksums.iter().find(|checksum| store.blobs.length(checksum).is_some())?;
    let Ok(BlobLookup::Found(stored)) = store.blobs.open(here) else { return None };
    let outer = Outer::read(&mut ContentReader::of(&stored), limits::DOWNLOAD).ok()?;
    let told = metadata::DisplayMetadata::read(&outer.metadata)?;
    let texts = |texts: Vec<Box<str>>| texts.into_iter().map(String::from).collect();
    Some(ReleaseMetadata {
        app: told.app.map(String::from).unwrap_or_default(),
        description: told.description.map(String::from),
        licenses: texts(told.licenses),
        links: told.links,
        maintainers: texts(told.maintainers),
        build_tools: texts(told.build_tools),
        elixir: told.elixir.map(String::from),
        extra: Map::new(),
    })
}
