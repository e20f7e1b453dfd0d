//! `policies/NAME` of members: which of them hears the name of a policy, and whose is answered.
//!
//! No list says which policies there are. So private members are asked first, whatever their place; the public ones hear a
//! name that no private member has or has had, and that says nothing of what is private: it is no private package's name, and
//! no reserved one. The policies of this server are no member's: no public upstream hears their names
//! (`RemoteRepository::resource`).

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::claims::{Claimant, Claims, PolicyClaim};
use super::member_order::OnFailure;
use super::member_statuses::MemberStatuses;
use super::view::View;
use super::{Member, VirtualRepository};
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::cache::registry::Confirmation;
use crate::hex::name::PolicyName;
use crate::hex::resource::RegistryResource;
use crate::hex::splice;
use crate::repository::private_text::TypedText;
use crate::repository::{CacheLifetime, RepoError, Repository, RequestContext, Served};

impl VirtualRepository {
    /// A policy of the first member that has it, under this repository's name.
    pub(super) async fn members_policy(
        self: &Arc<Self>,
        view: &View,
        name: &PolicyName,
        context: RequestContext,
    ) -> Result<Served<(Payload, CacheLifetime)>, RepoError> {
        let (order, is_private) = self.hearing_of_policy(name, context).await?;
        let resource = RegistryResource::Policy(name.clone());
        let patience = RequestContext { deadline: self.patience(order.len(), context), ..context };
        let mut skipped = None;
        for at in order {
            let Some(member) = self.members().get(at) else { continue };
            if !view.sees(at) {
                // Who has it does not depend on who asks.
                if is_private {
                    return Err(RepoError::Withheld);
                }
                continue;
            }
            let context = if is_private { context } else { patience };
            let served = match member.repository.whole(&resource, view.below(at), context).await {
                Ok(served) => served,
                Err(RepoError::NotFound) => continue,
                Err(error) if is_private || self.options.rules.on_failure == OnFailure::Fail => return Err(error),
                Err(error) => {
                    self.say_skipped(at, &error);
                    skipped.get_or_insert(error);
                    continue;
                }
            };
            let mut story = MemberStatuses::new();
            story.add(&served, served.value.1);
            if skipped.is_some() {
                story.skipped();
            }
            let (policy, name, about) = (served.value.0, self.identity().name.clone(), resource.clone());
            let renamed = self.shared.blocking(move |_| {
                let payload = policy.bytes()?;
                let payload = splice::set_repository(&about, &payload, &name).map_err(CacheError::untrusted)?;
                Ok::<_, CacheError>(Payload::new(payload.into_owned()))
            });
            let renamed = self.policies.keep((Arc::clone(&view.scope), resource), renamed.await??);
            return Ok(story.tell(renamed));
        }
        // That nobody has it is not known while somebody was not heard.
        Err(skipped.unwrap_or(RepoError::NotFound))
    }

    /// The places of the members that are asked for a policy, and whether it is a private one's.
    async fn hearing_of_policy(
        &self,
        name: &PolicyName,
        context: RequestContext,
    ) -> Result<(Vec<usize>, bool), RepoError> {
        let claims = self.claims(context).await?;
        let said = self.having_policy(name, &claims, context).await;
        let claimants: Vec<bool> = said.iter().map(Claimant::known).collect::<Result<_, _>>()?;
        if claimants.contains(&true) {
            return Ok(((0..claimants.len()).filter(|at| claimants.get(*at) == Some(&true)).collect(), true));
        }
        let is_word_private = claims.are_named_in(&TypedText::of(name.as_str()));
        let public = (0..claimants.len()).filter(|at| !is_word_private && self.is_public(*at));
        Ok((public.collect(), false))
    }

    /// Of each member whether it has a policy, as far as it is private. Where its name is that of a package that members
    /// claim, those alone are asked.
    fn having_policy<'a>(
        &'a self,
        name: &'a PolicyName,
        claims: &'a Claims,
        context: RequestContext,
    ) -> BoxFuture<'a, Vec<Claimant>> {
        Box::pin(async move {
            let members = self.members().iter().enumerate().map(async |(at, member)| {
                match (claims.policy_claim(at, name), &member.repository) {
                    (PolicyClaim::Never, _) => Claimant::No,
                    (PolicyClaim::Had, _) => Claimant::Yes,
                    (PolicyClaim::Ask(standing), _) => has_policy(member, name, standing, context).await,
                    (PolicyClaim::Below(claims), Repository::Virtual(below)) => {
                        Claimant::any(below.having_policy(name, claims, context).await)
                    }
                    (PolicyClaim::Below(_), Repository::Remote(_) | Repository::Local(_)) => Claimant::No,
                }
            });
            join_all(members).await
        })
    }
}

/// Whether a private member has a policy. Nobody signs that it has not: its answer counts while its list of names is
/// confirmed, and silence never does.
async fn has_policy(member: &Member, name: &PolicyName, standing: &Confirmation, context: RequestContext) -> Claimant {
    let resource = RegistryResource::Policy(name.clone());
    match (member.repository.whole(&resource, None, context).await, standing) {
        (Ok(_), _) => Claimant::Yes,
        (Err(RepoError::NotFound), Confirmation::Confirmed) => Claimant::No,
        (Err(RepoError::NotFound), Confirmation::Silent(error) | Confirmation::Doubtful(error)) => {
            Claimant::Failed(error.clone().into())
        }
        (Err(error), _) => Claimant::Failed(error),
    }
}
