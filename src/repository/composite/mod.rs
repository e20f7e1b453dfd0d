//! A virtual repository: several others behind one address, merged and signed again (interface §3, §5).
//!
//! ```text
//! claims (of all members) → who may answer → their shares, as far as the caller may read → merged → signed, if it is sent
//! ```
//!
//! A member is asked for what it would send itself, so its own rules have been applied. Which names are private is found
//! over all members, whoever asks (`claims`); what a caller sees is made of the members that the caller may read
//! (`view`). A tarball comes from the member from which the index has its release, so the two cannot disagree.

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
use super::last_made::LastMade;
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

/// Bytes of merged packages in memory; those that are not in it are merged again.
const PACKAGES_BYTES: u64 = 16 * 1024 * 1024;

/// Sets of readable members whose indexes are kept in memory.
const VIEWS: u64 = 16;

/// Lists of members that are kept taken apart.
const LISTINGS: u64 = 64;

/// The scope under which lists with all that members have are kept: no view is called so.
const UNHELD: &str = "unheld";

/// A member of a virtual repository.
#[derive(Clone, Debug)]
pub struct Member {
    /// The repository.
    pub repository: Repository,
    /// Which packages it answers for here.
    pub names: NameRules,
    /// Whether its names are answered by no public member.
    pub private: bool,
}

/// Everything that makes a virtual repository what it is.
#[derive(Debug)]
pub struct VirtualOptions {
    /// What it is called, and who may read which of its members.
    pub identity: Identity,
    /// In order of priority.
    pub members: Vec<Member>,
    /// How they are merged.
    pub rules: MergeRules,
    /// Takes what is published here.
    pub deploy_to: Option<Arc<LocalRepository>>,
    /// Whose rules hold releases back, by the key of the repository in which a release lives, which is no virtual one.
    pub policy: Option<PolicyOptions>,
}

/// What a resource was made from: its members' resources and the claims to names, by their digests.
type Stamp = Vec<Sha256>;

/// A resource under a scope, made from a stamp.
type Making = (Arc<str>, RegistryResource, Stamp);

/// A member's list under a view of the member, where that is virtual itself.
type ListingKey = (usize, Kind, Option<Arc<str>>);

/// A view for which something was made.
#[derive(Clone, Debug)]
struct Recent {
    view: View,
    /// Whether something of it was sent. Else it is what others are merged of, and nobody wants it signed.
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
    /// Views for which something was made.
    recent: moka::sync::Cache<Arc<str>, Recent>,
    merging: Flights<Making, Result<Arc<Merged>, CacheError>>,
    indexing: Flights<Making, Result<Arc<MergedBulk>, CacheError>>,
}

impl VirtualRepository {
    /// A repository of which nothing is in memory yet.
    pub fn new(options: VirtualOptions, shared: SharedCaches, state: State, sealer: Sealer) -> Self {
        let policy = options.policy.clone();
        let enforcer =
            policy.map(|policy| Enforcer::new(options.identity.key.clone(), policy, shared.clone(), state.clone()));
        let weigh = |_: &(Arc<str>, PackageName), merged: &Arc<Merged>| {
            u32::try_from(merged.payload.held() + 512).unwrap_or(u32::MAX)
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

    /// What it is called, and who may do what.
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

    /// The local repository that takes what is published here.
    pub fn deploy_to(&self) -> Option<&Arc<LocalRepository>> {
        self.options.deploy_to.as_ref()
    }

    /// A signed resource, of what the caller may see. Cancel safe.
    pub async fn registry(
        self: &Arc<Self>,
        grant: &ReadGrant,
        resource: &RegistryResource,
        context: RequestContext,
    ) -> Result<Served<RegistryAnswer>, RepoError> {
        let view = self.view(grant)?;
        // Only here: what another virtual repository shows of it is not what its rules are about.
        if let Some((published, keep)) = self.published_policy(&view, resource, context).await? {
            let signed = self.sent(&view, resource, &published).await?;
            return Ok(Served::at_once((signed, keep).into(), CacheStatus::Hit));
        }
        let served = match resource {
            RegistryResource::Package(name) => self.package(&view, name, context).await?.map(ResourceContent::from),
            _ => self.see(&view, resource, context).await?.map(ResourceContent::from),
        };
        let signed = self.sent(&view, resource, &served.value.payload).await?;
        Ok(served.map(|content| content.answer(signed)))
    }

    /// What is sent of a view's resource; signed where it was not, and kept on disk.
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
            // What is signed takes less memory than what is not.
            let key = (Arc::clone(&view.scope), name.clone());
            if let Some(merged) = self.packages.get(&key) {
                self.packages.insert(key, merged);
            }
        }
        Ok(signed)
    }

    /// Something was made for a view.
    fn keep_recent(&self, view: View) {
        let scope = Arc::clone(&view.scope);
        self.recent.entry(scope).or_insert_with(|| Recent { view, is_sent: false });
    }

    /// What a grant shows.
    fn view(&self, grant: &ReadGrant) -> Result<View, RepoError> {
        // A grant for another repository is a bug of the caller's; nothing is shown.
        if grant.repository() == self.key() { Ok(View::of(self, grant)) } else { Err(RepoError::NotFound) }
    }

    /// A resource of a view.
    fn see<'a>(
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

    /// A member's `names` or `versions`, taken apart once for each state of it.
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
        self.apart(key, served).await
    }

    /// The same of a member with what policies hold back; whoever asks.
    async fn unheld_listing(
        &self,
        at: usize,
        member: &Member,
        kind: Kind,
        context: RequestContext,
    ) -> Result<Served<(Arc<Listing>, CacheLifetime)>, RepoError> {
        let served = member.repository.unheld(&kind.resource(), context).await?;
        self.apart((at, kind, Some(UNHELD.into())), served).await
    }

    /// A member's names with what policies hold back, as they were asked for.
    async fn apart_unheld(
        &self,
        at: usize,
        served: Served<(Payload, CacheLifetime)>,
    ) -> Result<Arc<Listing>, RepoError> {
        Ok(self.apart((at, Kind::Names, Some(UNHELD.into())), served).await?.value.0)
    }

    /// Takes a resource apart, or finds that it was.
    async fn apart(
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
    /// A resource as this repository would send it under a signature of ours, whoever asks: for virtual repositories,
    /// which show it by the rights of their callers. `below`: the view of one that is virtual itself.
    async fn whole(
        &self,
        resource: &RegistryResource,
        below: Option<&View>,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        match (self, below) {
            (Self::Remote(remote), _) => remote.whole(resource, super::SignedBy::Own, context).await,
            (Self::Local(local), _) => local.whole(resource).await,
            (Self::Virtual(composed), Some(view)) => composed.see(view, resource, context).await,
            (Self::Virtual(_), None) => Err(RepoError::NotFound),
        }
    }

    /// The same with what a policy holds back: a name stays claimed, whatever may be had of it now.
    async fn unheld(
        &self,
        resource: &RegistryResource,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        match self {
            Self::Remote(remote) => remote.unheld(resource, super::SignedBy::Own, context).await,
            Self::Local(local) => local.whole(resource).await,
            Self::Virtual(composed) => composed.see(&View::unheld(composed), resource, context).await,
        }
    }
}
