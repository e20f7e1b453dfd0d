//! `prefetch`: downloads the releases in lock files to the cache before clients request them, and compares the
//! checksums in the lock files with the verified indexes.
//!
//! It requests releases from repositories of any type in the same way as a client, so that clients get exactly these
//! files.

pub(super) mod closure;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::background_retry::retry;
use super::report::{Progress, Reporter, sentence};
use crate::auth::ReadGrant;
use crate::hex::checksum::Sha256;
use crate::hex::envelope::Envelope;
use crate::hex::index::{Index, PackageIndex};
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::version::ReleaseVersion;
use crate::repository::{
    Artifact, DeliveryAnswer, DeliveryExtent, DeliveryOrder, ReleaseFile, RepoError, Repository, RequestContext,
};
use crate::shutdown::{self, TaskError};

/// Number of releases that are downloaded concurrently. Requests to an upstream are also limited by `concurrency`.
const AT_ONCE: usize = 16;

/// Time limit for the start of an answer, including retries of the repository.
const PATIENCE: Duration = Duration::from_secs(60);

/// A release to download, with its checksums in the lock file.
#[derive(Clone, Debug)]
pub struct WantedRelease {
    /// Repository of the release.
    pub repository: Repository,
    /// Package and version.
    pub name: ArtifactName,
    /// SHA-256 of the parts of the tarball (inner checksum).
    pub inner: Option<Sha256>,
    /// SHA-256 of the whole tarball (outer checksum).
    pub outer: Option<Sha256>,
}

impl fmt::Display for WantedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.name.package, self.name.version, self.repository.key())
    }
}

/// What to download in addition to the releases in the lock files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefetchExtent {
    /// The documentation of each release, if it has one.
    pub docs: bool,
    /// This number of newest releases of each package.
    pub latest: usize,
    /// All dependencies of each release, in the newest version that meets the requirements.
    pub closure: bool,
}

/// The result of a prefetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefetched {
    /// Number of releases that were already in the cache.
    pub there: u64,
    /// Number of releases that were downloaded.
    pub brought: u64,
    /// Number of releases with documentation in the cache.
    pub docs: u64,
    /// Number of bytes that were downloaded, of tarballs and documentation.
    pub bytes: u64,
    /// An error for each missing file.
    pub failed: Vec<String>,
}

/// Why a file could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Repository(#[from] RepoError),
    #[error("cannot read the index of the package")]
    Index,
    #[error("the {kind} checksum in the lock file is {locked}, but in the registry it is {listed}")]
    Checksum { kind: &'static str, locked: Sha256, listed: Sha256 },
    #[error("the download ended early")]
    Body(#[source] crate::repository::BodyError),
    #[error(
        "the file was downloaded but not stored; check whether the disk is full or storage.cache_limit is too small"
    )]
    NotStored,
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Failure {
    /// Minimum time before another attempt; `None` if it would fail again.
    fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Repository(error) => error.again_after(),
            Self::Body(_) => Some(Duration::ZERO),
            Self::Index | Self::Checksum { .. } | Self::NotStored | Self::Task(_) => None,
        }
    }
}

/// The result for one release.
struct Brought {
    there: bool,
    bytes: u64,
}

