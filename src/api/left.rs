//! What policies leave of a package, for what local repositories say of it themselves. Imports `hex`, `auth`, `repository`,
//! `api`.

use std::collections::BTreeSet;

use super::ask::Ask;
use super::error::ApiError;
use super::mirrored::context;
use crate::auth::ReadGrant;
use crate::hex::name::PackageName;
use crate::hex::version::ReleaseVersion;
use crate::repository::remote::Described;
use crate::repository::{RepoError, Repository};

/// What policies leave of a package.
pub(super) enum Left {
    /// A virtual repository was asked, and shows this.
    Shown(Box<Described>),
    /// A local one was asked, and virtual repositories through which it is read hold these.
    Without(BTreeSet<Box<str>>),
}

impl Left {
    /// Whether a version is left.
    pub(super) fn has(&self, version: &str) -> bool {
        match self {
            Self::Shown(shown) => shown.releases.iter().any(|release| release.version == version),
            Self::Without(held) => !held.contains(version),
        }
    }
}

/// What policies leave of a package, where one is at work.
pub(super) async fn left(
    ask: &Ask,
    (repository, grant): (&Repository, &ReadGrant),
    name: &PackageName,
) -> Result<Option<Left>, ApiError> {
    let composed = match repository {
        Repository::Virtual(composed) if repository.is_policed() => composed,
        Repository::Local(_) if !repository.identity().direct => return held_above(ask, repository, name).await,
        _ => return Ok(None),
    };
    match composed.shown(grant, name, context(ask)).await {
        Ok(shown) => Ok(Some(Left::Shown(Box::new(shown.described)))),
        Err(RepoError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What virtual repositories hold of a package of a local one that is read through them alone.
async fn held_above(ask: &Ask, local: &Repository, name: &PackageName) -> Result<Option<Left>, ApiError> {
    let mut all = BTreeSet::new();
    for repository in ask.call.catalog.iter() {
        if let Repository::Virtual(composed) = repository {
            all.extend(composed.held_below(local.key(), name, context(ask)).await?);
        }
    }
    Ok((!all.is_empty()).then_some(Left::Without(all)))
}

/// Whether a version is among what is left.
pub(super) fn is_left(left: Option<&Left>, version: &ReleaseVersion) -> bool {
    left.is_none_or(|left| left.has(version.as_str()))
}
