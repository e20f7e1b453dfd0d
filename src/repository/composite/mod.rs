//! A virtual repository: several repositories behind one address, merged and signed again (interface §3, §5).
//!
//! ```text
//! claims of all members → members that may answer → their answers for this caller → merged → signed, if it is sent
//! ```
//!
//! A member is asked for what it would serve itself, so its own rules have been applied. Which names are private is
//! determined from all members, independent of the caller (`claims`). What a caller sees is merged from the members
//! that the caller may read (`view`). A tarball comes from the member whose release is in the index, so both always
//! match.

mod claims;
mod describe;
mod evaluation;
mod explain;
mod held_releases;
mod listing;
mod local_members;
mod locate;
mod member_answers;
pub mod member_order;
mod member_statuses;
mod members_policy;
mod merged_lists;
mod name_routing;
mod origins;
mod package;
mod policy;
mod publishing;
mod silence;
mod verify_store;
mod view;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub(in crate::repository) use self::describe::ShownPackage;
pub use self::evaluation::Evaluated;
pub use self::explain::{ConflictReport, ExplainQuestion, ExplainedAnswer, Explanation, MemberOutcome, MemberSays};
use self::listing::{Kind, Listing};
pub use self::member_order::{Merge, MergeRules, OnFailure};
use self::merged_lists::MergedBulk;
use self::package::Merged;
pub(super) use self::package::ViewPackage;
pub(in crate::repository) use self::policy::PackageSource;
use self::view::View;
use super::enforcer::{Enforcer, PolicyOptions};
use super::error::RepoError;
use super::hidden_releases::ResourceContent;
use super::last_resource::LastMade;
use super::sealer::{Scope, Sealer};
use super::{CacheLifetime, Identity, NameRules, RegistryAnswer, Repository, RequestContext, Served};
use crate::auth::ReadGrant;
use crate::cache::payload::Payload;
use crate::cache::single_flight::Flights;
use crate::cache::{CacheError, CacheStatus, SharedCaches};
use crate::hex::checksum::Sha256;
use crate::hex::name::{PackageName, RepoName};
use crate::hex::resource::RegistryResource;
use crate::repository::LocalRepository;
use crate::state::State;
use crate::trust::{PublicKey, SignedResource};

/// Maximum size of the merged packages in memory, in bytes; others are merged again when they are requested.
const PACKAGES_BYTES: u64 = 16 * 1024 * 1024;

/// How many views (sets of readable members) have their lists in memory.
const VIEWS: u64 = 16;

/// How many lists of members are kept split by package.
const LISTINGS: u64 = 64;

/// The scope of lists that include held releases. No view has this name.
const UNHELD: &str = "unheld";

/// A member of a virtual repository.
#[derive(Clone, Debug)]
pub struct Member {
    /// The repository.
    pub repository: Repository,
    /// The packages that it answers for here.
    pub names: NameRules,
    /// Whether its names are private: no public member answers for them.
    pub private: bool,
}

/// The settings of a virtual repository.
#[derive(Debug)]
pub struct VirtualOptions {
    /// Its names, and the access rules for it and its members.
    pub identity: Identity,
    /// The members, in order of priority.
    pub members: Vec<Member>,
    /// How they are merged.
    pub rules: MergeRules,
    /// The local repository for releases that are published here.
    pub deploy_to: Option<Arc<LocalRepository>>,
    /// The policy that holds releases back. Its rules are selected by the key of the repository that has the release,
    /// never a virtual one.
    pub policy: Option<PolicyOptions>,
}

/// The sources of a resource: the digests of its members' resources and of the claims to names.
type Stamp = Vec<Sha256>;

/// A resource of a scope, built from these sources.
type Making = (Arc<str>, RegistryResource, Stamp);

/// A member's list, for a virtual member together with the view of it.
type ListingKey = (usize, Kind, Option<Arc<str>>);

/// A view for which something was built.
#[derive(Clone, Debug)]
struct Recent {
    view: View,
    /// Whether something of it was sent. Otherwise it is only a source for other repositories, and needs no signature.
    is_sent: bool,
}