/// Downloads `wanted` and the additions of `extent`, and returns the result and the list of all releases. If the future
/// is dropped, the prefetch stops, and downloaded files stay.
pub async fn run(
    wanted: Vec<WantedRelease>,
    extent: PrefetchExtent,
    report: &Reporter,
) -> (Prefetched, Vec<WantedRelease>) {
    let mut outcome = Prefetched::default();
    let mut all = Vec::new();
    let mut known = BTreeSet::new();
    for one in wanted {
        if known.insert((one.repository.key().clone(), one.name.clone(), one.inner, one.outer)) {
            all.push(one);
        }
    }
    if extent.latest > 0 {
        all.extend(newest(&all, extent.latest, &mut outcome).await);
    }
    if extent.closure {
        closure::extend(&mut all, &mut outcome.failed).await;
    }
    let whole = all.clone();
    let mut progress = Progress { total: all.len() as u64, ..Progress::default() };
    report.progress(progress);
    let each = stream::iter(all).map(|one| async move {
        let tarball = retry(Failure::again_after, || tarball(&one)).await;
        let docs = match (&tarball, extent.docs) {
            (Ok(_), true) => retry(Failure::again_after, || docs(&one)).await,
            _ => Ok(None),
        };
        (one, tarball, docs)
    });
    let mut each = std::pin::pin!(each.buffer_unordered(AT_ONCE));
    while let Some((one, tarball, docs)) = each.next().await {
        match tarball {
            Ok(Brought { there: true, .. }) => outcome.there += 1,
            Ok(Brought { there: false, bytes }) => {
                outcome.brought += 1;
                outcome.bytes += bytes;
            }
            Err(error) => outcome.failed.push(format!("{one}: {}", sentence(&error))),
        }
        match docs {
            Ok(Some(bytes)) => {
                outcome.docs += 1;
                outcome.bytes += bytes;
            }
            Ok(None) => {}
            Err(error) => outcome.failed.push(format!("the docs of {one}: {}", sentence(&error))),
        }
        progress = Progress { done: progress.done + 1, bytes: outcome.bytes, ..progress };
        report.progress(progress);
    }
    resolvable(&whole).await;
    outcome.failed.sort();
    (outcome, whole)
}

/// Downloads the indexes of optional dependencies that are not in the lock files. A client that resolves versions
/// requests these indexes, but also works without them.
async fn resolvable(all: &[WantedRelease]) {
    let mut done: BTreeSet<(RepoName, PackageName)> =
        all.iter().map(|one| (one.repository.key().clone(), one.name.package.clone())).collect();
    for one in all {
        let Ok(releases) = closure::releases(&one.repository, &one.name.package).await else { continue };
        let of = releases.into_iter().find(|(version, _)| *version == one.name.version);
        for dependency in of.map(|(_, of)| of).unwrap_or_default() {
            let own = one.repository.name().as_str();
            let Ok::<PackageName, _>(package) = dependency.package.parse() else { continue };
            if dependency.repository.as_deref().is_none_or(|name| name == own)
                && done.insert((one.repository.key().clone(), package.clone()))
                && may_ask(&one.repository, &package).await
                && let Err(error) = index(&one.repository, &package).await
            {
                tracing::debug!(%package, error = &error as &dyn std::error::Error, "cannot download the index of an optional dependency");
            }
        }
    }
}

/// Whether a dependency may be requested from a repository. Private names must not be sent to an upstream.
pub(super) async fn may_ask(repository: &Repository, package: &PackageName) -> bool {
    match repository.as_remote() {
        Some(remote) => !remote.is_kept_from(package).await,
        None => true,
    }
}

pub(super) fn context() -> RequestContext {
    RequestContext { deadline: Instant::now() + PATIENCE, client: None }
}

pub(super) fn grant(repository: &Repository) -> ReadGrant {
    repository.access().console()
}

/// The newest releases of all packages in `wanted` that are not yet in `wanted`.
async fn newest(wanted: &[WantedRelease], count: usize, outcome: &mut Prefetched) -> Vec<WantedRelease> {
    let mut packages: Vec<(&Repository, &PackageName)> = Vec::new();
    for one in wanted {
        if !packages.iter().any(|(known, name)| known.is(&one.repository) && **name == one.name.package) {
            packages.push((&one.repository, &one.name.package));
        }
    }
    let mut more = Vec::new();
    for (repository, package) in packages {
        let index = match retry(Failure::again_after, || index(repository, package)).await {
            Ok(index) => index,
            Err(error) => {
                outcome.failed.push(format!("{package} of {}: {}", repository.key(), sentence(&error)));
                continue;
            }
        };
        for version in newest_of(&index, count) {
            let name = ArtifactName { package: package.clone(), version };
            if !wanted.iter().any(|one| one.repository.is(repository) && one.name == name) {
                more.push(WantedRelease { repository: repository.clone(), name, inner: None, outer: None });
            }
        }
    }
    more
}

