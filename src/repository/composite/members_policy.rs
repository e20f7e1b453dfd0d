//! `policies/NAME` of members: which members are asked for a policy, and whose policy is served.
//!
//! No list says which policies exist. So private members are asked first, whatever their priority. Public members are
//! asked only if no private member has or had the policy, and if its name contains no private or reserved package name.
//! The policies of this server belong to no member, so no public upstream learns their names
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
    /// The policy of the first member that has it, renamed to this repository.
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
                // The member that owns the policy does not depend on the caller.
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
            return Ok(story.into_served(renamed));
        }
        // If a member was skipped, it is unknown whether the policy exists.
        Err(skipped.unwrap_or(RepoError::NotFound))
    }

    /// The indexes of the members that are asked for a policy, and whether they are private.
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

    /// Whether each member has a policy as a private member. If members claim the name as a package name, only those
    /// are asked.
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

/// Whether a private member has a policy. Its absence is never signed: the answer counts only if the member's list of
/// names is confirmed.
async fn has_policy(member: &Member, name: &PolicyName, standing: &Confirmation, context: RequestContext) -> Claimant {
    let resource = RegistryResource::Policy(name.clone());
    match (member.repository.whole(&resource, None, context).await, standing) {
        (Ok(_), _) => Claimant::Yes,
        (Err(RepoError::NotFound), Confirmation::Confirmed) => Claimant::No,
        (Err(RepoError::NotFound), Confirmation::UpstreamUnreachable(error) | Confirmation::UnsignedAnswer(error)) => {
            Claimant::Failed(error.clone().into())
        }
        (Err(error), _) => Claimant::Failed(error),
    }
}
