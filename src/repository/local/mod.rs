//! A local repository: packages that are published on this server.
//!
//! The database has the packages and releases, `local/` in the store has their files, and an index in memory has what
//! readers request most. A change is committed, loaded into the index and signed if it will be sent; only then the
//! request is answered.

mod changes;
mod dependencies;
mod error;
mod index;
mod package_map;
mod publish;
mod reindex;
pub(super) mod search;
mod sidecar;
mod sidecar_files;
mod unindexed_files;

pub use error::{LocalFailure, WriteError};
pub use publish::{PublishOptions, Published, Received, Upload};
pub use reindex::Reindexed;
pub use sidecar_files::SidecarFiles;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::index::LocalIndex;
use super::changes::Event;
use super::composite::PackageSource;
use super::delivery::{Located, ReleaseHome, any_applies, judged_by};
use super::enforcer::Enforcer;
use super::error::RepoError;
use super::sealer::{Scope, Sealer};
use super::{Artifact, CacheLifetime, CacheStatus, Changes, Directory, Identity, Repository, RequestContext, Served};
use crate::auth::{PatternSet, ReadGrant};
use crate::cache::SharedCaches;
use crate::cache::artifacts::VerifiedArtifact;
use crate::cache::fill::ExpectedFile;
use crate::cache::payload::Payload;
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::{ArtifactName, RegistryResource};
use crate::hex::version::order;
use crate::shutdown;
use crate::state::State;
use crate::state::audit::Entry;
use crate::state::ledger::{PACKAGE_WINDOW, RELEASE_WINDOW};
pub use crate::state::packages::{
    Docs, ListedRelease, OwnerLevel, Package, Release, ReleaseMetadata, Requirement, Retirement, SearchRow,
};
use crate::store::StoredFile;
use crate::store::vault::{VaultError, WHOLE};
use crate::trust::{PublicKey, SignedResource};

/// Whether a release may be replaced or reverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// Never.
    Immutable,
    /// Within 1 h of the release or 24 h of the package's first release.
    Window,
    /// At any time.
    Always,
}

/// Whether the packages that a release depends on must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyCheck {
    /// Not checked.
    Off,
    /// Checked if they are in a local repository.
    Local,
    /// Always checked, as far as this is possible.
    Everywhere,
}

/// The settings of a local repository.
#[derive(Debug)]
pub struct LocalOptions {
    /// Its names and its access rules.
    pub identity: Identity,
    /// Whether releases may change.
    pub mutability: Mutability,
    /// Whether dependencies must exist.
    pub dependency_check: DependencyCheck,
    /// The repositories that dependencies may be in; `None`: any.
    pub allowed_dependency_repositories: Option<Vec<RepoName>>,
    /// The name of a repository in packages → its key.
    pub dependency_aliases: BTreeMap<String, RepoName>,
    /// Whether new packages may be published.
    pub allow_new_packages: bool,
    /// The virtual repository whose order decides where dependencies are, unless a publish goes through another one.
    pub publish_view: Option<RepoName>,
}

