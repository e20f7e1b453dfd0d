//! The description of a release for a caller.

use std::sync::Arc;

use serde_json::Value;

use super::Reading;
use super::package_home::{PackageHome, ShownReleases};
use crate::auth::ReadGrant;
use crate::hex::name::PackageName;
use crate::hex::resource::ArtifactName;
use crate::repository::local::{Published, Release, ReleaseMetadata};
use crate::repository::remote::{DescribedRelease, UpstreamAnswer};
use crate::repository::{LocalRepository, RepoError, Repository};

/// The description of a release for a caller.
#[derive(Clone, Debug)]
pub struct ReleaseView {
    home: Repository,
    is_public: bool,
    package: PackageName,
    content: ReleaseContent,
}

/// The content of a description, by source.
#[derive(Clone, Debug)]
pub enum ReleaseContent {
    /// From a local repository: everything that was published.
    Local(Release),
    /// From the upstream's API, unchanged.
    Upstream(Arc<Value>),
    /// From the signed index.
    Index {
        /// The release.
        release: DescribedRelease,
        /// The metadata of the newest release of the package whose tarball is stored.
        about: Option<ReleaseMetadata>,
    },
}

impl ReleaseView {
    /// The repository that has it, never a virtual one.
    pub fn home(&self) -> &Repository {
        &self.home
    }

    /// Whether everyone gets the same answer.
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// Its package.
    pub fn package(&self) -> &PackageName {
        &self.package
    }

    /// The content of the description.
    pub fn content(&self) -> &ReleaseContent {
        &self.content
    }

    /// Whether it may have documentation. For a remote repository only a request for the file can tell.
    pub fn may_have_docs(&self) -> bool {
        match &self.content {
            ReleaseContent::Local(release) => release.listed.docs.is_some(),
            ReleaseContent::Upstream(_) | ReleaseContent::Index { .. } => true,
        }
    }
}

impl Repository {
    /// Describes a release for a caller. `grant` is a right to this repository. Cancel safe.
    pub async fn describe_release(
        &self,
        grant: &ReadGrant,
        name: &ArtifactName,
        reading: Reading<'_>,
    ) -> Result<ReleaseView, RepoError> {
        let (package, version) = (name.package.clone(), name.version.as_str());
        let is_public = grant.is_public();
        match PackageHome::of(self, grant, &package, reading).await?.of_release(version)? {
            PackageHome::Local { local, right, shown } => {
                let release = published(&local, &right, &package, version).await?;
                if !ShownReleases::when_shown(self, &package, shown.as_ref(), reading).await?.has(version) {
                    return Err(RepoError::NotFound);
                }
                let content = ReleaseContent::Local(release);
                Ok(ReleaseView { home: Repository::Local(local), is_public, package, content })
            }
            PackageHome::Remote { remote, right, shown } => {
                let listed = match shown {
                    None => None,
                    Some(shown) => {
                        let mut releases = shown.described.releases.into_iter();
                        let release = releases.find(|one| one.version == version).ok_or(RepoError::NotFound)?;
                        Some((release, shown.described.about))
                    }
                };
                let content = match remote.about_release(&right, name, reading.context).await? {
                    UpstreamAnswer::Api(value) => ReleaseContent::Upstream(value),
                    UpstreamAnswer::Registry((of, release)) => {
                        let (release, about) = listed.unwrap_or((release, of.about));
                        ReleaseContent::Index { release, about }
                    }
                };
                Ok(ReleaseView { home: Repository::Remote(remote), is_public, package, content })
            }
            PackageHome::Several(_) => Err(RepoError::NotFound),
        }
    }

    /// Describes a release that was just published through this repository. Its publisher sees it even if a policy
    /// holds it.
    pub async fn describe_published(&self, grant: &ReadGrant, done: &Published) -> Result<ReleaseView, RepoError> {
        let (local, right) = self.local_with(grant, &done.package).await?.ok_or(RepoError::NotFound)?;
        let release = published(&local, &right, &done.package, done.version.as_str()).await?;
        let (package, content) = (done.package.clone(), ReleaseContent::Local(release));
        Ok(ReleaseView { home: Repository::Local(local), is_public: false, package, content })
    }

    /// The local repository that has a package of this one, with the caller's right to read it there.
    pub async fn local_with(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
    ) -> Result<Option<(Arc<LocalRepository>, ReadGrant)>, RepoError> {
        match self {
            Self::Local(local) => Ok(Some((Arc::clone(local), grant.clone()))),
            Self::Virtual(composed) => composed.local_with(grant, name).await,
            Self::Remote(_) => Ok(None),
        }
    }
}

/// A release of a local repository.
async fn published(
    local: &LocalRepository,
    right: &ReadGrant,
    package: &PackageName,
    version: &str,
) -> Result<Release, RepoError> {
    let package = local.package(right, package).await?.ok_or(RepoError::NotFound)?;
    package.releases.into_iter().find(|one| one.listed.version == version).ok_or(RepoError::NotFound)
}
