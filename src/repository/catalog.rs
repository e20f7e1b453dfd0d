//! Which repository answers under which base.

use std::collections::HashMap;

use super::handle::Repository;
use crate::auth::{Caller, ReadGrant};
use crate::hex::name::RepoName;

/// All repositories of a configuration. Built whole, never changed: a reload makes a new one.
#[derive(Debug)]
pub struct Catalog {
    default: Repository,
    by_key: HashMap<RepoName, Repository>,
    by_host: HashMap<String, Repository>,
}

/// A repository that is named as the default and does not exist.
#[derive(Debug, thiserror::Error)]
#[error("default_repository names `{0}`, which is not configured")]
pub struct NoDefault(RepoName);

impl Catalog {
    /// A catalog of `repositories`, of which `default` answers at `/`.
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

    /// The repository that a host name stands for; `host` without port, lower case.
    pub fn by_host(&self, host: &str) -> Option<&Repository> {
        // Most configurations have none, and then no request pays for the look-up.
        if self.by_host.is_empty() { None } else { self.by_host.get(host) }
    }

    /// All repositories.
    pub fn iter(&self) -> impl Iterator<Item = &Repository> {
        self.by_key.values()
    }

    /// The repositories of which a caller may know, each with the right to read it otherwise than as clients do.
    pub fn readable<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = (&'a Repository, ReadGrant)> {
        self.iter().filter_map(move |repository| Some((repository, repository.access().read_api(caller).ok()?)))
    }

    /// Whether packages of a repository that a caller may read are told of beside those of others: at its own address, or,
    /// of a local one, at that of a virtual repository that the caller may read.
    pub(super) fn tells(&self, repository: &Repository, caller: &Caller) -> bool {
        let is_above = |(one, _): (&Repository, ReadGrant)| {
            one.identity().direct && one.as_virtual().is_some_and(|composed| composed.has_member(repository.key()))
        };
        repository.identity().direct || repository.as_local().is_some() && self.readable(caller).any(is_above)
    }
}
