//! What publishing needs from the virtual repositories above: checks before a release, and updates after it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::claims::Claimant;
use super::listing::Kind;
use super::{Recent, VirtualRepository};
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::repository::changes::{Change, Event, Subscriber};
use crate::repository::{RepoError, Repository, RequestContext};

/// How long a rebuild in the background may take after a change.
const REMAKE: std::time::Duration = std::time::Duration::from_secs(60);

impl VirtualRepository {
    /// The key of the repository that would answer for a package, independent of the caller. For public members their
    /// complete lists are used, so that no upstream learns the name.
    pub fn home<'a>(
        self: &'a Arc<Self>,
        name: &'a PackageName,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Option<RepoName>, RepoError>> {
        Box::pin(async move {
            if !self.options.identity.names.allows(name.as_str()) {
                return Ok(None);
            }
            let routing = self.route_name(name, context).await?;
            for at in routing.order.iter().copied() {
                let Some(member) = self.members().get(at).filter(|one| one.names.allows(name.as_str())) else {
                    continue;
                };
                let home = match &member.repository {
                    Repository::Virtual(below) => below.home(name, context).await?,
                    repository if routing.is_claimant(at) => Some(repository.key().clone()),
                    repository => self.lists(at, name, context).await?.then(|| repository.key().clone()),
                };
                if home.is_some() {
                    return Ok(home);
                }
            }
            Ok(None)
        })
    }

    /// Whether a first release of `name` in the repository `key` would hide a package of a public member from the
    /// readers of this repository, although no rule allows this.
    pub fn would_shadow<'a>(
        self: &'a Arc<Self>,
        key: &'a RepoName,
        name: &'a PackageName,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<bool, RepoError>> {
        Box::pin(async move {
            let rules = &self.options.rules;
            let allowed = rules.allow_shadow.allows(name.as_str()) || rules.reserve.allows(name.as_str());
            if allowed || !self.claims_of(key, name) {
                return Ok(false);
            }
            // No member is asked for the name, because it may become private.
            match self.claims_on(name, context).await.combined_claimant(name.as_str()) {
                // No public member answers for it anyway.
                Claimant::Yes => Ok(false),
                Claimant::No | Claimant::NotAskedYet => self.has_public(name, context).await,
                Claimant::Failed(error) => Err(error),
            }
        })
    }

    /// Whether packages of the repository `key` with this name are private here.
    fn claims_of(&self, key: &RepoName, name: &PackageName) -> bool {
        self.options.identity.names.allows(name.as_str())
            && self.members().iter().filter(|member| member.names.allows(name.as_str())).any(|member| {
                match &member.repository {
                    Repository::Virtual(below) if member.private => below.shows_of(key, name),
                    Repository::Virtual(below) => below.claims_of(key, name),
                    repository => member.private && repository.key() == key,
                }
            })
    }

    /// Whether packages of the repository `key` with this name are visible here, at any depth.
    pub(super) fn shows_of(&self, key: &RepoName, name: &PackageName) -> bool {
        self.options.identity.names.allows(name.as_str())
            && self.members().iter().filter(|member| member.names.allows(name.as_str())).any(|member| {
                let below = member.repository.as_virtual();
                below.map_or(member.repository.key() == key, |below| below.shows_of(key, name))
            })
    }

    /// Whether a public member lists a package.
    fn has_public<'a>(
        self: &'a Arc<Self>,
        name: &'a PackageName,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<bool, RepoError>> {
        Box::pin(async move {
            for (at, member) in self.members().iter().enumerate() {
                if member.private || !member.names.allows(name.as_str()) {
                    continue;
                }
                let has = match &member.repository {
                    Repository::Virtual(below) => below.has_public(name, context).await?,
                    Repository::Remote(_) | Repository::Local(_) => self.lists(at, name, context).await?,
                };
                if has {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    async fn lists(&self, member: usize, name: &PackageName, context: RequestContext) -> Result<bool, RepoError> {
        let Some(found) = self.members().get(member) else { return Ok(false) };
        match self.unheld_listing(member, found, Kind::Names, context).await {
            Ok(served) => Ok(served.value.0.has(name.as_str())),
            Err(RepoError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether packages of the direct member `key` with this name are visible here.
    pub fn shows(&self, key: &RepoName, name: &PackageName) -> bool {
        let mut members = self.members().iter();
        self.options.identity.names.allows(name.as_str())
            && members.any(|member| member.repository.key() == key && member.names.allows(name.as_str()))
    }

    /// Whether the repository `key` is a direct or indirect member.
    pub fn has_member(&self, key: &RepoName) -> bool {
        self.members().iter().any(|member| {
            member.repository.key() == key || member.repository.as_virtual().is_some_and(|below| below.has_member(key))
        })
    }

    /// Rebuilds in the background what readers have requested recently; with `packages` also packages that they have
    /// not requested. A request for a resource joins its rebuild.
    fn remake(self: &Arc<Self>, resources: &[RegistryResource], packages: bool) {
        for (_, Recent { view, is_sent }) in &self.recent {
            let scope = || Arc::clone(&view.scope);
            let is_held = |resource: &RegistryResource| match resource {
                RegistryResource::Names => self.indexes.contains_key(&(scope(), Kind::Names)),
                RegistryResource::Versions => self.indexes.contains_key(&(scope(), Kind::Versions)),
                RegistryResource::Package(name) => packages || self.packages.contains_key(&(scope(), name.clone())),
                RegistryResource::Policy(_) => false,
            };
            // A change of the names affects both lists.
            let lists = resources.contains(&RegistryResource::Names).then_some(RegistryResource::Versions);
            for resource in resources.iter().cloned().chain(lists).filter(is_held) {
                let (repository, view) = (Arc::clone(self), view.clone());
                self.shared.tasks.spawn(async move {
                    let context = RequestContext { deadline: Instant::now() + REMAKE, client: None };
                    let made = async {
                        if matches!(resource, RegistryResource::Names | RegistryResource::Versions) {
                            repository.remake_lists(&view, context).await?;
                        }
                        let seen = repository.view_resource(&view, &resource, context).await?;
                        if is_sent {
                            repository.sent(&view, &resource, &seen.value.0).await?;
                        }
                        Ok::<_, RepoError>(())
                    };
                    if let Err(error) = made.await {
                        // The next client that requests it gets the error, too.
                        tracing::debug!(repository = %repository.key(), %resource, %error, "the lists of a virtual repository could not be rebuilt");
                    }
                });
            }
        }
    }
}

impl Subscriber for VirtualRepository {
    /// Rebuilds what depends on a member's changed resources.
    fn notice(self: Arc<Self>, change: &Change) {
        match &change.event {
            Event::PackageChanged { repository, package } if self.has_member(repository) => {
                self.remake(&[RegistryResource::Names, RegistryResource::Package(package.clone())], true);
            }
            Event::ResourceReplaced { repository, resource } if self.has_member(repository) => {
                self.remake(std::slice::from_ref(resource), false);
            }
            Event::PackageChanged { .. } | Event::ResourceReplaced { .. } => {}
        }
    }
}
