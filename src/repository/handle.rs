//! A repository of any type, as the HTTP layer uses it.

use std::sync::Arc;

use super::composite::VirtualRepository;
use super::error::RepoError;
use super::local::LocalRepository;
use super::remote::RemoteRepository;
use super::{Identity, RegistryAnswer, RequestContext, SignedBy};
use crate::auth::{AccessRules, Caller, ReadGrant};
use crate::cache::Served;
use crate::hex::envelope::Envelope;
use crate::hex::index::Index;
use crate::hex::name::RepoName;
use crate::hex::resource::RegistryResource;
use crate::shutdown;
use crate::trust::{PublicKey, SignedResource};

/// A repository. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Repository {
    /// An upstream behind a cache.
    Remote(Arc<RemoteRepository>),
    /// Packages that are published here.
    Local(Arc<LocalRepository>),
    /// Several repositories as one.
    Virtual(Arc<VirtualRepository>),
}

impl Repository {
    /// Its names and its access rules.
    pub fn identity(&self) -> &Identity {
        match self {
            Self::Remote(remote) => remote.identity(),
            Self::Local(local) => local.identity(),
            Self::Virtual(composed) => composed.identity(),
        }
    }

    /// Key in the configuration.
    pub fn key(&self) -> &RepoName {
        &self.identity().key
    }

    /// Name inside signed payloads.
    pub fn name(&self) -> &RepoName {
        &self.identity().name
    }

    /// The access rules.
    pub fn access(&self) -> &AccessRules {
        &self.identity().access
    }

    /// The names that the configuration uses for accounts of organizations: that of the repository's organization, and
    /// the key of a local repository, which is the usual one.
    pub fn account_names(&self) -> impl Iterator<Item = &str> {
        let key = self.as_local().map(|local| local.key().as_str());
        self.access().organization().into_iter().chain(key)
    }

    /// Whose signature its resources have at its own addresses.
    pub fn signature(&self) -> SignedBy {
        match self {
            Self::Remote(remote) => remote.signature(),
            Self::Local(_) | Self::Virtual(_) => SignedBy::Own,
        }
    }

    /// The key with which clients verify this signature.
    pub fn public_key(&self, signed_by: SignedBy) -> &PublicKey {
        match self {
            Self::Remote(remote) => remote.public_key(signed_by),
            Self::Local(local) => local.public_key(),
            Self::Virtual(composed) => composed.public_key(),
        }
    }

    /// The local repository, if it is one.
    pub fn as_local(&self) -> Option<&Arc<LocalRepository>> {
        match self {
            Self::Local(local) => Some(local),
            Self::Remote(_) | Self::Virtual(_) => None,
        }
    }

    /// The remote repository, if it is one.
    pub fn as_remote(&self) -> Option<&Arc<RemoteRepository>> {
        match self {
            Self::Remote(remote) => Some(remote),
            Self::Local(_) | Self::Virtual(_) => None,
        }
    }

    /// Whether both are the same object.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Remote(one), Self::Remote(other)) => Arc::ptr_eq(one, other),
            (Self::Local(one), Self::Local(other)) => Arc::ptr_eq(one, other),
            (Self::Virtual(one), Self::Virtual(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// A signed resource. Cancel safe.
    pub async fn registry(
        &self,
        grant: &ReadGrant,
        resource: &RegistryResource,
        signed_by: SignedBy,
        context: RequestContext,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        let served = match self {
            Self::Remote(remote) => remote.registry(grant, resource, signed_by, context).await?,
            Self::Local(local) => local.registry(grant, resource, context).await?.map(RegistryAnswer::from),
            Self::Virtual(composed) => composed.registry(grant, resource, context).await?,
        };
        match resource {
            RegistryResource::Policy(_) if matches!(grant.caller(), Caller::Anonymous) => {
                check_public(resource, &served.value.signed).await?;
            }
            _ => {}
        }
        Ok(served)
    }
}

/// An anonymous caller gets a policy only if it says itself that it is public; an unreadable one is not public.
async fn check_public(resource: &RegistryResource, signed: &SignedResource) -> Result<(), RepoError> {
    let (body, about) = (signed.body().clone(), resource.clone());
    let is_public = shutdown::blocking(move || {
        let envelope = Envelope::open(body, about.max_payload()).ok()?;
        match Index::decode(&about, &envelope.payload).ok()? {
            Index::Policy(policy) => Some(policy.is_public),
            _ => None,
        }
    });
    if is_public.await.ok().flatten() == Some(true) { Ok(()) } else { Err(RepoError::Withheld) }
}