/// The `count` newest versions in an index, newest first, including pre-releases.
pub(super) fn newest_of(index: &PackageIndex, count: usize) -> Vec<ReleaseVersion> {
    let mut versions: Vec<ReleaseVersion> =
        index.releases.iter().filter_map(|release| release.version.parse().ok()).collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.truncate(count);
    versions
}

/// The index of a package, as clients of the repository get it.
pub(super) async fn index(repository: &Repository, package: &PackageName) -> Result<PackageIndex, Failure> {
    let resource = RegistryResource::Package(package.clone());
    let payload = payload(repository, package).await?;
    match Index::decode(&resource, &payload) {
        Ok(Index::Package(index)) => Ok(index),
        _ => Err(Failure::Index),
    }
}

/// The payload of the index of a package.
async fn payload(repository: &Repository, package: &PackageName) -> Result<Bytes, Failure> {
    let resource = RegistryResource::Package(package.clone());
    let signed_by = repository.signature();
    let served = repository.registry(&grant(repository), &resource, signed_by, context()).await?;
    let body = served.value.signed.body().clone();
    let opened = shutdown::blocking(move || {
        let envelope = Envelope::open(body, resource.max_payload()).ok()?;
        Some(envelope.payload)
    });
    opened.await?.ok_or(Failure::Index)
}

/// Downloads one tarball, after its checksums have been compared.
async fn tarball(wanted: &WantedRelease) -> Result<Brought, Failure> {
    let (repository, grant) = (&wanted.repository, grant(&wanted.repository));
    // This must be the first request, because it refreshes an index that does not list the release.
    let known = async || {
        let order = DeliveryOrder::internal(ReleaseFile::Tarball, DeliveryExtent::Head);
        let served = repository.deliver(&grant, &wanted.name, order, context()).await?;
        Ok::<_, RepoError>((served.value.digest(), served.value.length()))
    };
    let (digest, length) = known().await?;
    if wanted.inner.is_some() || wanted.outer.is_some() {
        let index = index(repository, &wanted.name.package).await?;
        let release = index.release(&wanted.name.version);
        let listed = release.map(|release| (release.inner, release.outer)).unwrap_or_default();
        same("inner", wanted.inner, listed.0)?;
        same("outer", wanted.outer, listed.1.or(digest))?;
    }
    let served = repository
        .deliver(&grant, &wanted.name, DeliveryOrder::internal(ReleaseFile::Tarball, DeliveryExtent::Whole), context())
        .await?;
    let bytes = served.value.length().unwrap_or_default();
    if let (DeliveryAnswer::File(Artifact::Filling(mut reader)), _) = served.value.into_answer() {
        while let Some(piece) = reader.next().await {
            piece.map_err(Failure::Body)?;
        }
    }
    match known().await? {
        (_, Some(_)) => Ok(Brought { there: length.is_some(), bytes }),
        (_, None) => Err(Failure::NotStored),
    }
}

fn same(kind: &'static str, locked: Option<Sha256>, listed: Option<Sha256>) -> Result<(), Failure> {
    match (locked, listed) {
        (Some(locked), Some(listed)) if locked != listed => Err(Failure::Checksum { kind, locked, listed }),
        _ => Ok(()),
    }
}

/// Downloads the docs of a release. Returns the number of downloaded bytes; `None` if the release has no docs.
async fn docs(wanted: &WantedRelease) -> Result<Option<u64>, Failure> {
    let grant = grant(&wanted.repository);
    let order = DeliveryOrder::internal(ReleaseFile::Docs, DeliveryExtent::Whole);
    match wanted.repository.deliver(&grant, &wanted.name, order, context()).await {
        // Docs are always complete before they are served.
        Ok(served) => Ok(Some(served.upstream.and(served.value.length()).unwrap_or_default())),
        Err(RepoError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
