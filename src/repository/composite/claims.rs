//! Which names belong to private members. The same for everybody, whoever may read which member.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all, try_join_all};
use tokio::time::Instant;

use super::listing::{self, Kind, Listing};
use super::view::View;
use super::{Member, VirtualOptions, VirtualRepository};
use crate::hex::checksum::Sha256;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::repository::{Context, NameRules, RepoError, Repository};

/// The names that members of a virtual repository claim, as their signed lists have them.
#[derive(Debug)]
pub(super) struct Claims {
    options: Arc<VirtualOptions>,
    members: Vec<Claimed>,
}

#[derive(Debug)]
enum Claimed {
    /// A public member claims nothing.
    Nothing,
    /// A private one all that it lists.
    Listed(Arc<Listing>),
    /// A virtual one what its own members claim.
    Below(Arc<Claims>),
    /// A private one that does not say what it lists claims any name that it may answer for.
    Unheard(RepoError),
}

impl Claims {
    /// Whether a member claims a name.
    pub(super) fn by(&self, member: usize, name: &str) -> bool {
        let allowed = self.options.members.get(member).is_some_and(|member| member.names.allows(name));
        allowed
            && match self.members.get(member) {
                Some(Claimed::Listed(listing)) => listing.has(name),
                Some(Claimed::Below(claims)) => claims.any(name),
                Some(Claimed::Nothing | Claimed::Unheard(_)) | None => false,
            }
    }

    /// Whether it is known of this name; `None`: of every name.
    fn are_known(&self, name: Option<&str>) -> Result<(), RepoError> {
        let concerns = |names: &NameRules| name.is_none_or(|name| names.allows(name));
        if !concerns(&self.options.identity.names) {
            return Ok(());
        }
        let pairs = self.options.members.iter().zip(&self.members);
        pairs.filter(|(member, _)| concerns(&member.names)).try_for_each(|(_, claimed)| match claimed {
            Claimed::Unheard(error) => Err(error.clone()),
            Claimed::Below(claims) => claims.are_known(name),
            Claimed::Nothing | Claimed::Listed(_) => Ok(()),
        })
    }

    /// Whether anybody does, or the name is reserved.
    pub(super) fn any(&self, name: &str) -> bool {
        self.options.identity.names.allows(name)
            && (self.options.rules.reserve.allows(name) || (0..self.members.len()).any(|member| self.by(member, name)))
    }

    /// The names that members list and claim, as far as the view shows them.
    pub(super) fn seen(&self, view: &View) -> BTreeSet<Box<str>> {
        let mut names = BTreeSet::new();
        for (at, claimed) in self.members.iter().enumerate() {
            let of_member: BTreeSet<Box<str>> = match (claimed, view.below(at)) {
                (Claimed::Listed(listing), None) => listing.names().map(Into::into).collect(),
                (Claimed::Listed(listing), Some(below)) if below.is_whole() => {
                    listing.names().map(Into::into).collect()
                }
                (Claimed::Below(claims), Some(below)) => claims.seen(below),
                _ => BTreeSet::new(),
            };
            let shown =
                |name: &str| view.reads(at, name) && self.options.identity.names.allows(name) && self.by(at, name);
            names.extend(of_member.into_iter().filter(|name| shown(name)));
        }
        names
    }

    /// Of the names in them: claims of the same digests are the same, whatever else was published of those packages.
    pub(super) fn digests(&self, digests: &mut Vec<Sha256>) {
        for member in &self.members {
            match member {
                Claimed::Nothing => {}
                Claimed::Unheard(_) => digests.push(Sha256::of(b"unheard")),
                Claimed::Listed(listing) => digests.push(listing.names_digest),
                Claimed::Below(claims) => claims.digests(digests),
            }
        }
    }

    /// The names of which it may be that they are claimed in one and not in the other.
    pub(super) fn changed(before: &Self, now: &Self, names: &mut BTreeSet<Box<str>>) {
        for pair in before.members.iter().zip(&now.members) {
            match pair {
                (Claimed::Listed(before), Claimed::Listed(now)) => listing::changed(before, now, names),
                (Claimed::Below(before), Claimed::Below(now)) => Self::changed(before, now, names),
                _ => {}
            }
        }
    }
}

