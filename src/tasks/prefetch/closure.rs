//! Finds all direct and indirect dependencies of releases, each in the newest version that meets the requirement.
//!
//! This is not a version solver like that of a client: each requirement is considered separately. A client may
//! therefore resolve to other versions. It is meant for warming a cache, and for lock files with only a part of the
//! dependencies.

use std::collections::{HashMap, VecDeque};

use super::{Failure, WantedRelease, may_ask, payload, retry, sentence};
use crate::hex::index::{Dependency, dependencies};
use crate::hex::limits;
use crate::hex::name::PackageName;
use crate::hex::requirement::Requirement;
use crate::hex::resource::ArtifactName;
use crate::hex::version::ReleaseVersion;
use crate::repository::Repository;

/// The releases of a package with their dependencies.
pub(in crate::tasks) type Releases = Vec<(ReleaseVersion, Vec<Dependency>)>;

/// Adds all dependencies to `all`, and an error for each missing dependency to `failed`.
pub(super) async fn extend(all: &mut Vec<WantedRelease>, failed: &mut Vec<String>) {
    let mut known: HashMap<(String, PackageName), Releases> = HashMap::new();
    let mut todo: VecDeque<WantedRelease> = all.iter().cloned().collect();
    while let Some(one) = todo.pop_front() {
        if let Err(error) = learn(&mut known, &one.repository, &one.name.package).await {
            // The download of this release will report the error.
            tracing::debug!(%one, error = &error as &dyn std::error::Error, "cannot read the dependencies of a release");
            continue;
        }
        for dependency in of(&known, &one) {
            match fitting(&mut known, all, &one, &dependency).await {
                Ok(Some(found)) if all.len() < limits::LOCKED => {
                    all.push(found.clone());
                    todo.push_back(found);
                }
                Ok(Some(_)) => {
                    failed.push(format!("{one} and others depend on more than {} releases", limits::LOCKED));
                    return;
                }
                Ok(None) => {}
                Err(why) => failed.push(format!("{one} depends on {}: {why}", dependency.package)),
            }
        }
    }
}

fn of(known: &HashMap<(String, PackageName), Releases>, one: &WantedRelease) -> Vec<Dependency> {
    let releases = known.get(&(one.repository.key().to_string(), one.name.package.clone()));
    let found = releases.into_iter().flatten().find(|(version, _)| *version == one.name.version);
    let all = found.map(|(_, dependencies)| dependencies.clone()).unwrap_or_default();
    all.into_iter().filter(|dependency| !dependency.optional).collect()
}

/// The release to download for a dependency; `None` if a release in `all` already meets the requirement.
async fn fitting(
    known: &mut HashMap<(String, PackageName), Releases>,
    all: &[WantedRelease],
    one: &WantedRelease,
    dependency: &Dependency,
) -> Result<Option<WantedRelease>, String> {
    let repository = &one.repository;
    if let Some(other) = dependency.repository.as_deref().filter(|other| *other != repository.name().as_str()) {
        return Err(format!("it is in the repository `{other}`; use a lock file that contains it"));
    }
    let package: PackageName = dependency.package.parse().map_err(|_| "it is not a valid package name".to_owned())?;
    let requirement: Requirement = dependency
        .requirement
        .parse()
        .map_err(|_| format!("`{}` is not a valid requirement", dependency.requirement))?;
    let fits = |wanted: &&WantedRelease| {
        wanted.repository.is(repository) && wanted.name.package == package && requirement.matches(&wanted.name.version)
    };
    if all.iter().any(|wanted| fits(&wanted)) {
        return Ok(None);
    }
    if !may_ask(repository, &package).await {
        return Err(format!(
            "the name is private, and must not be sent to the upstream of `{}`; use a lock file that lists the package under its own repository",
            repository.key()
        ));
    }
    learn(known, repository, &package).await.map_err(|error| sentence(&error))?;
    let releases = known.get(&(repository.key().to_string(), package.clone())).map(Vec::as_slice).unwrap_or_default();
    let version =
        newest(releases, &requirement).ok_or_else(|| format!("no release matches `{}`", requirement.as_str()))?;
    let name = ArtifactName { package, version };
    Ok(Some(WantedRelease { repository: repository.clone(), name, inner: None, outer: None }))
}

/// The newest version that meets the requirement; a pre-release only if no other version does.
pub(in crate::tasks) fn newest(
    releases: &[(ReleaseVersion, Vec<Dependency>)],
    requirement: &Requirement,
) -> Option<ReleaseVersion> {
    let fitting = releases.iter().map(|(version, _)| version).filter(|version| requirement.matches(version));
    fitting.max_by_key(|version| (!version.is_pre_release(), (*version).clone())).cloned()
}

/// Reads the index of a package, if it was not read before.
async fn learn(
    known: &mut HashMap<(String, PackageName), Releases>,
    repository: &Repository,
    package: &PackageName,
) -> Result<(), Failure> {
    let key = (repository.key().to_string(), package.clone());
    if known.contains_key(&key) {
        return Ok(());
    }
    let found = retry(Failure::again_after, || releases(repository, package)).await?;
    known.insert(key, found);
    Ok(())
}

/// The releases of a package, as clients of the repository get them.
pub(in crate::tasks) async fn releases(repository: &Repository, package: &PackageName) -> Result<Releases, Failure> {
    let payload = payload(repository, package).await?;
    let releases = dependencies(&payload).map_err(|_| Failure::Index)?;
    let parsed = releases.into_iter().filter_map(|(version, of)| Some((version.parse().ok()?, of)));
    Ok(parsed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stable_release_that_fits_is_taken() {
        let releases: Vec<(ReleaseVersion, Vec<Dependency>)> =
            ["1.0.0", "1.2.0", "1.3.0-rc.1", "2.0.0"].map(|version| (version.parse().unwrap(), Vec::new())).into();
        let taken = |requirement: &str| {
            newest(&releases, &requirement.parse().unwrap()).map(|version| version.as_str().to_owned())
        };
        assert_eq!(taken("~> 1.0").as_deref(), Some("1.2.0"));
        assert_eq!(taken("~> 1.3-rc").as_deref(), Some("1.3.0-rc.1"));
        assert_eq!(taken(">= 0.0.0").as_deref(), Some("2.0.0"));
        assert_eq!(taken("~> 3.0"), None);
    }
}
