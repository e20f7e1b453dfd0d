//! What local repositories know of the others: names, and which packages they have.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::any::Repository;
use super::composite::VirtualRepository;
use super::local::{Home, Neighbours, Presence};
use super::{Context, RepoError};
use crate::hex::name::{PackageName, PolicyName, RepoName};
use crate::hex::resource::RegistryResource;

/// How long a publish waits for another repository's list of names.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What clients call the default repository.
const HEXPM: &str = "hexpm";

/// All repositories of a configuration; a reload puts others in their place.
#[derive(Debug, Default)]
pub struct Directory {
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    default: Option<RepoName>,
    repositories: Vec<Repository>,
}

/// What others are asked while somebody publishes is due soon.
fn in_time() -> Context {
    Context { deadline: Instant::now() + LOOK_UP, client: None }
}

impl Known {
    fn get(&self, key: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.key().as_str() == key)
    }

    fn virtuals(&self) -> impl Iterator<Item = &Arc<VirtualRepository>> {
        self.repositories.iter().filter_map(Repository::as_virtual)
    }
}

impl Directory {
    /// Takes the repositories of a configuration in, of which `default` answers at `/`.
    pub fn set(&self, repositories: Vec<Repository>, default: RepoName) {
        self.known.store(Arc::new(Known { default: Some(default), repositories }));
    }

    /// Forgets all repositories: they know this directory, too, and would keep each other for ever.
    pub fn clear(&self) {
        self.known.store(Arc::default());
    }
}

impl Neighbours for Directory {
    fn resolve(&self, word: &str) -> Option<RepoName> {
        let known = self.known.load();
        let by_key = known.get(word);
        let default = || known.default.as_ref().and_then(|key| known.get(key.as_str()));
        let by_name = || known.repositories.iter().find(|repository| repository.name().as_str() == word);
        // What clients call hexpm is the default repository if it is of that name, and then any that is.
        let found = match word {
            HEXPM => default().filter(|default| default.name().as_str() == HEXPM).or(by_key).or_else(by_name),
            _ => by_key.or_else(by_name),
        };
        // Where nobody is of that name, the default repository is what such packages are fetched from.
        let found = found.or_else(|| default().filter(|_| word == HEXPM));
        found.map(|repository| repository.key().clone())
    }

    fn name_of(&self, key: &str) -> Option<RepoName> {
        self.known.load().get(key).map(|repository| repository.name().clone())
    }

    fn is_local(&self, key: &str) -> bool {
        self.known.load().get(key).is_some_and(|repository| repository.as_local().is_some())
    }

    fn home<'a>(&'a self, view: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, Home> {
        Box::pin(async move {
            let view = self.known.load().get(view.as_str()).and_then(Repository::as_virtual).map(Arc::clone);
            let Some(view) = view else { return Home::Unknown };
            match view.home(package, in_time()).await {
                Ok(Some(key)) => Home::In(key),
                Ok(None) => Home::Nowhere,
                Err(_) => Home::Unknown,
            }
        })
    }

    fn shadowed_in<'a>(
        &'a self,
        key: &'a RepoName,
        package: &'a PackageName,
    ) -> BoxFuture<'a, Result<Option<RepoName>, RepoError>> {
        Box::pin(async move {
            for view in self.known.load_full().virtuals() {
                if view.would_shadow(key, package, in_time()).await? {
                    return Ok(Some(view.key().clone()));
                }
            }
            Ok(None)
        })
    }

    fn changed(&self, key: &RepoName, package: &PackageName) {
        for view in self.known.load_full().virtuals().filter(|view| view.has_member(key)) {
            view.member_published(package);
        }
    }

    fn replaced(&self, key: &RepoName, resource: &RegistryResource) {
        let known = self.known.load_full();
        if let Some(remote) = known.get(key.as_str()).and_then(Repository::as_remote) {
            remote.fetched(resource);
        }
        for view in known.virtuals().filter(|view| view.has_member(key)) {
            view.member_fetched(resource);
        }
    }

    fn is_kept_from<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            for view in self.known.load_full().virtuals() {
                if view.keeps_from(key, package, in_time()).await.unwrap_or(true) {
                    return true;
                }
            }
            false
        })
    }

    fn has_policy(&self, name: &PolicyName) -> bool {
        let known = self.known.load();
        known.repositories.iter().filter_map(Repository::enforcer).any(|enforcer| enforcer.name() == name)
    }

    fn has_package<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, Presence> {
        Box::pin(async move {
            let Some(repository) = self.known.load().get(key.as_str()).cloned() else { return Presence::Unknown };
            match repository {
                Repository::Local(local) => match local.has_package(package).await {
                    Ok(true) => Presence::Yes,
                    Ok(false) => Presence::No,
                    Err(_) => Presence::Unknown,
                },
                Repository::Remote(remote) => match remote.lists(package, in_time().deadline).await {
                    Ok(true) => Presence::Yes,
                    Ok(false) => Presence::No,
                    Err(_) => Presence::Unknown,
                },
                Repository::Virtual(view) => match view.home(package, in_time()).await {
                    Ok(Some(_)) => Presence::Yes,
                    Ok(None) => Presence::No,
                    Err(_) => Presence::Unknown,
                },
            }
        })
    }
}
