//! `prefetch: closure` of a remote repository: downloads the dependencies of requested releases in the background.
//!
//! A request for a tarball starts the download of the tarballs of all dependencies; a request for an index starts the
//! download of their indexes. Dependencies are found in the same way as by `prefetch --closure`. The load on the
//! upstream is small: few concurrent requests, a limited number of releases for each request, and an end at the first
//! failure. The next request of a client starts again.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use super::prefetch::closure::{newest, releases};
use super::prefetch::{Failure, index, may_ask};
use super::report::sentence;
use crate::cache::artifacts::ArtifactPlace;
use crate::hex::index::Dependency;
use crate::hex::limits;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::repository::prefetch_queue::{PrefetchQueue, PrefetchRequest};
use crate::repository::{RemoteRepository, RepoError, Repository};
use crate::shutdown::Tasks;

/// Number of client requests whose dependencies are downloaded concurrently, each with one download at a time.
const AT_ONCE: usize = 2;

/// Handles requests from the queue until `tasks` stop. Incomplete downloads are not kept.
pub async fn run(heard: mpsc::Receiver<PrefetchRequest>, told: PrefetchQueue, tasks: Tasks) {
    let each = stream::unfold(heard, |mut heard| async { heard.recv().await.map(|asked| (asked, heard)) });
    let closures = each.map(|asked| warm(asked, &told)).buffer_unordered(AT_ONCE);
    tokio::select! {
        () = tasks.stopping() => {}
        () = closures.for_each(|()| std::future::ready(())) => {}
    }
}

async fn warm(beginning: PrefetchRequest, told: &PrefetchQueue) {
    let mut found = Vec::new();
    let Err(failure) = follow(&beginning, told, &mut found).await else { return };
    told.count(&beginning, "failed");
    // Forget all of them, because otherwise the next request would not find the remaining dependencies.
    for (asked, _) in &found {
        told.forget(asked);
    }
    told.forget(&beginning);
    let (repository, package) = (beginning.repository.key(), &beginning.package);
    tracing::info!(%repository, %package, why = sentence(&failure), "cannot prefetch all dependencies");
}

/// A dependency that was found, with its own dependencies.
type FoundDependency = (PrefetchRequest, Vec<Dependency>);

/// Downloads the dependencies of `beginning`. `found` lists `beginning` and its dependencies, in the order of
/// discovery.
async fn follow(
    beginning: &PrefetchRequest,
    told: &PrefetchQueue,
    found: &mut Vec<FoundDependency>,
) -> Result<(), Failure> {
    let dependencies = begin(beginning).await?;
    found.push((beginning.clone(), dependencies));
    let mut at = 0;
    while let Some((one, dependencies)) = found.get(at).cloned() {
        at += 1;
        for dependency in dependencies {
            let Some(next) = fitting(&one, &dependency).await? else { continue };
            if !told.is_first(&next.0) {
                continue;
            }
            if found.len() > limits::CLOSURE {
                told.forget(&next.0);
                tracing::debug!(package = %beginning.package, "stopped the prefetch: the package has too many dependencies");
                return Ok(());
            }
            let asked = next.0.clone();
            found.push(next);
            bring(&asked, told).await?;
        }
    }
    Ok(())
}

/// The dependencies of the requested release, or of the newest release if the index was requested.
async fn begin(asked: &PrefetchRequest) -> Result<Vec<Dependency>, Failure> {
    let all = releases(&Repository::Remote(Arc::clone(&asked.repository)), &asked.package).await?;
    let newest = || all.iter().max_by_key(|(version, _)| (!version.is_pre_release(), version.clone()));
    let found = match &asked.version {
        Some(wanted) => all.iter().find(|(version, _)| version == wanted),
        None => newest(),
    };
    Ok(found.map(|(_, dependencies)| dependencies.clone()).unwrap_or_default())
}

/// The newest release that meets a dependency, with its own dependencies. `None`: no release is available.
async fn fitting(one: &PrefetchRequest, dependency: &Dependency) -> Result<Option<FoundDependency>, Failure> {
    let repository: &Arc<RemoteRepository> = &one.repository;
    let is_here = dependency.repository.as_deref().is_none_or(|name| name == repository.identity().name.as_str());
    if dependency.optional || !is_here {
        return Ok(None);
    }
    let (package, requirement) = (dependency.package.parse(), dependency.requirement.parse());
    let (Ok::<PackageName, _>(package), Ok::<Requirement, _>(requirement)) = (package, requirement) else {
        return Ok(None);
    };
    let whole = Repository::Remote(Arc::clone(repository));
    if !may_ask(&whole, &package).await {
        return Ok(None);
    }
    let all = match releases(&whole, &package).await {
        Ok(all) => all,
        Err(Failure::Repository(RepoError::NotFound)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let Some(version) = newest(&all, &requirement) else { return Ok(None) };
    let dependencies = all.into_iter().find(|(found, _)| *found == version).map(|(_, of)| of).unwrap_or_default();
    let version: Option<ReleaseVersion> = one.version.is_some().then_some(version);
    Ok(Some((PrefetchRequest { repository: Arc::clone(repository), package, version }, dependencies)))
}

/// Downloads the tarball of a release. If only an index was requested, it is already in the cache.
async fn bring(asked: &PrefetchRequest, told: &PrefetchQueue) -> Result<(), Failure> {
    let Some(version) = asked.version.clone() else { return Ok(()) };
    let repository = Repository::Remote(Arc::clone(&asked.repository));
    let listed = index(&repository, &asked.package).await?;
    let Some(release) = listed.release(&version) else { return Ok(()) };
    let name = ArtifactName { package: asked.package.clone(), version };
    match asked.repository.bring(&name, release).await {
        Ok(ArtifactPlace::AlreadyStored(_)) => told.count(asked, "there"),
        Ok(ArtifactPlace::Fetched(..)) => told.count(asked, "brought"),
        // The registry lists the release without a checksum or without a file, so no client can download it.
        Err(RepoError::NoChecksum { .. } | RepoError::NotFound) => {}
        Ok(ArtifactPlace::NotStored) => return Err(Failure::NotStored),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