/// A local repository.
#[derive(Debug)]
pub struct LocalRepository {
    options: LocalOptions,
    shared: SharedCaches,
    state: State,
    sealer: Sealer,
    directory: Arc<Directory>,
    changes: Arc<Changes>,
    index: LocalIndex,
    /// Versions that are in the files and not in the database.
    unknown: unindexed_files::UnknownVersions,
    /// Allows one change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl LocalRepository {
    /// A repository with nothing in memory.
    pub fn new(
        options: LocalOptions,
        shared: SharedCaches,
        state: State,
        sealer: Sealer,
        directory: Arc<Directory>,
        changes: Arc<Changes>,
    ) -> Self {
        let index = LocalIndex::new(
            options.identity.key.clone(),
            options.identity.name.clone(),
            options.identity.names.clone(),
            options.identity.direct.then(|| sealer.clone()),
            state.clone(),
            Arc::clone(&directory),
        );
        Self {
            options,
            shared,
            state,
            sealer,
            directory,
            changes,
            index,
            unknown: unindexed_files::UnknownVersions::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Its names and its access rules.
    pub fn identity(&self) -> &Identity {
        &self.options.identity
    }

    /// Key in the configuration.
    pub fn key(&self) -> &RepoName {
        &self.options.identity.key
    }

    /// The key that clients verify with.
    pub fn public_key(&self) -> &PublicKey {
        self.sealer.public_key()
    }

    /// A signed resource.
    pub async fn registry(
        &self,
        grant: &ReadGrant,
        resource: &RegistryResource,
        _context: RequestContext,
    ) -> Result<Served<(SignedResource, CacheLifetime)>, RepoError> {
        self.check(grant)?;
        if let RegistryResource::Package(name) = resource {
            self.check_name(grant, name)?;
        }
        let served = self.seen(resource, grant.packages()).await?;
        let (payload, keep) = &served.value;
        let sent = (self.sealer.signed(resource, Scope::Passing, payload).await?, *keep);
        Ok(served.map(|_| sent))
    }

    /// A resource independent of the caller, for virtual repositories, which apply the rights of their callers.
    pub(in crate::repository) async fn whole(
        &self,
        resource: &RegistryResource,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        match resource {
            RegistryResource::Package(name) if !self.options.identity.names.allows(name.as_str()) => {
                Err(RepoError::NotFound)
            }
            _ => self.seen(resource, &PatternSet::everything()).await,
        }
    }

    async fn seen(
        &self,
        resource: &RegistryResource,
        packages: &PatternSet,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        let payload = match resource {
            RegistryResource::Names => self.index.names(packages).await?,
            RegistryResource::Versions => self.index.versions(packages).await?,
            RegistryResource::Package(name) => self.index.package(name).await?.ok_or(RepoError::NotFound)?,
            RegistryResource::Policy(_) => return Err(RepoError::NotFound),
        };
        // Clients must revalidate: a publisher who fetches has to see what was just published.
        Ok(Served::at_once((payload, CacheLifetime::Revalidate), CacheStatus::Hit))
    }

    /// A release, evaluated by the policies of the repositories through which it is requested.
    pub(in crate::repository) async fn locate(
        self: &Arc<Self>,
        grant: &ReadGrant,
        name: &ArtifactName,
        above: &[Arc<Enforcer>],
        context: RequestContext,
    ) -> Result<Served<Located>, RepoError> {
        let release = self.listed(grant, name).await?;
        let mut judged = Vec::new();
        if any_applies(above, self.key()) {
            let now = self.shared.clock.now();
            let whole = self.whole(&RegistryResource::Package(name.package.clone())).await?.value.0;
            let repository = Repository::Local(Arc::clone(self));
            let source = PackageSource { repository: &repository, package: &name.package, context };
            judged = judged_by(above, source, &whole, now).await?;
        }
        let keep = self.keep(name, &release).await?;
        let (home, expected) = (ReleaseHome::Local(Arc::clone(self)), ExpectedFile::Outer(release.outer));
        let checksum = Some(release.outer);
        Ok(Served::at_once(Located { home, expected, checksum, keep, judged }, CacheStatus::Hit))
    }

    /// The length of a tarball.
    pub(in crate::repository) async fn stored_length(&self, digest: Sha256) -> Result<Option<u64>, RepoError> {
        let stat = self.shared.store.local.stat(digest.into()).await.map_err(LocalFailure::from)?;
        Ok(stat.map(|stat| stat.length))
    }

    /// A tarball.
    pub(in crate::repository) async fn obtain_tarball(
        &self,
        digest: Sha256,
    ) -> Result<Served<VerifiedArtifact>, RepoError> {
        Ok(Served::at_once(self.open(digest).await?, CacheStatus::Hit))
    }

    /// The documentation of a release.
    pub(in crate::repository) async fn obtain_docs(
        &self,
        name: &ArtifactName,
    ) -> Result<Served<(VerifiedArtifact, CacheLifetime)>, RepoError> {
        let release = self.listed_release(name).await?.ok_or(RepoError::NotFound)?;
        let docs = release.docs.ok_or(RepoError::NotFound)?;
        Ok(Served::at_once((self.open(docs.digest).await?, CacheLifetime::Revalidate), CacheStatus::Hit))
    }

    /// A package with all its data; `None` if it does not exist for this caller.
    pub(in crate::repository) async fn package(
        &self,
        grant: &ReadGrant,
        name: &PackageName,
    ) -> Result<Option<Package>, RepoError> {
        self.check(grant)?;
        if !grant.packages().allows(name.as_str()) || !self.options.identity.names.allows(name.as_str()) {
            return Ok(None);
        }
        let found = self.state.package(self.key().as_str(), name.as_str()).await?;
        Ok(found.map(|mut package| {
            package.releases.sort_by_cached_key(|release| std::cmp::Reverse(order(&release.listed.version)));
            package
        }))
    }

    /// Loads a committed change of a package into the index, and notifies others of it. If it cannot be loaded, the next
    /// reader loads it: a failure does not undo the change.
    async fn announce(&self, name: &PackageName) {
        if let Err(error) = self.index.changed(name).await {
            tracing::error!(
                repository = %self.key(), package = %name, error = &error as &dyn std::error::Error,
                "a change could not be loaded into the index: the next request loads it"
            );
            self.index.forget().await;
        }
        self.announce_changed(name);
    }

    /// Notifies others that a package has changed.
    fn announce_changed(&self, package: &PackageName) {
        let (repository, package) = (self.key().clone(), package.clone());
        self.changes.announce(Event::PackageChanged { repository, package });
    }

    /// Whether a package exists.
    pub async fn has_package(&self, name: &PackageName) -> Result<bool, RepoError> {
        Ok(self.index.listed(name).await?.is_some())
    }

    /// Whether a package was ever published here, and its name was not given up since. Its owners still own it, even if
    /// it has no releases.
    pub async fn was_published(&self, name: &PackageName) -> Result<bool, RepoError> {
        Ok(self.state.was_published(self.key().as_str(), name.as_str()).await?)
    }

    /// Whether this repository has ever had a name that it has not given up since.
    pub(super) async fn was_ours(&self, name: &PackageName) -> Result<bool, RepoError> {
        Ok(self.state.claimed(self.key().as_str()).await?.has(name.as_str()))
    }

    /// A release, without a right to read: for administrators.
    pub async fn listed_release(&self, name: &ArtifactName) -> Result<Option<ListedRelease>, RepoError> {
        let package = self.index.listed(&name.package).await?;
        Ok(package.and_then(|package| package.release(name.version.as_str()).cloned()))
    }

    /// Waits for a running change, and blocks all changes until the returned guard is dropped.
    pub async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Whether a release with this tarball exists.
    pub async fn has_tarball(&self, outer: &Sha256) -> Result<bool, RepoError> {
        Ok(self.index.has_tarball(outer).await?)
    }

    /// The packages of this repository that a user owns and a caller may read, by name.
    pub async fn owned(&self, grant: &ReadGrant, username: &str) -> Result<Vec<String>, RepoError> {
        self.check(grant)?;
        let owned = self.state.owned(username).await?.into_iter();
        let ours = owned.filter(|(of, name)| of == self.key().as_str() && grant.packages().allows(name));
        Ok(ours.map(|(_, name)| name).collect())
    }

    /// A page of the audit log of a package, newest first; pages start at 1.
    pub(in crate::repository) async fn audit_log(
        &self,
        name: &PackageName,
        page: u32,
    ) -> Result<Vec<Entry>, RepoError> {
        Ok(self.state.audit_of_package(self.key().as_str(), name.as_str(), page).await?)
    }

    /// The level of a user as an owner of a package.
    pub async fn owner_level(&self, name: &PackageName, username: &str) -> Result<Option<OwnerLevel>, RepoError> {
        Ok(self.state.owner_level(self.key().as_str(), name.as_str(), username).await?)
    }

    /// Whether a user owns a package; one that no user owns belongs to the organization.
    pub async fn is_owned(&self, name: &PackageName) -> Result<bool, RepoError> {
        Ok(self.state.is_owned(self.key().as_str(), name.as_str()).await?)
    }

    fn check(&self, grant: &ReadGrant) -> Result<(), RepoError> {
        // A grant for another repository is a bug in the caller, so nothing is shown.
        if grant.repository() == self.key() { Ok(()) } else { Err(RepoError::NotFound) }
    }

    fn check_name(&self, grant: &ReadGrant, name: &PackageName) -> Result<(), RepoError> {
        let allowed = self.options.identity.names.allows(name.as_str()) && grant.packages().allows(name.as_str());
        if allowed { Ok(()) } else { Err(RepoError::NotFound) }
    }

    async fn listed(&self, grant: &ReadGrant, name: &ArtifactName) -> Result<ListedRelease, RepoError> {
        self.check(grant)?;
        self.check_name(grant, &name.package)?;
        let package = self.index.listed(&name.package).await?.ok_or(RepoError::NotFound)?;
        package.release(name.version.as_str()).cloned().ok_or(RepoError::NotFound)
    }

    async fn keep(&self, name: &ArtifactName, release: &ListedRelease) -> Result<CacheLifetime, RepoError> {
        let package = self.index.listed(&name.package).await?;
        let born = package.map_or(release.inserted_at, |package| package.inserted_at());
        Ok(if self.may_change(release, born) { CacheLifetime::Revalidate } else { CacheLifetime::Immutable })
    }

    /// Whether a release may be replaced or reverted now. `born`: when its package was first published.
    fn may_change(&self, release: &ListedRelease, born: crate::clock::Timestamp) -> bool {
        let now = self.shared.clock.now();
        match self.options.mutability {
            Mutability::Immutable => false,
            Mutability::Always => true,
            Mutability::Window => now.since(release.inserted_at) <= RELEASE_WINDOW || now.since(born) <= PACKAGE_WINDOW,
        }
    }

    async fn open(&self, digest: Sha256) -> Result<VerifiedArtifact, RepoError> {
        Ok(VerifiedArtifact { artifact: Artifact::Stored(self.stored(digest).await?), digest })
    }

    /// A file that must exist.
    async fn stored(&self, digest: Sha256) -> Result<StoredFile, LocalFailure> {
        match self.shared.store.local.get(digest.into(), WHOLE).await {
            Err(VaultError::Missing(_) | VaultError::Damaged(_)) => Err(LocalFailure::File { digest }),
            got => Ok(got?),
        }
    }
}

/// Runs blocking work on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LocalFailure> + Send + 'static,
) -> Result<T, LocalFailure> {
    shutdown::blocking(work).await?
}
