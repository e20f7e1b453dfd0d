//! Looks again at private members that gave no answer, before an answer of public members is used.
//!
//! Public members are asked for a name although a private member is silent, as long as its last list counts. If the
//! private member begins to answer meanwhile, it was only slow, and the name may be one of its own.

use futures_util::future::BoxFuture;

use super::VirtualRepository;
use super::claims::{Claimant, Claims};
use super::name_routing::NameRouting;
use crate::cache::CacheError;
use crate::cache::registry::Confirmation;
use crate::cache::single_flight::NoOutcome;
use crate::hex::name::PackageName;
use crate::repository::{RepoError, Repository};

impl VirtualRepository {
    /// Fails if public members answer for `name` by this routing, because private members were silent, and one of these
    /// has begun to answer since.
    pub(super) async fn check_silence(&self, name: &PackageName, routing: &NameRouting) -> Result<(), RepoError> {
        if !routing.is_claimed() && self.has_answered_since(&routing.claims, Some(name)).await? {
            return Err(RepoError::Timeout(CacheError::NoOutcome(NoOutcome::Unfinished)));
        }
        Ok(())
    }

    /// Whether a private member that was silent when `claims` were collected has begun to answer since: for its list,
    /// or for the package `name`, if that is given.
    pub(super) async fn has_answered_since(
        &self,
        claims: &Claims,
        name: Option<&PackageName>,
    ) -> Result<bool, RepoError> {
        if claims.counts_on_silent_members() { self.silent_have_answered(claims, name).await } else { Ok(false) }
    }

    fn silent_have_answered<'a>(
        &'a self,
        claims: &'a Claims,
        name: Option<&'a PackageName>,
    ) -> BoxFuture<'a, Result<bool, RepoError>> {
        Box::pin(async move {
            for (at, member) in self.members().iter().enumerate() {
                match name.map(|name| claims.claimant(at, name.as_str())) {
                    // It may not have the name.
                    Some(Claimant::No) => continue,
                    // What has arrived since has claimed the name.
                    Some(Claimant::Yes) => return Ok(true),
                    Some(Claimant::NotAskedYet | Claimant::Failed(_)) | None => {}
                }
                let has_answered = match (&member.repository, claims.below(at), claims.list_confirmation(at)) {
                    (Repository::Virtual(below), Some(claims), _) => below.silent_have_answered(claims, name).await?,
                    (Repository::Remote(remote), _, Some(Confirmation::UpstreamUnreachable(_))) => {
                        if remote.has_begun_to_answer(name) {
                            return Ok(true);
                        }
                        // Read afterwards: a list or a package that has arrived has claimed its names before.
                        let ever = self.state.claimed(remote.key().as_str()).await?;
                        match name {
                            Some(name) => ever.has(name.as_str()),
                            None => claims.version(at) != Some(ever.version()),
                        }
                    }
                    _ => false,
                };
                if has_answered {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}
