//! Collects the claims of the members of a virtual repository.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::{Claimed, Claims, Private, may_have};
use crate::cache::registry::Confirmation;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::repository::composite::listing::Kind;
use crate::repository::composite::{Member, VirtualRepository};
use crate::repository::private_text::TypedText;
use crate::repository::{RepoError, Repository, RequestContext};

impl VirtualRepository {
    /// The claims of all members for all names. Fails if the names of a private member are unknown: any name could be
    /// one of them, so no member may answer.
    pub(in crate::repository::composite) async fn claims(
        &self,
        context: RequestContext,
    ) -> Result<Arc<Claims>, RepoError> {
        let claims = self.collect_claims(None, false, context).await;
        claims.are_known()?;
        Ok(claims)
    }

    /// The claims as far as they matter for one name. A private member that may not answer for it gets only half of the
    /// time.
    pub(in crate::repository::composite) async fn claims_on(
        &self,
        name: &PackageName,
        context: RequestContext,
    ) -> Arc<Claims> {
        self.collect_claims(Some(name), false, context).await
    }

    /// Whether a text contains a private or reserved name of this repository.
    pub(in crate::repository) async fn is_named_privately(&self, text: &TypedText, context: RequestContext) -> bool {
        self.collect_claims(None, false, context).await.are_named_in(text)
    }

    /// Collects the claims of all members. All members of a private virtual member count as private.
    fn collect_claims<'a>(
        &'a self,
        name: Option<&'a PackageName>,
        all_private: bool,
        context: RequestContext,
    ) -> BoxFuture<'a, Arc<Claims>> {
        Box::pin(async move {
            let members = self.members().iter().enumerate().map(async |(at, member)| {
                // A member that does not matter gets only half of the time.
                let matters = name.is_none_or(|name| may_have(member, name.as_str()));
                let context = if matters { context } else { RequestContext { deadline: halfway(context), ..context } };
                let name = name.filter(|_| matters);
                let is_private = all_private || member.private;
                match &member.repository {
                    Repository::Virtual(below) => Claimed::Below(below.collect_claims(name, is_private, context).await),
                    _ if is_private => self.private_claims(at, member, name, context).await,
                    Repository::Remote(_) | Repository::Local(_) => Claimed::Nothing,
                }
            });
            Arc::new(Claims { options: Arc::clone(&self.options), members: join_all(members).await })
        })
    }

    /// The names that a private member has ever had, and those that it lists.
    async fn private_claims(
        &self,
        at: usize,
        member: &Member,
        name: Option<&PackageName>,
        context: RequestContext,
    ) -> Claimed {
        let ever = match self.state.claimed(member.repository.key().as_str()).await {
            Ok(names) => names,
            Err(error) => return Claimed::Unknown(error.into()),
        };
        // A claimed name needs no list.
        let is_claimed = name.is_some_and(|name| ever.has(name.as_str()));
        let list = match &member.repository {
            Repository::Remote(remote) if !is_claimed => {
                let found = remote.confirmed_names(halfway(context)).await;
                match found {
                    Ok((served, standing)) => self.apart_unheld(at, served).await.map(|listing| (listing, standing)),
                    Err(error) => Err(error),
                }
            }
            _ => {
                let found = self.unheld_listing(at, member, Kind::Names, context).await;
                found.map(|served| (served.value.0, Confirmation::Confirmed))
            }
        };
        let list = list.map_err(|error| match error {
            RepoError::NotFound => self.no_names(member),
            error => error,
        });
        // Read after the list, because the names in a list are claimed before the list is returned.
        let version = ever.version();
        Claimed::Private(Private { ever, version, list })
    }

    /// The error for a member without a list of its packages. Clients do not learn which member it is.
    pub(in crate::repository::composite) fn no_names(&self, member: &Member) -> RepoError {
        let member = member.repository.key();
        tracing::warn!(repository = %self.key(), %member, "the list of packages of a member is not available");
        RepoError::NoNames { member: member.clone() }
    }
}

/// The time at which half of the remaining time is over.
fn halfway(context: RequestContext) -> Instant {
    let now = Instant::now();
    now + context.deadline.saturating_duration_since(now) / 2
}

/// Whether a private member has a package that is not in its list. The package itself is not shown.
pub(in crate::repository::composite) async fn has_unlisted(
    repository: &Repository,
    name: &PackageName,
    standing: &Confirmation,
    context: RequestContext,
) -> Result<bool, RepoError> {
    match repository {
        Repository::Remote(remote) => remote.has_unlisted(name, standing, halfway(context)).await,
        Repository::Local(_) | Repository::Virtual(_) => {
            match repository.unheld(&RegistryResource::Package(name.clone()), context).await {
                Ok(_) => Ok(true),
                Err(error) if error.is_absence() => Ok(false),
                Err(error) => Err(error),
            }
        }
    }
}
