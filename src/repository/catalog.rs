//! Which repository answers under which base.

use std::collections::HashMap;
use std::sync::Arc;

use super::remote::RemoteRepository;
use crate::hex::name::RepoName;

/// All repositories of a configuration. Built whole, never changed: a reload makes a new one.
#[derive(Debug)]
pub struct Catalog {
    default: Arc<RemoteRepository>,
    by_key: HashMap<RepoName, Arc<RemoteRepository>>,
    by_host: HashMap<String, Arc<RemoteRepository>>,
}

/// A repository that is named as the default and does not exist.
#[derive(Debug, thiserror::Error)]
#[error("default_repository names `{0}`, which is not configured")]
pub struct NoDefault(RepoName);

impl Catalog {
    /// A catalog of `repositories`, of which `default` answers at `/`.
    pub fn new(repositories: Vec<Arc<RemoteRepository>>, default: &RepoName) -> Result<Self, NoDefault> {
        let by_host = repositories
            .iter()
            .flat_map(|repository| repository.hosts().iter().map(|host| (host.clone(), Arc::clone(repository))))
            .collect();
        let by_key: HashMap<_, _> =
            repositories.into_iter().map(|repository| (repository.key().clone(), repository)).collect();
        let default = by_key.get(default).map(Arc::clone).ok_or_else(|| NoDefault(default.clone()))?;
        Ok(Self { default, by_key, by_host })
    }

    /// The repository at `/`.
    pub fn default_repository(&self) -> &Arc<RemoteRepository> {
        &self.default
    }

    /// The repository with this key.
    pub fn get(&self, key: &str) -> Option<&Arc<RemoteRepository>> {
        self.by_key.get(key)
    }

    /// The repository that a host name stands for; `host` without port, lower case.
    pub fn by_host(&self, host: &str) -> Option<&Arc<RemoteRepository>> {
        // Most configurations have none, and then no request pays for the look-up.
        if self.by_host.is_empty() { None } else { self.by_host.get(host) }
    }

    /// All repositories.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RemoteRepository>> {
        self.by_key.values()
    }
}
