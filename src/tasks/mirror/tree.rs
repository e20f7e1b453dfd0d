//! `mirror --to`: writes the mirrored files to a folder that any web server can serve: `names`, `versions`,
//! `packages/`, `tarballs/`, `docs/`, `public_key`. Sends no requests to the upstream.
//!
//! The files of a package are written before its index, and `names` and `versions` are written last, so that all listed
//! files exist at any time. If the folder already has an identical index, it also has the files of this index.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::MirrorPlan;
use super::package::wanted;
use crate::cache::CacheError;
use crate::hex::index::Index;
use crate::hex::limits;
use crate::hex::name::PackageName;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::{RemoteRepository, RepoError};
use crate::shutdown::{self, TaskError};
use crate::store::StoreError;
use crate::store::output::OutputFolder;
use crate::tasks::report::{Progress, Reporter};

/// The result of writing a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of packages in the folder.
    pub packages: u64,
    /// Number of files that were written.
    pub files: u64,
    /// Number of files that were removed, because the registry no longer lists them.
    pub removed: u64,
    /// Listed files that are not mirrored.
    pub missing: Vec<String>,
}

/// Why the folder could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The repository was not mirrored before.
    #[error("`{0}` is not in the cache; mirror the repository first")]
    Nothing(RegistryResource),
    /// The cache cannot be read.
    #[error(transparent)]
    Here(#[from] RepoError),
    /// The folder cannot be written.
    #[error(transparent)]
    Folder(#[from] StoreError),
    /// A background task ended without a result.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Writes the mirrored files of `remote` to `folder`.
pub async fn run(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    folder: Arc<OutputFolder>,
    report: &Reporter,
) -> Result<Written, TreeError> {
    let signed_by = remote.signature();
    let bulk = async |resource: RegistryResource| match remote.present(&resource).await? {
        Some(present) => Ok(remote.signed_unheld(&resource, &present).await?),
        None => Err(TreeError::Nothing(resource)),
    };
    let names = bulk(RegistryResource::Names).await?;
    let versions = bulk(RegistryResource::Versions).await?;
    let packages = remote.blocking(listed).await?.map_err(RepoError::from)?;
    let packages: Vec<PackageName> = packages.into_iter().filter(|name| is_wanted(plan, name)).collect();
    let mut written = Written::default();
    let mut progress = Progress { total: packages.len() as u64, ..Progress::default() };
    for name in &packages {
        package(remote, plan, name, &folder, &mut written).await?;
        progress.done += 1;
        report.progress(progress);
    }
    let key = remote.public_key(signed_by).to_spki_pem().to_owned();
    let kept: BTreeSet<String> = packages.iter().map(ToString::to_string).collect();
    let (files, removed) = on_disk(move || {
        let mut files = 0;
        for (name, bytes) in [("public_key", key.as_bytes()), ("versions", versions.body()), ("names", names.body())] {
            files += u64::from(replace(&folder, name, bytes)?);
        }
        Ok((files, sweep(&folder, &kept)?))
    })
    .await?;
    written.files += files;
    written.removed = removed;
    written.missing.sort();
    Ok(written)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, TreeError> {
    Ok(shutdown::blocking(work).await??)
}

fn is_wanted(plan: &MirrorPlan, name: &PackageName) -> bool {
    plan.packages.as_ref().is_none_or(|packages| packages.is_match(name.as_str()))
}

fn listed(remote: &RemoteRepository) -> Result<Vec<PackageName>, CacheError> {
    let Some(names) = remote.stored(&RegistryResource::Names)? else { return Ok(Vec::new()) };
    let names = crate::hex::index::names_entries(names.payload());
    Ok(names.filter(|entry| remote.allows(entry.name)).filter_map(|entry| entry.name.parse().ok()).collect())
}

async fn package(
    remote: &Arc<RemoteRepository>,
    plan: &MirrorPlan,
    name: &PackageName,
    folder: &Arc<OutputFolder>,
    written: &mut Written,
) -> Result<(), TreeError> {
    let resource = RegistryResource::Package(name.clone());
    let Some(present) = remote.present(&resource).await? else {
        written.missing.push(resource.path());
        return Ok(());
    };
    let signed = remote.signed_unheld(&resource, &present).await?;
    let Index::Package(index) = &*present.index else { return Ok(()) };
    let is_refused = |version: &str| present.refused.iter().any(|refused| &*refused.version == version);
    let releases: Vec<_> =
        wanted(index, plan).into_iter().filter(|(_, release)| !is_refused(&release.version)).collect();
    let (remote, present, folder, plan) = (Arc::clone(remote), Arc::clone(&present), Arc::clone(folder), plan.clone());
    let name = name.clone();
    let (files, missing) = on_disk(move || {
        let same =
            folder.read(&resource.path(), limits::ENVELOPE as u64)?.is_some_and(|bytes| bytes == **signed.body());
        let (mut files, mut missing) = (0, Vec::new());
        for (version, release) in releases {
            let artifact = ArtifactName { package: name.clone(), version };
            let path = artifact.tarball_path();
            if !(same && folder.is_there(&path)?) {
                match remote.stored_tarball(&present, &release) {
                    Some((digest, _)) if folder.digest(&path)? == Some(digest) => {}
                    Some((_, stored)) => {
                        folder.copy(&path, &stored)?;
                        files += 1;
                    }
                    None => missing.push(path),
                }
            }
            let path = artifact.docs_path();
            if plan.docs
                && let Some((digest, stored)) = remote.stored_docs(&artifact)
                && folder.digest(&path)? != Some(digest)
            {
                folder.copy(&path, &stored)?;
                files += 1;
            }
        }
        if !same {
            folder.write(&resource.path(), signed.body())?;
            files += 1;
        }
        Ok((files, missing))
    })
    .await?;
    written.packages += 1;
    written.files += files;
    written.missing.extend(missing);
    Ok(())
}

/// Writes a file, unless an identical file exists. Returns whether it was written.
fn replace(folder: &OutputFolder, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
    if folder.read(name, limits::ENVELOPE as u64)?.is_some_and(|there| there == bytes) {
        return Ok(false);
    }
    folder.write(name, bytes)?;
    Ok(true)
}

/// Removes the files of packages that are no longer listed.
fn sweep(folder: &OutputFolder, kept: &BTreeSet<String>) -> Result<u64, StoreError> {
    let mut removed = 0;
    for (area, parse) in [
        ("packages", package_of as fn(&str) -> Option<String>),
        ("tarballs", |file| ArtifactName::parse_tarball(file).ok().map(|name| name.package.to_string())),
        ("docs", |file| ArtifactName::parse_docs(file).ok().map(|name| name.package.to_string())),
    ] {
        for file in folder.list(area)? {
            if parse(&file).is_some_and(|package| !kept.contains(&package)) {
                folder.remove(&format!("{area}/{file}"))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn package_of(file: &str) -> Option<String> {
    PackageName::is_valid(file).then(|| file.to_owned())
}
