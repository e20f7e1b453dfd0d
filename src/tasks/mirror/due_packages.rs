//! Finds the packages that a mirror run has to update.

use std::collections::HashMap;
use std::sync::Arc;

use super::MirrorPlan;
use crate::cache::registry::StagedIndex;
use crate::hex::checksum::{Hasher, Sha256};
use crate::hex::index::{BulkEntry, names_entries, versions_entries};
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::repository::{RemoteRepository, RepoError};

/// A package that may have changed since the last run.
#[derive(Clone, Debug)]
pub(super) struct DuePackage {
    pub(super) name: PackageName,
    /// Fingerprint for its record.
    pub(super) fingerprint: String,
    /// Number of releases in `versions`.
    pub(super) releases: u64,
}

/// The work of a mirror run.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) packages: Vec<DuePackage>,
    /// Number of packages in the mirror, changed or not.
    pub(super) wanted: u64,
    pub(super) unchanged: u64,
    /// Number of releases of the packages that may have changed.
    pub(super) releases: u64,
    /// Packages in the cache that are no longer listed.
    pub(super) gone: Vec<PackageName>,
}

pub(super) async fn due(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    names: &StagedIndex,
    versions: &StagedIndex,
) -> Result<Due, RepoError> {
    let (names, versions, plan) = (names.payload().clone(), versions.payload().clone(), plan.clone());
    remote.blocking(move |remote| sort_out(remote, &plan, &names, &versions)).await?
}

fn sort_out(remote: &RemoteRepository, plan: &MirrorPlan, names: &[u8], versions: &[u8]) -> Result<Due, RepoError> {
    let versions: HashMap<&str, BulkEntry<'_>> = versions_entries(versions).map(|entry| (entry.name, entry)).collect();
    let mut due = Due { packages: Vec::new(), wanted: 0, unchanged: 0, releases: 0, gone: Vec::new() };
    let mut listed: Vec<&str> = Vec::new();
    for entry in names_entries(names) {
        listed.push(entry.name);
        let old = entry.updated_at.zip(plan.since).is_some_and(|(updated_at, since)| updated_at < since);
        if old
            || !remote.allows(entry.name)
            || plan.packages.as_ref().is_some_and(|wanted| !wanted.is_match(entry.name))
        {
            continue;
        }
        // An invalid name cannot be requested.
        let Ok(name) = entry.name.parse::<PackageName>() else { continue };
        due.wanted += 1;
        let of_versions = versions.get(entry.name);
        let fingerprint = fingerprint(&entry, of_versions, &plan.words);
        // Without a date of the last change, the index must be read.
        if entry.updated_at.is_some() && is_here(remote, &name, &fingerprint)? {
            due.unchanged += 1;
            continue;
        }
        let releases = u64::from(of_versions.map_or(0, |entry| entry.releases));
        let releases = plan.latest.map_or(releases, |latest| releases.min(latest as u64));
        due.releases += releases;
        due.packages.push(DuePackage { name, fingerprint, releases });
    }
    listed.sort_unstable();
    let stored = remote.stored_packages()?;
    due.gone = stored.into_iter().filter(|name| listed.binary_search(&name.as_str()).is_err()).collect();
    Ok(due)
}

/// Whether an earlier run has mirrored the package in its listed state, and all its files are still in the cache.
fn is_here(remote: &RemoteRepository, name: &PackageName, fingerprint: &str) -> Result<bool, RepoError> {
    let Some(mirrored) = remote.mirrored(name.as_str()) else { return Ok(false) };
    let is_there = |digest: &String| Sha256::from_hex(digest).is_ok_and(|digest| remote.has_blob(&digest));
    Ok(mirrored.fingerprint == fingerprint
        && remote.is_stored(&RegistryResource::Package(name.clone()))?
        && mirrored.tarballs.iter().all(is_there))
}

fn fingerprint(names: &BulkEntry<'_>, versions: Option<&BulkEntry<'_>>, words: &str) -> String {
    let mut hasher = Hasher::new();
    for part in [names.record, versions.map(|entry| entry.record).unwrap_or_default(), words.as_bytes()] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finish().to_string()
}
