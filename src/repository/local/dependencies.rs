//! Where the packages that a release depends on live (interface §5).

use std::fmt;

use futures_util::future::BoxFuture;

use super::error::WriteError;
use super::{DependencyCheck, LocalRepository, Publish, Requirement};
use crate::hex::invalid::Invalid;
use crate::hex::metadata::Dependency;
use crate::hex::name::{PackageName, PolicyName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::repository::RepoError;

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
pub enum Home {
    /// From the repository with this key.
    In(RepoName),
    /// It does not.
    Nowhere,
    /// Not all of its members can be asked now.
    Unknown,
}

/// The other repositories of this server.
pub trait Neighbours: Send + Sync + fmt::Debug {
    /// The key of the repository that packages call so: a key, a name, or `hexpm` for what clients call hexpm.
    fn resolve(&self, word: &str) -> Option<RepoName>;
    /// The name inside payloads of the repository with this key.
    fn name_of(&self, key: &str) -> Option<RepoName>;
    /// Whether the repository with this key is a local one.
    fn is_local(&self, key: &str) -> bool;
    /// From where a virtual repository would answer a package, whoever asked.
    fn home<'a>(&'a self, view: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, Home>;
    /// A virtual repository whose readers would lose a public package of this name if the repository `key` had it.
    fn shadowed_in<'a>(
        &'a self,
        key: &'a RepoName,
        package: &'a PackageName,
    ) -> BoxFuture<'a, Result<Option<RepoName>, RepoError>>;
    /// A package of the repository `key` is another one now.
    fn changed(&self, key: &RepoName, package: &PackageName);
    /// Something else is served of a resource of the repository `key`, which is a remote one.
    fn replaced(&self, key: &RepoName, resource: &RegistryResource);
    /// Whether a name is private in a view that the repository `key` is a member of, so that it is told to others alone; also
    /// where that cannot be found out.
    fn is_kept_from<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, bool>;
    /// Whether a policy of this name is at work in a repository.
    fn has_policy(&self, name: &PolicyName) -> bool;
    /// Whether a repository has a package; found in its list of all names, so that nobody learns which one was looked for.
    fn has_package<'a>(&'a self, key: &'a RepoName, package: &'a PackageName) -> BoxFuture<'a, Presence>;
}

/// What a package writes for the repository of a dependency that it says nothing about.
const HEXPM: &str = "hexpm";

impl LocalRepository {
    /// Finds the repository of each dependency. The word in a package is a hint: mix writes `hexpm` for everything that
    /// has no repository of its own, so a package that is here is meant first.
    ///
    /// Where they are published through a virtual repository, its order decides: that of `how`, or else `publish_view`. What
    /// whoever publishes may not read is answered as if it were not there.
    pub(super) async fn resolve(
        &self,
        package: &PackageName,
        dependencies: &[Dependency],
        how: Publish<'_>,
    ) -> Result<Vec<Requirement>, WriteError> {
        let mut faults = Invalid::default();
        let mut requirements = Vec::new();
        for dependency in dependencies {
            match self.resolve_one(package, dependency, how).await? {
                Ok(repository) => requirements.push(Requirement {
                    package: dependency.package.to_string(),
                    requirement: dependency.requirement.to_string(),
                    optional: dependency.optional,
                    app: dependency.app.to_string(),
                    repository: repository.to_string(),
                }),
                Err(message) => faults.push(&["requirements", dependency.package.as_str()], message),
            }
        }
        Ok(faults.unless(requirements)?)
    }

    async fn resolve_one(
        &self,
        package: &PackageName,
        dependency: &Dependency,
        how: Publish<'_>,
    ) -> Result<Result<RepoName, String>, WriteError> {
        let own = dependency.package == *package || self.has_package(&dependency.package).await?;
        let word = dependency.repository.as_deref().unwrap_or(HEXPM);
        let is_own_word = word == self.key().as_str() || word == self.options.identity.name.as_str();
        // What is said to live elsewhere, by a name that is not hexpm's, lives there, even if we have one of that name.
        let named_elsewhere = word != HEXPM && !is_own_word;
        let allowed = |key: &RepoName| {
            let list = self.options.allowed_dependency_repositories.as_ref();
            key == self.key() || list.is_none_or(|list| list.contains(key))
        };
        let sees = |key: &RepoName| {
            let readable = how.readable.filter(|_| key != self.key());
            readable.is_none_or(|readable| readable.allows(key, dependency.package.as_str()))
        };
        let absent = || format!("package does not exist in repository \"{word}\"");
        let view = how.view.or(self.options.publish_view.as_ref());
        if let Some(view) = view.filter(|view| !named_elsewhere || word == view.as_str())
            && dependency.package != *package
            && let Home::In(home) = self.neighbours.home(view, &dependency.package).await
            && allowed(&home)
            && sees(&home)
        {
            return Ok(Ok(home));
        }
        if own && !named_elsewhere {
            return Ok(Ok(self.key().clone()));
        }
        let key = match self.options.dependency_aliases.get(word) {
            Some(key) => Some(key.clone()),
            None if is_own_word => Some(self.key().clone()),
            None => self.neighbours.resolve(word),
        };
        // A package lives in the member of a virtual repository that has it.
        let (key, hidden) = match key {
            Some(key) => match self.neighbours.home(&key, &dependency.package).await {
                Home::In(member) if sees(&member) => (Some(member), false),
                Home::In(_) => (Some(key), true),
                Home::Nowhere | Home::Unknown => (Some(key), false),
            },
            None => (None, false),
        };
        let Some(key) = key.filter(allowed) else {
            return Ok(Err(format!(
                "dependencies can only belong to public repository \"hexpm\" or current repository \"{}\", got: \"{word}\"",
                self.options.identity.name
            )));
        };
        if !sees(&key) {
            return Ok(Err(absent()));
        }
        let is_local = key == *self.key() || self.neighbours.is_local(key.as_str());
        let looked_for = match self.options.dependency_check {
            DependencyCheck::Off => false,
            DependencyCheck::Local => is_local,
            DependencyCheck::Everywhere => true,
        };
        if !looked_for {
            return Ok(Ok(key));
        }
        let presence = match key == *self.key() {
            true if own => Presence::Yes,
            true => Presence::No,
            false if hidden => Presence::No,
            false => self.neighbours.has_package(&key, &dependency.package).await,
        };
        Ok(match presence {
            Presence::Yes => Ok(key),
            Presence::No => Err(absent()),
            Presence::Unknown => {
                tracing::warn!(
                    repository = %self.key(), %package, dependency = %dependency.package, in = %key,
                    "a dependency could not be looked up: it is taken as it is"
                );
                Ok(key)
            }
        })
    }
}