/// A virtual repository.
#[derive(Debug)]
pub struct VirtualRepository {
    options: Arc<VirtualOptions>,
    shared: SharedCaches,
    state: State,
    sealer: Sealer,
    enforcer: Option<Arc<Enforcer>>,
    packages: moka::sync::Cache<(Arc<str>, PackageName), Arc<Merged>>,
    indexes: moka::sync::Cache<(Arc<str>, Kind), Arc<MergedBulk>>,
    listings: moka::sync::Cache<ListingKey, Arc<Listing>>,
    /// Policies that views show.
    policies: LastMade<(Arc<str>, RegistryResource)>,
    /// Views for which something was built.
    recent: moka::sync::Cache<Arc<str>, Recent>,
    merging: Flights<Making, Result<Arc<Merged>, CacheError>>,
    indexing: Flights<Making, Result<Arc<MergedBulk>, CacheError>>,
}

impl VirtualRepository {
    /// A repository with nothing in memory.
    pub fn new(options: VirtualOptions, shared: SharedCaches, state: State, sealer: Sealer) -> Self {
        let policy = options.policy.clone();
        let enforcer =
            policy.map(|policy| Enforcer::new(options.identity.key.clone(), policy, shared.clone(), state.clone()));
        let weigh = |_: &(Arc<str>, PackageName), merged: &Arc<Merged>| {
            u32::try_from(merged.payload.memory_bytes() + 512).unwrap_or(u32::MAX)
        };
        Self {
            options: Arc::new(options),
            enforcer,
            merging: Flights::new(shared.tasks.clone()),
            indexing: Flights::new(shared.tasks.clone()),
            packages: moka::sync::Cache::builder().weigher(weigh).max_capacity(PACKAGES_BYTES).build(),
            indexes: moka::sync::Cache::new(VIEWS),
            listings: moka::sync::Cache::new(LISTINGS),
            policies: LastMade::new(),
            recent: moka::sync::Cache::new(VIEWS),
            shared,
            state,
            sealer,
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

    /// The members, in order of priority.
    pub fn members(&self) -> &[Member] {
        &self.options.members
    }

    /// The local repository for releases that are published here.
    pub fn deploy_to(&self) -> Option<&Arc<LocalRepository>> {
        self.options.deploy_to.as_ref()
    }

    /// A signed resource with what the caller may see. Cancel safe.
    pub async fn registry(
        self: &Arc<Self>,
        grant: &ReadGrant,
        resource: &RegistryResource,
        context: RequestContext,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        let view = self.view(grant)?;
        // Not for other virtual repositories above this one: the rules of the policy do not concern them.
        if let Some((published, keep)) = self.published_policy(&view, resource, context).await? {
            let signed = self.sent(&view, resource, &published).await?;
            return Ok(Served::at_once((signed, keep).into(), CacheStatus::Hit));
        }
        let served = match resource {
            RegistryResource::Package(name) => self.package(&view, name, context).await?.map(ResourceContent::from),
            _ => self.view_resource(&view, resource, context).await?.map(ResourceContent::from),
        };
        let signed = self.sent(&view, resource, &served.value.payload).await?;
        Ok(served.map(|content| content.answer(signed)))
    }

    /// The signed resource of a view. It is signed and stored on disk unless that was done before.
    async fn sent(
        &self,
        view: &View,
        resource: &RegistryResource,
        payload: &Payload,
    ) -> Result<SignedResource, RepoError> {
        if let Some(signed) = payload.signed() {
            return Ok(signed);
        }
        let scope = if view.is_main() { Scope::Whole } else { Scope::Part(&view.scope) };
        let signed = self.sealer.signed(resource, scope, payload).await?;
        self.recent.insert(Arc::clone(&view.scope), Recent { view: view.clone(), is_sent: true });
        if let RegistryResource::Package(name) = resource {
            // Inserted again because its weight has changed: a signed payload takes less memory.
            let key = (Arc::clone(&view.scope), name.clone());
            if let Some(merged) = self.packages.get(&key) {
                self.packages.insert(key, merged);
            }
        }
        Ok(signed)
    }

    /// Remembers that something was built for a view.
    fn keep_recent(&self, view: View) {
        let scope = Arc::clone(&view.scope);
        self.recent.entry(scope).or_insert_with(|| Recent { view, is_sent: false });
    }

    /// The view that a grant allows.
    fn view(&self, grant: &ReadGrant) -> Result<View, RepoError> {
        // A grant for another repository is a bug in the caller, so nothing is shown.
        if grant.repository() == self.key() { Ok(View::of(self, grant)) } else { Err(RepoError::NotFound) }
    }

    /// A resource of a view.
    fn view_resource<'a>(
        self: &'a Arc<Self>,
        view: &'a View,
        resource: &'a RegistryResource,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Served<(Payload, CacheLifetime)>, RepoError>> {
        Box::pin(async move {
            match resource {
                RegistryResource::Names => self.index(view, Kind::Names, context).await,
                RegistryResource::Versions => self.index(view, Kind::Versions, context).await,
                RegistryResource::Package(name) => {
                    let served = self.package(view, name, context).await?;
                    Ok(served.map(|found| (found.merged.payload.clone(), found.keep)))
                }
                RegistryResource::Policy(name) => self.members_policy(view, name, context).await,
            }
        })
    }

    /// A member's `names` or `versions`, split by package once for each version of the list.
    async fn listing(
        &self,
        member: usize,
        kind: Kind,
        below: Option<&View>,
        context: RequestContext,
    ) -> Result<Served<(Arc<Listing>, CacheLifetime)>, RepoError> {
        let repository = self.members().get(member).map(|member| &member.repository).ok_or(RepoError::NotFound)?;
        let served = repository.whole(&kind.resource(), below, context).await?;
        let key = (member, kind, below.map(|below| Arc::clone(&below.scope)));
        self.split_listing(key, served).await
    }

    /// The same list including releases held by policy, independent of the caller.
    async fn unheld_listing(
        &self,
        at: usize,
        member: &Member,
        kind: Kind,
        context: RequestContext,
    ) -> Result<Served<(Arc<Listing>, CacheLifetime)>, RepoError> {
        let served = member.repository.unheld(&kind.resource(), context).await?;
        self.split_listing((at, kind, Some(UNHELD.into())), served).await
    }

    /// Splits a member's names, including releases held by policy.
    async fn apart_unheld(
        &self,
        at: usize,
        served: Served<(Payload, CacheLifetime)>,
    ) -> Result<Arc<Listing>, RepoError> {
        Ok(self.split_listing((at, Kind::Names, Some(UNHELD.into())), served).await?.value.0)
    }

    /// Splits a list by package, or returns the previous result if the list is the same.
    async fn split_listing(
        &self,
        key: (usize, Kind, Option<Arc<str>>),
        served: Served<(Payload, CacheLifetime)>,
    ) -> Result<Served<(Arc<Listing>, CacheLifetime)>, RepoError> {
        let (list, keep) = &served.value;
        let (list, keep) = (list.clone(), *keep);
        if let Some(held) = self.listings.get(&key).filter(|held| held.digest == *list.digest()) {
            return Ok(served.map(|_| (held, keep)));
        }
        let listing = Arc::new(self.shared.blocking(move |_| Listing::of(&list)).await??);
        self.listings.insert(key, Arc::clone(&listing));
        Ok(served.map(|_| (listing, keep)))
    }
}

impl Repository {
    /// A resource as this repository would sign it, independent of the caller. Virtual repositories use it, and apply
    /// the rights of their callers. `below` is the view of a virtual repository.
    async fn whole(
        &self,
        resource: &RegistryResource,
        below: Option<&View>,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        match (self, below) {
            (Self::Remote(remote), _) => remote.whole(resource, super::SignedBy::Own, context).await,
            (Self::Local(local), _) => local.whole(resource).await,
            (Self::Virtual(composed), Some(view)) => composed.view_resource(view, resource, context).await,
            (Self::Virtual(_), None) => Err(RepoError::NotFound),
        }
    }

    /// The same resource including releases held by policy: a name stays claimed even if nothing of it is available
    /// now.
    async fn unheld(
        &self,
        resource: &RegistryResource,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        match self {
            Self::Remote(remote) => remote.unheld(resource, super::SignedBy::Own, context).await,
            Self::Local(local) => local.whole(resource).await,
            Self::Virtual(composed) => composed.view_resource(&View::unheld(composed), resource, context).await,
        }
    }
}
