//! Locates and evaluates a release of a remote repository, and obtains its files: the stages of a delivery.

use std::sync::Arc;
use std::time::Duration;

use super::{RemoteRepository, check_right};
use crate::auth::ReadGrant;
use crate::cache::artifacts::VerifiedArtifact;
use crate::cache::fill::ExpectedFile;
use crate::cache::ready_resource::ReadyResource;
use crate::cache::{CacheError, CacheStatus, Served};
use crate::hex::checksum::Sha256;
use crate::hex::index::Index;
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::repository::composite::PackageSource;
use crate::repository::delivery::{Judged, Located, ReleaseHome, any_applies, judged_by};
use crate::repository::enforcer::Enforcer;
use crate::repository::error::MissingOffline;
use crate::repository::{CacheLifetime, RepoError, Repository, RequestContext};

/// If an index is older than this and does not list a requested release, a newer one is fetched.
const NEWER_AFTER: Duration = Duration::from_secs(1);

/// The checksums that the file of a release must have, its checksum in the index, and how long clients may cache it.
pub(super) type ListedRelease = (ExpectedFile, Option<Sha256>, CacheLifetime);

impl RemoteRepository {
    /// Finds the release in its verified index; if it is not listed there, in the newest index of the upstream. If that
    /// does not list it either, the release as it was when it was removed, if it is kept or exempt for lock files.
    pub(in crate::repository) async fn locate(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        context: RequestContext,
    ) -> Result<Served<Located>, RepoError> {
        self.check_readable(grant, name)?;
        let resource = RegistryResource::Package(name.package.clone());
        let served = match self.resource(&resource, context.deadline).await {
            Ok(served) => served,
            // Without the package its releases are gone, too.
            Err(RepoError::NotFound) => {
                let removed = Box::pin(self.removed(name, above, true)).await?;
                return Ok(Served::at_once(removed.ok_or(RepoError::NotFound)?, CacheStatus::Hit));
            }
            Err(error) => return Err(error),
        };
        if let Some(listed) = self.listed(&served.value, name)? {
            let located = self.judged(listed, &served.value, name, above, context).await?;
            return Ok(served.map(|_| located));
        }
        // A lock file may contain a release that is newer than our copy of its index.
        if !self.shared.clock.now().is_within(NEWER_AFTER, served.value.confirmed_at)
            && let Ok(newer) = self.registry.get_newest(&resource, false, context.deadline).await
            && let Some(listed) = self.listed(&newer.value, name)?
        {
            let located = self.judged(listed, &newer.value, name, above, context).await?;
            return Ok(newer.map(|_| located));
        }
        let removed = Box::pin(self.removed(name, above, true)).await?.ok_or(RepoError::NotFound)?;
        Ok(served.map(|_| removed))
    }

    /// Whether a caller may request a release here.
    pub(super) fn check_readable(&self, grant: &ReadGrant, name: &ArtifactName) -> Result<(), RepoError> {
        self.check(grant)?;
        check_right(grant, &name.package)?;
        self.check_name(&name.package)
    }

    pub(super) fn listed(
        &self,
        present: &ReadyResource,
        name: &ArtifactName,
    ) -> Result<Option<ListedRelease>, RepoError> {
        let Index::Package(index) = &*present.index else { return Ok(None) };
        let Some(release) = index.release(&name.version) else { return Ok(None) };
        if present.refused.iter().any(|refused| &*refused.version == name.version.as_str()) {
            return Err(RepoError::ChecksumRefused { release: name.clone() });
        }
        let expected = present.expected(release).ok_or_else(|| RepoError::NoChecksum { release: name.clone() })?;
        Ok(Some((expected, release.outer.or(release.inner), self.keep(index, release))))
    }

    /// A release that `present` lists, evaluated by the data of `present`.
    async fn judged(
        self: &Arc<Self>,
        (expected, checksum, keep): ListedRelease,
        present: &Arc<ReadyResource>,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        context: RequestContext,
    ) -> Result<Located, RepoError> {
        let home = ReleaseHome::Remote(Arc::clone(self));
        let own = self.judgement(&name.package, present, context.deadline).await?;
        let is_held =
            |own: &Judged| own.enforcer.is_enforced() && own.judgement.evaluation.held(name.version.as_str()).is_some();
        let own = self.enforcer().zip(own);
        let own = own.map(|(enforcer, judgement)| Judged::new(enforcer, judgement));
        let mut judged = Vec::new();
        // A release that is held here is visible to no repository above.
        if any_applies(above, self.key()) && !own.as_ref().is_some_and(is_held) {
            let judgement = own.as_ref().map(|own| &own.judgement);
            let shown = self.shown(&name.package, present, judgement).await?;
            let repository = Repository::Remote(Arc::clone(self));
            let source = PackageSource { repository: &repository, package: &name.package, context };
            judged = judged_by(above, source, &shown, present.confirmed_at).await?;
        }
        judged.extend(own);
        Ok(Located { home, expected, checksum, keep, judged })
    }

    /// The SHA-256 of the expected file, if it is known. If the file must also have an inner checksum, its SHA-256 is
    /// known only after a file was verified by both.
    pub(in crate::repository) async fn known_digest(
        &self,
        expected: &ExpectedFile,
    ) -> Result<Option<Sha256>, RepoError> {
        Ok(self.artifacts.verified_outer_digest(expected).await?)
    }

    /// The length of a file, if it is stored.
    pub(in crate::repository) async fn stored_length(&self, digest: Sha256) -> Result<Option<u64>, RepoError> {
        Ok(self.artifacts.stored_length(digest).await?)
    }

    /// The expected tarball, as soon as its bytes can be streamed; `None` if the release was replaced while it was
    /// fetched. Cancel safe: fetches continue without their caller.
    pub(in crate::repository) async fn obtain_tarball(
        self: &Arc<Self>,
        name: &ArtifactName,
        expected: &ExpectedFile,
        context: RequestContext,
    ) -> Result<Option<Served<VerifiedArtifact>>, RepoError> {
        match self.artifacts.get(self.wanted(name, expected.clone()), context.deadline).await {
            Ok(served) => Ok(Some(served)),
            // The index is fresh now, and the new file is stored.
            Err(CacheError::Replaced) => Ok(None),
            Err(CacheError::Missing) => Err(RepoError::from(CacheError::MissingListed)),
            Err(error) => {
                let what = format_args!("{} of {}", name.tarball_path(), self.key());
                Err(RepoError::of(error, MissingOffline::Listed, what))
            }
        }
    }

    /// The documentation of a release. Cancel safe.
    pub(in crate::repository) async fn obtain_docs(
        &self,
        name: &ArtifactName,
        context: RequestContext,
    ) -> Result<Served<(VerifiedArtifact, CacheLifetime)>, RepoError> {
        let served = self.docs.get(name, context.deadline).await;
        let of = |error| {
            RepoError::of(error, MissingOffline::Listed, format_args!("{} of {}", name.docs_path(), self.key()))
        };
        Ok(served.map_err(of)?.map(|proven| (proven, CacheLifetime::For(self.options.docs_ttl))))
    }
}
