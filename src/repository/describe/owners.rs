//! The owners of packages, and the packages of owners, as a caller may see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Reading;
use super::package::owned;
use super::package_home::PackageHome;
use crate::auth::{OwnerLevel, ReadGrant};
use crate::hex::name::PackageName;
use crate::repository::{RemoteRepository, RepoError, Repository};

/// The owners of a package, as a caller may see them.
#[derive(Clone, Debug)]
pub struct OwnersView {
    is_public: bool,
    owners: PackageOwners,
}

/// The owners of a package, by source.
#[derive(Clone, Debug)]
pub enum PackageOwners {
    /// Accounts of this server, with their levels; if no user owns the package, the organization of the repository.
    Local(BTreeMap<String, OwnerLevel>),
    /// Users of the upstream, as its API returns them: a list of objects.
    Upstream(Arc<Value>),
}

impl OwnersView {
    /// Whether everyone gets the same answer.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// The owners.
    pub fn owners(&self) -> &PackageOwners {
        &self.owners
    }
}

/// A user of an upstream, as a caller may see one.
#[derive(Clone, Debug)]
pub struct UpstreamUser {
    home: Repository,
    is_public: bool,
    value: Value,
}

impl UpstreamUser {
    /// The remote repository whose upstream knows the user.
    pub fn home(&self) -> &Repository {
        &self.home
    }

    /// Whether everyone gets the same answer.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// The answer of the upstream's API, reduced to those of the user's packages that are available here.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl Repository {
    /// The owners of a package. `grant` is a right to this repository. Cancel safe.
    pub async fn owners(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
        reading: Reading<'_>,
    ) -> Result<OwnersView, RepoError> {
        match PackageHome::of(self, grant, name, reading).await?.first()? {
            PackageHome::Local { local, right, .. } => {
                let package = local.package(&right, name).await?.ok_or(RepoError::NotFound)?;
                Ok(OwnersView { is_public: false, owners: PackageOwners::Local(owned(&local, package).owners) })
            }
            PackageHome::Remote { remote, right, .. } => {
                let value = remote.about_owners(&right, name, reading.context).await?;
                Ok(OwnersView { is_public: grant.is_public(), owners: PackageOwners::Upstream(value) })
            }
            PackageHome::Several(_) => Err(RepoError::NotFound),
        }
    }

    /// A user of the upstream: of a remote repository, or of the first member of a virtual one that knows the user.
    /// `grant` is a right to this repository. Cancel safe.
    pub async fn upstream_user(
        &self,
        grant: &ReadGrant,
        name: &str,
        reading: Reading<'_>,
    ) -> Result<UpstreamUser, RepoError> {
        let remotes = match self {
            Self::Remote(remote) => vec![(Arc::clone(remote), grant.clone())],
            Self::Virtual(composed) => composed.remotes(grant),
            Self::Local(_) => Vec::new(),
        };
        if remotes.is_empty() || reading.is_named_privately(name).await {
            return Err(RepoError::NotFound);
        }
        let mut failed = RepoError::NotFound;
        for (remote, right) in remotes {
            match remote.about_user(&right, name, reading.context).await {
                Ok(value) => {
                    let value = self.with_packages_here(&remote, &right, &value);
                    return Ok(UpstreamUser { home: Self::Remote(remote), is_public: grant.is_public(), value });
                }
                Err(RepoError::NotFound) => {}
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Removes the packages that the caller may not read here from a user of an upstream.
    fn with_packages_here(&self, remote: &RemoteRepository, right: &ReadGrant, value: &Value) -> Value {
        let is_here =
            |name: &str| self.identity().names.allows(name) && remote.allows(name) && right.packages().allows(name);
        let mut value = value.clone();
        let Value::Object(user) = &mut value else { return value };
        if let Some(Value::Array(packages)) = user.get_mut("packages") {
            packages.retain(|package| package.get("name").and_then(Value::as_str).is_some_and(is_here));
        }
        if let Some(Value::Object(packages)) = user.get_mut("owned_packages") {
            packages.retain(|name, _| is_here(name));
        }
        value
    }
}
