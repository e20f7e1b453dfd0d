//! The catalog of all repositories: finds a repository by its key or its host name.

use std::collections::HashMap;

use super::handle::Repository;
use crate::auth::{Caller, ReadGrant};
use crate::hex::name::RepoName;

/// All repositories of a configuration. A catalog never changes: a reload builds a new one.
#[derive(Debug)]
pub struct Catalog {
    default: Repository,
    by_key: HashMap<RepoName, Repository>,
    by_host: HashMap<String, Repository>,
}

/// The configured default repository does not exist.
#[derive(Debug, thiserror::Error)]
#[error("default_repository is `{0}`, but this repository is not configured")]
pub struct NoDefault(RepoName);

impl Catalog {
    /// Creates the catalog of `repositories`; `default` answers at `/`.
    pub fn new(repositories: Vec<Repository>, default: &RepoName) -> Result<Self, NoDefault> {
        let by_host = repositories
            .iter()
            .flat_map(|repository| repository.identity().hosts.iter().map(|host| (host.clone(), repository.clone())))
            .collect();
        let by_key: HashMap<_, _> =
            repositories.into_iter().map(|repository| (repository.key().clone(), repository)).collect();
        let default = by_key.get(default).cloned().ok_or_else(|| NoDefault(default.clone()))?;
        Ok(Self { default, by_key, by_host })
    }

    /// The repository at `/`.
    pub fn default_repository(&self) -> &Repository {
        &self.default
    }

    /// The repository with this key.
    pub fn get(&self, key: &str) -> Option<&Repository> {
        self.by_key.get(key)
    }

    /// The repository that is configured for a host name; `host` is in lower case, without port.
    pub fn by_host(&self, host: &str) -> Option<&Repository> {
        // Most configurations have no host names; then requests skip the look-up.
        if self.by_host.is_empty() { None } else { self.by_host.get(host) }
    }

    /// All repositories.
    pub fn iter(&self) -> impl Iterator<Item = &Repository> {
        self.by_key.values()
    }

    /// The repositories that a caller may read through the API, each with the right to do so.
    pub fn readable<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = (&'a Repository, ReadGrant)> {
        self.iter().filter_map(move |repository| Some((repository, repository.access().read_api(caller).ok()?)))
    }

    /// Whether packages of a repository may be shown to a caller next to those of other repositories. This is allowed
    /// if the repository has an address of its own, or is a local member of a virtual repository that the caller may
    /// read.
    pub(super) fn is_listed_for(&self, repository: &Repository, caller: &Caller) -> bool {
        let is_above = |(one, _): (&Repository, ReadGrant)| {
            one.identity().direct && one.as_virtual().is_some_and(|composed| composed.has_member(repository.key()))
        };
        repository.identity().direct || repository.as_local().is_some() && self.readable(caller).any(is_above)
    }
}
