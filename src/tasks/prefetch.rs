//! `prefetch`: brings what lock files name into the store before anybody asks for it, and holds the locks' checksums
//! against the verified indexes.
//!
//! It asks repositories as a client would, of whatever type they are, so what it has brought is what clients get.

pub(super) mod closure;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::patience::again;
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

/// Releases under way at one time; what goes upstream is limited by the repository's `concurrency`, too.
const AT_ONCE: usize = 16;

/// How long one answer may take to begin, retries of the repository included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A release that is wanted, and what somebody says its checksums are.
#[derive(Clone, Debug)]
pub struct WantedRelease {
    /// Where it is.
    pub repository: Repository,
    /// Which.
    pub name: ArtifactName,
    /// SHA-256 over the parts of the tarball.
    pub inner: Option<Sha256>,
    /// SHA-256 over the whole tarball.
    pub outer: Option<Sha256>,
}

impl fmt::Display for WantedRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.name.package, self.name.version, self.repository.key())
    }
}

/// What else is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefetchExtent {
    /// The documentation of each release, where it has some.
    pub docs: bool,
    /// So many of the newest releases of each package.
    pub latest: usize,
    /// What each release depends on: the newest release that fits, and what that depends on.
    pub closure: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefetched {
    /// Releases that were there already.
    pub there: u64,
    /// Releases that were brought.
    pub brought: u64,
    /// Documentation that is there or was brought.
    pub docs: u64,
    /// Bytes of tarballs and documentation that were brought.
    pub bytes: u64,
    /// A sentence for each thing that is not there.
    pub failed: Vec<String>,
}

/// Why something is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Repository(#[from] RepoError),
    #[error("the registry's index cannot be read")]
    Index,
    #[error("the lock file has the {kind} checksum {locked}, the registry has {listed}")]
    Checksum { kind: &'static str, locked: Sha256, listed: Sha256 },
    #[error("the file broke off")]
    Body(#[source] crate::repository::BodyError),
    #[error("it was fetched and could not be stored: is the disk full, or storage.cache_limit too small?")]
    NotStored,
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Failure {
    /// When it is worth another try.
    fn again_after(&self) -> Option<Duration> {
        match self {
            Self::Repository(error) => error.again_after(),
            Self::Body(_) => Some(Duration::ZERO),
            Self::Index | Self::Checksum { .. } | Self::NotStored | Self::Task(_) => None,
        }
    }
}

/// What came of one release.
struct Brought {
    there: bool,
    bytes: u64,
}

/// Brings `wanted` and what `extent` adds to it, and says what that is altogether. Ends when all is there or has failed;
/// dropping it stops it, and what was brought stays.
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
        let tarball = again(Failure::again_after, || tarball(&one)).await;
        let docs = match (&tarball, extent.docs) {
            (Ok(_), true) => again(Failure::again_after, || docs(&one)).await,
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

/// Brings the index of what releases depend on and no lock file names, since it is optional: who resolves asks for it, and
/// goes on without it.
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
                tracing::debug!(%package, error = &error as &dyn std::error::Error, "an index is not here");
            }
        }
    }
}

/// Whether a repository is asked for a dependency that nobody has asked it for: no upstream is told a private name.
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

/// The newest releases of every package of `wanted` that are not wanted already.
async fn newest(wanted: &[WantedRelease], count: usize, outcome: &mut Prefetched) -> Vec<WantedRelease> {
    let mut packages: Vec<(&Repository, &PackageName)> = Vec::new();
    for one in wanted {
        if !packages.iter().any(|(known, name)| known.is(&one.repository) && **name == one.name.package) {
            packages.push((&one.repository, &one.name.package));
        }
    }
    let mut more = Vec::new();
    for (repository, package) in packages {
        let index = match again(Failure::again_after, || index(repository, package)).await {
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

/// The `count` newest versions of an index, the newest first; pre-releases count like others.
pub(super) fn newest_of(index: &PackageIndex, count: usize) -> Vec<ReleaseVersion> {
    let mut versions: Vec<ReleaseVersion> =
        index.releases.iter().filter_map(|release| release.version.parse().ok()).collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.truncate(count);
    versions
}

/// The index of a package as clients of the repository get it.
pub(super) async fn index(repository: &Repository, package: &PackageName) -> Result<PackageIndex, Failure> {
    let resource = RegistryResource::Package(package.clone());
    let payload = payload(repository, package).await?;
    match Index::decode(&resource, &payload) {
        Ok(Index::Package(index)) => Ok(index),
        _ => Err(Failure::Index),
    }
}

/// The payload of the same.
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

/// Brings one tarball, after its checksums have been compared.
async fn tarball(wanted: &WantedRelease) -> Result<Brought, Failure> {
    let (repository, grant) = (&wanted.repository, grant(&wanted.repository));
    // First: an index that does not list the release is asked for anew.
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

/// Brings the docs of a release, and says how many bytes were fetched; `None` where it has none.
async fn docs(wanted: &WantedRelease) -> Result<Option<u64>, Failure> {
    let grant = grant(&wanted.repository);
    let order = DeliveryOrder::internal(ReleaseFile::Docs, DeliveryExtent::Whole);
    match wanted.repository.deliver(&grant, &wanted.name, order, context()).await {
        // They are whole before they are answered.
        Ok(served) => Ok(Some(served.upstream.and(served.value.length()).unwrap_or_default())),
        Err(RepoError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
