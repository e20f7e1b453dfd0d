//! Looks up names and packages in other repositories, for repositories. Changes in a repository are announced by
//! [`Changes`](super::Changes).

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
use crate::hex::name::{HEXPM, PackageName, PolicyName, RepoName};

/// How long a publish waits for another repository's list of names.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Whether a repository has a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has the package.
    Yes,
    /// It does not have the package.
    No,
    /// This cannot be determined now.
    Unknown,
}

/// The repository from which a view serves a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewHome {
    /// The repository with this key.
    In(RepoName),
    /// The view does not serve the package.
    Nowhere,
    /// This cannot be determined now, because not all members can be asked.
    Unknown,
}

/// Finds the repositories of the active configuration; a reload replaces them.
#[derive(Debug, Default)]
pub struct Directory {
    known: ArcSwap<Known>,
}

#[derive(Debug, Default)]
struct Known {
    default: Option<RepoName>,
    repositories: Vec<Entry>,
}

/// A repository, which the configuration owns. The references are weak: each repository holds the directory, and must
/// not keep the others alive.
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

    /// The repository; `None` if its configuration is no longer active.
    fn repository(&self) -> Option<Repository> {
        match self {
            Self::Remote(remote) => remote.upgrade().map(Repository::Remote),
            Self::Local(local) => local.upgrade().map(Repository::Local),
            Self::Virtual(composed) => composed.upgrade().map(Repository::Virtual),
        }
    }
}

/// The context of a look-up for a publish, with a short deadline.
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
    /// Sets the repositories of a configuration; `default` answers at `/`.
    pub fn set(&self, repositories: &[Repository], default: RepoName) {
        let repositories = repositories.iter().map(Entry::of).collect();
        self.known.store(Arc::new(Known { default: Some(default), repositories }));
    }

    /// The key of the repository that packages refer to by this word: a key, a name, or `hexpm`.
    pub fn resolve(&self, word: &str) -> Option<RepoName> {
        let known = self.known.load();
        let by_key = known.get(word);
        let default = || known.default.as_ref().and_then(|key| known.get(key.as_str()));
        let by_name = || known.repositories().find(|repository| repository.name().as_str() == word);
        // `hexpm` is the default repository if that has this name, otherwise any repository with this key or name.
        let found = match word {
            HEXPM => default().filter(|default| default.name().as_str() == HEXPM).or(by_key).or_else(by_name),
            _ => by_key.or_else(by_name),
        };
        // If no repository has this name, such packages are fetched from the default repository.
        let found = found.or_else(|| default().filter(|_| word == HEXPM));
        found.map(|repository| repository.key().clone())
    }

    /// The name in the payloads of the repository with this key.
    pub fn name_of(&self, key: &str) -> Option<RepoName> {
        self.known.load().get(key).map(|repository| repository.name().clone())
    }

    /// Whether the repository with this key is a local one.
    pub fn is_local(&self, key: &str) -> bool {
        self.known.load().get(key).is_some_and(|repository| repository.as_local().is_some())
    }

    /// Whether a name must not be sent to the repository `key`, because it is private in a view of which the repository
    /// is a member. If this cannot be determined, the name is not sent either.
    pub fn is_kept_from<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, bool> {
        // Boxed, because a view may ask the repository that asks here.
        Box::pin(async move {
            let known = self.known.load_full();
            // Local data about all views is checked first: asking the members of one view could reveal a name of
            // another view.
            for asks in [false, true] {
                for repository in known.repositories() {
                    let context = asks.then(in_time);
                    if let Some(view) = repository.as_virtual()
                        && view.is_private_from(key, package, context).await.unwrap_or(true)
                    {
                        return true;
                    }
                }
            }
            false
        })
    }

    /// Whether a policy of this name is active in a repository.
    pub fn has_policy(&self, name: &PolicyName) -> bool {
        let known = self.known.load();
        known.repositories().any(|one| one.enforcer().is_some_and(|enforcer| enforcer.name() == name))
    }

    /// The repository from which a virtual repository would serve a package, independent of the caller.
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

    /// Whether a repository has a package. Its complete list of names is used, so that no upstream learns the name.
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