impl VirtualRepository {
    /// The claims of all members, which are known of every name. A private member that does not say what it has lets
    /// nobody answer anything: what is not claimed now might be the name that it cannot tell.
    pub(super) async fn claims(&self, context: Context) -> Result<Arc<Claims>, RepoError> {
        let claims = self.heard(None, context).await;
        claims.are_known(None)?;
        Ok(claims)
    }

    /// The same, known of this name at least: a private member that may not answer for it does not matter.
    pub(super) async fn claims_on(&self, name: &PackageName, context: Context) -> Result<Arc<Claims>, RepoError> {
        let claims = self.heard(Some(name), context).await;
        claims.are_known(Some(name.as_str()))?;
        Ok(claims)
    }

    /// What members say of their names.
    fn heard<'a>(&'a self, name: Option<&'a PackageName>, context: Context) -> BoxFuture<'a, Arc<Claims>> {
        Box::pin(async move {
            let members = self.members().iter().enumerate().map(async |(at, member)| {
                // One that does not matter is not waited for to the end.
                let matters = name.is_none_or(|name| member.names.allows(name.as_str()));
                let context = if matters { context } else { Context { deadline: halfway(context), ..context } };
                match &member.repository {
                    _ if member.private => self.listed(at, member, context).await,
                    Repository::Virtual(below) => Claimed::Below(below.heard(name.filter(|_| matters), context).await),
                    Repository::Remote(_) | Repository::Local(_) => Claimed::Nothing,
                }
            });
            Arc::new(Claims { options: Arc::clone(&self.options), members: join_all(members).await })
        })
    }

    /// What a private member lists.
    async fn listed(&self, at: usize, member: &Member, context: Context) -> Claimed {
        match self.unheld_listing(at, member, Kind::Names, context).await {
            Ok(served) => Claimed::Listed(served.value.0),
            Err(RepoError::NotFound) => Claimed::Unheard(self.no_names(member)),
            Err(error) => Claimed::Unheard(error),
        }
    }

    /// A member has no list of its packages. Callers are not told which one.
    pub(super) fn no_names(&self, member: &Member) -> RepoError {
        let member = member.repository.key();
        tracing::warn!(repository = %self.key(), %member, "a member has no list of its packages");
        RepoError::NoNames { member: member.clone() }
    }

    /// Of each member whether it claims a name, by its list or by having the package: a list may be a minute old.
    pub(super) async fn claimants(
        &self,
        name: &PackageName,
        claims: &Claims,
        context: Context,
    ) -> Result<Vec<bool>, RepoError> {
        let members = self.members().iter().enumerate().map(async |(at, member)| {
            if !member.names.allows(name.as_str()) {
                return Ok(false);
            }
            if claims.by(at, name.as_str()) {
                return Ok(true);
            }
            match &member.repository {
                repository if member.private => has(repository, name, context).await,
                Repository::Virtual(below) => below.is_claimed(name, context).await,
                Repository::Remote(_) | Repository::Local(_) => Ok(false),
            }
        });
        try_join_all(members).await
    }

    /// Whether a name is reserved or belongs to a private member.
    pub(super) fn is_claimed<'a>(
        &'a self,
        name: &'a PackageName,
        context: Context,
    ) -> BoxFuture<'a, Result<bool, RepoError>> {
        Box::pin(async move {
            if !self.options.identity.names.allows(name.as_str()) {
                return Ok(false);
            }
            let claims = self.claims_on(name, context).await?;
            Ok(claims.any(name.as_str()) || self.claimants(name, &claims, context).await?.contains(&true))
        })
    }
}

/// When half of the time that is left is over.
fn halfway(context: Context) -> Instant {
    let now = Instant::now();
    now + context.deadline.saturating_duration_since(now) / 2
}

/// Whether a repository has a package; nothing of it is shown.
async fn has(repository: &Repository, name: &PackageName, context: Context) -> Result<bool, RepoError> {
    match repository.unheld(&RegistryResource::Package(name.clone()), context).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_absence() => Ok(false),
        Err(error) => Err(error),
    }
}
