//! Finds the repositories of a release's dependencies (interface §5).

use super::error::WriteError;
use super::{DependencyCheck, LocalRepository, PublishOptions, Requirement};
use crate::hex::invalid::Invalid;
use crate::hex::metadata::Dependency;
use crate::hex::name::{HEXPM, PackageName, RepoName};
use crate::repository::directory::{Presence, ViewHome};

impl LocalRepository {
    /// Finds the repository of each dependency. The repository in a package is only a hint: mix writes `hexpm` for
    /// every dependency without a repository of its own, so a package in this repository is preferred.
    ///
    /// If the release is published through a virtual repository, its order decides: that in `how`, or else
    /// `publish_view`. A package that the publisher may not read counts as missing.
    pub(super) async fn resolve(
        &self,
        package: &PackageName,
        dependencies: &[Dependency],
        how: PublishOptions<'_>,
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
        Ok(faults.into_result(requirements)?)
    }

    async fn resolve_one(
        &self,
        package: &PackageName,
        dependency: &Dependency,
        how: PublishOptions<'_>,
    ) -> Result<Result<RepoName, String>, WriteError> {
        let own = dependency.package == *package || self.has_package(&dependency.package).await?;
        let word = dependency.repository.as_deref().unwrap_or(HEXPM);
        let is_own_word = word == self.key().as_str() || word == self.options.identity.name.as_str();
        // A dependency with an explicit repository other than hexpm is in that repository, even if we have a package of
        // this name.
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
            && let ViewHome::In(home) = self.directory.home(view, &dependency.package).await
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
            None => self.directory.resolve(word),
        };
        // If the repository is virtual, the package is in the member that has it.
        let (key, hidden) = match key {
            Some(key) => match self.directory.home(&key, &dependency.package).await {
                ViewHome::In(member) if sees(&member) => (Some(member), false),
                ViewHome::In(_) => (Some(key), true),
                ViewHome::Nowhere | ViewHome::Unknown => (Some(key), false),
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
        let is_local = key == *self.key() || self.directory.is_local(key.as_str());
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
            false => self.directory.has_package(&key, &dependency.package).await,
        };
        Ok(match presence {
            Presence::Yes => Ok(key),
            Presence::No => Err(absent()),
            Presence::Unknown => {
                tracing::warn!(
                    repository = %self.key(), %package, dependency = %dependency.package, in = %key,
                    "a dependency could not be looked up: it is accepted unchecked"
                );
                Ok(key)
            }
        })
    }
}
