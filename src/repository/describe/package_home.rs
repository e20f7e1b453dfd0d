//! Finds the repository that has a package, and its releases that policies allow.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Reading;
use crate::auth::ReadGrant;
use crate::hex::name::PackageName;
use crate::repository::composite::ShownPackage;
use crate::repository::local::Package;
use crate::repository::{LocalRepository, RemoteRepository, RepoError, Repository, VirtualRepository};

/// The repository that has a package, with the caller's right to read it there.
pub(super) enum PackageHome {
    /// It was published here.
    Local {
        /// The repository that has it.
        local: Arc<LocalRepository>,
        /// The right to read it.
        right: ReadGrant,
        /// The package as the requested virtual repository shows it, if that lists it.
        shown: Option<ShownPackage>,
    },
    /// It comes from an upstream.
    Remote {
        /// The repository that has it.
        remote: Arc<RemoteRepository>,
        /// The right to read it.
        right: ReadGrant,
        /// The package as the requested virtual repository shows it.
        shown: Option<ShownPackage>,
    },
    /// Several repositories have releases of it; only the signed index of the virtual repository has all of them.
    Several(ShownPackage),
}

impl PackageHome {
    /// Finds the home of a package, for a request to the repository `asked`.
    pub(super) async fn of(
        asked: &Repository,
        grant: &ReadGrant,
        name: &PackageName,
        reading: Reading<'_>,
    ) -> Result<Self, RepoError> {
        let composed = match asked {
            Repository::Local(local) => {
                return Ok(Self::Local { local: Arc::clone(local), right: grant.clone(), shown: None });
            }
            Repository::Remote(remote) => {
                return Ok(Self::Remote { remote: Arc::clone(remote), right: grant.clone(), shown: None });
            }
            Repository::Virtual(composed) => composed,
        };
        let shown = match composed.shown(grant, name, reading.context).await {
            Ok(shown) => shown,
            Err(RepoError::NotFound) => return Self::unlisted(composed, grant, name, None).await,
            Err(error) => return Err(error),
        };
        match shown.sources.as_slice() {
            [] => Self::unlisted(composed, grant, name, Some(shown)).await,
            [(only, right)] => {
                let (only, right) = (only.clone(), right.clone());
                Self::in_one(only, right, Some(shown))
            }
            _ => Ok(Self::Several(shown)),
        }
    }

    /// A local repository may have a package without listing a release of it.
    async fn unlisted(
        composed: &VirtualRepository,
        grant: &ReadGrant,
        name: &PackageName,
        shown: Option<ShownPackage>,
    ) -> Result<Self, RepoError> {
        let (local, right) = composed.local_with(grant, name).await?.ok_or(RepoError::NotFound)?;
        Ok(Self::Local { local, right, shown })
    }

    /// The home in a repository that is not virtual.
    fn in_one(home: Repository, right: ReadGrant, shown: Option<ShownPackage>) -> Result<Self, RepoError> {
        match home {
            Repository::Local(local) => Ok(Self::Local { local, right, shown }),
            Repository::Remote(remote) => Ok(Self::Remote { remote, right, shown }),
            Repository::Virtual(_) => Err(RepoError::NotFound),
        }
    }

    /// The home of one release.
    pub(super) fn of_release(self, version: &str) -> Result<Self, RepoError> {
        match self {
            Self::Several(shown) => {
                let (home, right) = shown.source(version).cloned().ok_or(RepoError::NotFound)?;
                Self::in_one(home, right, Some(shown))
            }
            other => Ok(other),
        }
    }

    /// The home in the first repository, which knows the owners of the package.
    pub(super) fn first(self) -> Result<Self, RepoError> {
        match self {
            Self::Several(shown) => {
                let (home, right) = shown.sources.first().cloned().ok_or(RepoError::NotFound)?;
                Self::in_one(home, right, Some(shown))
            }
            other => Ok(other),
        }
    }
}

/// The releases of a package of a local repository that policies allow.
#[derive(Debug)]
pub(super) enum ShownReleases {
    /// All of them.
    All,
    /// Those that the requested virtual repository lists.
    Listed(BTreeSet<Box<str>>),
    /// All but these. They are held by the virtual repositories through which the local one is read.
    Without(BTreeSet<Box<str>>),
}

impl ShownReleases {
    /// The visible releases of a package of a local repository, for a request to the repository `asked`.
    pub(super) async fn of(
        asked: &Repository,
        grant: &ReadGrant,
        name: &PackageName,
        reading: Reading<'_>,
    ) -> Result<Self, RepoError> {
        let shown = match asked {
            Repository::Virtual(composed) if asked.is_policed() => {
                match composed.shown(grant, name, reading.context).await {
                    Err(RepoError::NotFound) => None,
                    shown => Some(shown?),
                }
            }
            _ => None,
        };
        Self::when_shown(asked, name, shown.as_ref(), reading).await
    }

    /// The same, if the package as the virtual repository shows it is known.
    pub(super) async fn when_shown(
        asked: &Repository,
        name: &PackageName,
        shown: Option<&ShownPackage>,
        reading: Reading<'_>,
    ) -> Result<Self, RepoError> {
        match asked {
            Repository::Virtual(_) if asked.is_policed() => {
                let releases = shown.into_iter().flat_map(|shown| &shown.described.releases);
                Ok(Self::Listed(releases.map(|release| release.version.as_str().into()).collect()))
            }
            Repository::Local(local) if !asked.identity().direct => Self::below(local, name, reading).await,
            _ => Ok(Self::All),
        }
    }

    /// The visible releases of a package of a local repository that is only read through virtual ones.
    async fn below(local: &LocalRepository, name: &PackageName, reading: Reading<'_>) -> Result<Self, RepoError> {
        let mut held = BTreeSet::new();
        for composed in reading.catalog.iter().filter_map(Repository::as_virtual) {
            held.extend(composed.held_below(local.key(), name, reading.context).await?);
        }
        Ok(Self::Without(held))
    }

    /// Whether a version is visible.
    pub(super) fn has(&self, version: &str) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(version),
            Self::Without(held) => !held.contains(version),
        }
    }

    /// The package with its visible releases.
    pub(super) fn only(&self, mut package: Package) -> Package {
        package.releases.retain(|release| self.has(&release.listed.version));
        package
    }
}
