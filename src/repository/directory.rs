//! What repositories look up in the others: names, and which packages they have. What has changed in one of them,
//! [`Changes`](super::Changes) tells.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::composite::VirtualRepository;
use super::handle::Repository;
use super::local::LocalRepository;
use super::remote::RemoteRepository;
use super::{RepoError, RequestContext};
use crate::hex::name::{PackageName, PolicyName, RepoName};

/// How long a publish waits for another repository's list of names.
const LOOK_UP: Duration = Duration::from_secs(5);

/// What clients call the default repository.
const HEXPM: &str = "hexpm";

/// Whether a repository has a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has.
    Yes,
    /// It has not.
    No,
    /// It cannot be asked now.
    Unknown,
}

/// From where a view answers a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewHome {
    /// From the repository with this key.
    In(RepoName),
    /// It does not.
    Nowhere,
    /// Not all of its members can be asked now.
    Unknown,
}

/// Finds the repositories of a configuration; a reload puts others in their place.
#[derive(Debug, Default)]
pub struct Directory {
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    default: Option<RepoName>,
    repositories: Vec<Entry>,
}

/// A repository, which the configuration owns. Weak: each of them holds the directory, and none keeps the others alive.
#[derive(Debug)]
enum Entry {
    Remote(Weak<RemoteRepository>),
    Local(Weak<LocalRepository>),
    Virtual(Weak<VirtualRepository>),
}

impl Entry {
    fn of(repository: &Repository) -> Self {
        match repository {
            Repository::Remote(remote) => Self::Remote(Arc::downgrade(remote)),
            Repository::Local(local) => Self::Local(Arc::downgrade(local)),
            Repository::Virtual(composed) => Self::Virtual(Arc::downgrade(composed)),
        }
    }

    /// The repository; `None` where its configuration has been given up.
    fn repository(&self) -> Option<Repository> {
        match self {
            Self::Remote(remote) => remote.upgrade().map(Repository::Remote),
            Self::Local(local) => local.upgrade().map(Repository::Local),
            Self::Virtual(composed) => composed.upgrade().map(Repository::Virtual),
        }
    }
}

/// What others are asked while somebody publishes is due soon.
fn in_time() -> RequestContext {
    RequestContext { deadline: Instant::now() + LOOK_UP, client: None }
}

impl Known {
    fn repositories(&self) -> impl Iterator<Item = Repository> {
        self.repositories.iter().filter_map(Entry::repository)
    }

    fn get(&self, key: &str) -> Option<Repository> {
        self.repositories().find(|repository| repository.key().as_str() == key)
    }
}

impl Directory {
    /// Takes the repositories of a configuration in, of which `default` answers at `/`.
    pub fn set(&self, repositories: &[Repository], default: RepoName) {
        let repositories = repositories.iter().map(Entry::of).collect();
        self.known.store(Arc::new(Known { default: Some(default), repositories }));
    }

    /// The key of the repository that packages call so: a key, a name, or `hexpm` for what clients call hexpm.
    pub fn resolve(&self, word: &str) -> Option<RepoName> {
        let known = self.known.load();
        let by_key = known.get(word);
        let default = || known.default.as_ref().and_then(|key| known.get(key.as_str()));
        let by_name = || known.repositories().find(|repository| repository.name().as_str() == word);
        // What clients call hexpm is the default repository if it is of that name, and then any that is.
        let found = match word {
            HEXPM => default().filter(|default| default.name().as_str() == HEXPM).or(by_key).or_else(by_name),
            _ => by_key.or_else(by_name),
        };
        // Where nobody is of that name, the default repository is what such packages are fetched from.
        let found = found.or_else(|| default().filter(|_| word == HEXPM));
        found.map(|repository| repository.key().clone())
    }

    /// The name inside payloads of the repository with this key.
    pub fn name_of(&self, key: &str) -> Option<RepoName> {
        self.known.load().get(key).map(|repository| repository.name().clone())
    }

    /// Whether the repository with this key is a local one.
    pub fn is_local(&self, key: &str) -> bool {
        self.known.load().get(key).is_some_and(|repository| repository.as_local().is_some())
    }

    /// Whether a name is private in a view that the repository `key` is a member of, so that it is told to others alone; also
    /// where that cannot be found out.
    pub fn is_kept_from<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, bool> {
        // Boxed: a view may ask the repository that asks here.
        Box::pin(async move {
            let known = self.known.load_full();
            // What is known of all views comes first: to ask the members of one would tell them another one's name.
            for asks in [false, true] {
                for repository in known.repositories() {
                    let context = asks.then(in_time);
                    if let Some(view) = repository.as_virtual()
                        && view.keeps_from(key, package, context).await.unwrap_or(true)
                    {
                        return true;
                    }
                }
            }
            false
        })
    }

    /// Whether a policy of this name is at work in a repository.
    pub fn has_policy(&self, name: &PolicyName) -> bool {
        let known = self.known.load();
        known.repositories().any(|one| one.enforcer().is_some_and(|enforcer| enforcer.name() == name))
    }

    /// From where a virtual repository would answer a package, whoever asked.
    pub async fn home(&self, view: &RepoName, package: &PackageName) -> ViewHome {
        let Some(Repository::Virtual(view)) = self.known.load().get(view.as_str()) else { return ViewHome::Unknown };
        match view.home(package, in_time()).await {
            Ok(Some(key)) => ViewHome::In(key),
            Ok(None) => ViewHome::Nowhere,
            Err(_) => ViewHome::Unknown,
        }
    }

    /// A virtual repository whose readers would lose a public package of this name if the repository `key` had it.
    pub async fn shadowed_in(&self, key: &RepoName, package: &PackageName) -> Result<Option<RepoName>, RepoError> {
        for repository in self.known.load_full().repositories() {
            if let Some(view) = repository.as_virtual()
                && view.would_shadow(key, package, in_time()).await?
            {
                return Ok(Some(view.key().clone()));
            }
        }
        Ok(None)
    }

    /// Whether a repository has a package; found in its list of all names, so that nobody learns which one was looked for.
    pub async fn has_package(&self, key: &RepoName, package: &PackageName) -> Presence {
        let found = match self.known.load().get(key.as_str()) {
            None => return Presence::Unknown,
            Some(Repository::Local(local)) => local.has_package(package).await.ok(),
            Some(Repository::Remote(remote)) => remote.lists(package, in_time().deadline).await.ok(),
            Some(Repository::Virtual(view)) => view.home(package, in_time()).await.ok().map(|home| home.is_some()),
        };
        match found {
            Some(true) => Presence::Yes,
            Some(false) => Presence::No,
            None => Presence::Unknown,
        }
    }
}
