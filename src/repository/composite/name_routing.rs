//! Decides which members are asked for a package name. Every access of a virtual repository to its members uses this:
//! packages, files, the API, explanations, dependencies of published releases, prefetching and bundles.
//!
//! ```text
//! a member claims the name    only the members that claim it are asked
//! no member claims it         each private member is asked whether it has it; if none has, the public ones are asked
//! the name is reserved        only private members are asked
//! ```
//!
//! So the name of a private package is sent to no upstream that does not have it already, public or private. Rights do
//! not matter here: the same members answer for a name for every caller.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::claims::{Claimant, Claims, has_unlisted, may_claim};
use super::{Member, VirtualRepository};
use crate::hex::name::{PackageName, RepoName};
use crate::repository::{RepoError, Repository, RequestContext};

/// The members that are asked for a name.
#[derive(Debug)]
pub(super) struct NameRouting {
    pub(super) claims: Arc<Claims>,
    /// For each member whether it claims the name.
    pub(super) claimants: Vec<bool>,
    /// The indexes of the members that are asked, in order of priority.
    pub(super) order: Vec<usize>,
}

impl NameRouting {
    /// Whether a member claims the name.
    pub(super) fn is_claimant(&self, member: usize) -> bool {
        self.claimants.get(member) == Some(&true)
    }

    /// Whether any member claims the name.
    pub(super) fn is_claimed(&self) -> bool {
        self.claimants.contains(&true)
    }
}

/// What is known about a name before members are asked for its content.
#[derive(Debug)]
pub(super) struct Claimants {
    pub(super) claims: Arc<Claims>,
    /// For each member whether it claims the name.
    pub(super) members: Vec<Claimant>,
}

impl Claimants {
    /// Whether a member claims the name, as far as this is known.
    pub(super) fn of(&self, member: usize) -> Option<&Claimant> {
        self.members.get(member)
    }
}

impl VirtualRepository {
    /// Determines the members that are asked for a name.
    ///
    /// # Errors
    ///
    /// Fails if a private member cannot tell whether it claims the name.
    pub(super) async fn route_name(
        &self,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<NameRouting, RepoError> {
        let claimants = self.claimants(name, context).await;
        self.route_name_with(name, &claimants)
    }

    /// The same, if the claimants have been determined before.
    pub(super) fn route_name_with(&self, name: &PackageName, found: &Claimants) -> Result<NameRouting, RepoError> {
        let claimants: Vec<bool> = found.members.iter().map(Claimant::known).collect::<Result<_, _>>()?;
        let order = self.options.rules.order(name.as_str(), &claimants, |at| self.is_public(at));
        Ok(NameRouting { claims: Arc::clone(&found.claims), claimants, order })
    }

    /// Whether a name is private here and must not be sent to the repository `key`, a member at any depth. Without a
    /// context no member is asked: only reserved names and names that private members have had are considered.
    pub fn is_private_from<'a>(
        self: &'a Arc<Self>,
        key: &'a RepoName,
        name: &'a PackageName,
        context: Option<RequestContext>,
    ) -> BoxFuture<'a, Result<bool, RepoError>> {
        Box::pin(async move {
            // A member that does not answer for the name here is still a member: the name is not sent to it.
            if !self.options.identity.names.allows(name.as_str()) || !self.has_member(key) {
                return Ok(false);
            }
            let (is_claimed, order) = match context {
                Some(context) => {
                    let routing = self.route_name(name, context).await?;
                    (routing.is_claimed(), routing.order)
                }
                None => {
                    let claimants = self.had_by(name, false).await?;
                    let order = self.options.rules.order(name.as_str(), &claimants, |at| self.is_public(at));
                    (claimants.contains(&true), order)
                }
            };
            let is_private = is_claimed || self.options.rules.reserve.allows(name.as_str());
            let order = order.iter().filter_map(|at| self.members().get(*at));
            for member in order.filter(|member| member.names.allows(name.as_str())) {
                let hears = match &member.repository {
                    Repository::Virtual(below) => {
                        below.shows_of(key, name) && !below.is_private_from(key, name, context).await?
                    }
                    repository => repository.key() == key,
                };
                if hears {
                    return Ok(false);
                }
            }
            Ok(is_private)
        })
    }

    /// For each member whether a name is private according to local data: names that private members have had, and
    /// names that virtual members reserve. All members of a private virtual member count as private.
    fn had_by<'a>(&'a self, name: &'a PackageName, all_private: bool) -> BoxFuture<'a, Result<Vec<bool>, RepoError>> {
        Box::pin(async move {
            let mut claimants = Vec::new();
            for member in self.members() {
                let is_private = all_private || member.private;
                claimants.push(match &member.repository {
                    _ if !may_claim(member, name.as_str()) => false,
                    Repository::Virtual(below) => {
                        below.options.identity.names.allows(name.as_str())
                            && (below.options.rules.reserve.allows(name.as_str())
                                || below.had_by(name, is_private).await?.contains(&true))
                    }
                    repository => is_private && self.state.claimed(repository.key().as_str()).await?.has(name.as_str()),
                });
            }
            Ok(claimants)
        })
    }

    /// Whether a member is public.
    pub(super) fn is_public(&self, member: usize) -> bool {
        self.members().get(member).is_some_and(|member| !member.private)
    }

    /// Determines the claimants of a name. Private members are asked for the package only if no list has the name, and
    /// all lists could be read.
    pub(super) async fn claimants(&self, name: &PackageName, context: RequestContext) -> Claimants {
        let claims = self.claims_on(name, context).await;
        let members = self.resolve_claimants(name, &claims, context).await;
        Claimants { claims, members }
    }

    fn resolve_claimants<'a>(
        &'a self,
        name: &'a PackageName,
        claims: &'a Claims,
        context: RequestContext,
    ) -> BoxFuture<'a, Vec<Claimant>> {
        Box::pin(async move {
            let said: Vec<Claimant> = (0..self.members().len()).map(|at| claims.claimant(at, name.as_str())).collect();
            if said.iter().any(|one| matches!(one, Claimant::Failed(_))) {
                return said;
            }
            if said.iter().any(|one| matches!(one, Claimant::Yes)) {
                let known = |one| if matches!(one, Claimant::NotAskedYet) { Claimant::No } else { one };
                return said.into_iter().map(known).collect();
            }
            let asked = self.members().iter().enumerate().zip(said).map(async |((at, member), said)| match said {
                Claimant::NotAskedYet => self.asked(at, member, name, claims, context).await,
                said => said,
            });
            join_all(asked).await
        })
    }

    /// Asks a private member for a package that no member claims: its list may be a minute old.
    async fn asked(
        &self,
        at: usize,
        member: &Member,
        name: &PackageName,
        claims: &Claims,
        context: RequestContext,
    ) -> Claimant {
        match (&member.repository, claims.below(at), claims.list_confirmation(at)) {
            (Repository::Virtual(below), Some(claims), _) => {
                Claimant::any(below.resolve_claimants(name, claims, context).await)
            }
            (repository, _, Some(standing)) => match has_unlisted(repository, name, standing, context).await {
                Ok(true) => Claimant::Yes,
                Ok(false) => Claimant::No,
                Err(error) => Claimant::Failed(error),
            },
            _ => Claimant::No,
        }
    }
}
