//! The description of a package for a caller.

use std::sync::Arc;

use serde_json::Value;

use super::package_home::{PackageHome, ShownReleases};
use super::{FoundName, Reading};
use crate::auth::{OwnerLevel, ReadGrant};
use crate::hex::name::PackageName;
use crate::repository::local::Package;
use crate::repository::remote::{DescribedPackage, UpstreamAnswer, without_held};
use crate::repository::{LocalRepository, RepoError, Repository};

/// The description of a package for a caller.
#[derive(Clone, Debug)]
pub struct PackageView {
    home: Repository,
    is_public: bool,
    content: PackageContent,
}

/// The content of a description, by source.
#[derive(Clone, Debug)]
pub enum PackageContent {
    /// From a local repository: everything that was published, the newest release first. In the repository of an
    /// organization the owners are never empty: the organization owns the packages that no user owns.
    Local(Package),
    /// From the upstream's API, unchanged.
    Upstream(Arc<Value>),
    /// From the signed index.
    Index(DescribedPackage),
    /// From the signed list of versions.
    Listed(FoundName),
}

impl PackageView {
    /// Creates a description. The caller has applied the rules of [`super`].
    pub(super) fn new(home: Repository, is_public: bool, content: PackageContent) -> Self {
        Self { home, is_public, content }
    }

    /// A package of a local repository without the releases that are held by policy.
    pub(super) fn of_local(
        local: Arc<LocalRepository>,
        is_public: bool,
        package: Package,
        left: &ShownReleases,
    ) -> Self {
        let package = owned(&local, left.only(package));
        Self::new(Repository::Local(local), is_public, PackageContent::Local(package))
    }

    /// The repository that has it, never a virtual one.
    pub fn home(&self) -> &Repository {
        &self.home
    }

    /// Whether everyone gets the same answer.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// The content of the description.
    pub fn content(&self) -> &PackageContent {
        &self.content
    }

    /// The repository that has it, and the content of the description.
    pub fn into_parts(self) -> (Repository, PackageContent) {
        (self.home, self.content)
    }

    /// Its name, if the content has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.content {
            PackageContent::Local(package) => Some(&package.name),
            PackageContent::Upstream(value) => value.get("name").and_then(Value::as_str),
            PackageContent::Index(described) => Some(&described.name),
            PackageContent::Listed(found) => Some(&found.name),
        }
    }
}

/// Completes the owners of a package. If no user owns it, it belongs to the organization of its repository, whose
/// members have rights by their roles anyway.
pub(super) fn owned(local: &LocalRepository, mut package: Package) -> Package {
    if let (true, Some(organization)) = (package.owners.is_empty(), local.identity().access.organization()) {
        package.owners.insert(organization.to_owned(), OwnerLevel::Full);
    }
    package
}

impl Repository {
    /// Describes a package for a caller. `grant` is a right to this repository. Cancel safe.
    pub async fn describe(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
        reading: Reading<'_>,
    ) -> Result<PackageView, RepoError> {
        match PackageHome::of(self, grant, name, reading).await? {
            PackageHome::Local { local, right, shown } => {
                let package = local.package(&right, name).await?.ok_or(RepoError::NotFound)?;
                let left = ShownReleases::when_shown(self, name, shown.as_ref(), reading).await?;
                Ok(PackageView::of_local(local, right.is_public(), package, &left))
            }
            PackageHome::Several(shown) => {
                let home = shown.sources.first().map_or_else(|| self.clone(), |(home, _)| home.clone());
                Ok(PackageView::new(home, grant.is_public(), PackageContent::Index(shown.described)))
            }
            PackageHome::Remote { remote, right, shown } => {
                let content = match (remote.about_package(&right, name, reading.context).await?, shown) {
                    (UpstreamAnswer::Api(value), None) => PackageContent::Upstream(value),
                    (UpstreamAnswer::Api(value), Some(shown)) => {
                        PackageContent::Upstream(Arc::new(without_held(&value, &shown.described)))
                    }
                    (UpstreamAnswer::Registry(described), shown) => {
                        PackageContent::Index(shown.map_or(described, |shown| shown.described))
                    }
                };
                Ok(PackageView::new(Repository::Remote(remote), grant.is_public(), content))
            }
        }
    }
}
