//! Asks members for a package and collects their answers, for one view.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;

use super::member_order::{MemberChoice, MemberShare, OnFailure, Withheld};
use super::name_routing::NameRouting;
use super::policy::{PackageSource, Verdict};
use super::view::View;
use super::{Merge, VirtualRepository};
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::hex::checksum::Sha256;
use crate::hex::index::Index;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::repository::hidden_releases::ResourceContent;
use crate::repository::{RepoError, Repository, RequestContext, Served};
use crate::trust::VerifyError;

/// A member's answer for a view, with the decisions of the view's policies.
#[derive(Debug)]
pub(super) struct MemberAnswer {
    /// The releases that may be shown; `None` if the caller may see none of them.
    pub(super) answer: Option<Served<ResourceContent>>,
    pub(super) verdicts: Vec<Verdict>,
    /// Further versions of this member, which are hidden. No other member may answer for them.
    pub(super) hidden: BTreeSet<Box<str>>,
}

impl MemberAnswer {
    /// Digests of the shown and the hidden releases: answers with equal digests merge to the same result.
    pub(super) fn digests(&self, digests: &mut Vec<Sha256>) {
        let none = || Sha256::of(b"withheld");
        digests.push(self.answer.as_ref().map_or_else(none, |answer| *answer.value.payload.digest()));
        if !self.hidden.is_empty() {
            digests
                .push(Sha256::of(self.hidden.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("\n").as_bytes()));
        }
    }
}

/// The members' answers for a view.
pub(super) struct MemberAnswers {
    /// The members whose releases count, in order of priority.
    pub(super) list: Vec<(usize, MemberAnswer)>,
    /// The error of a public member that was skipped.
    pub(super) skipped: Option<RepoError>,
    /// The error of an offline member that does not have the package cached.
    pub(super) absent: Option<RepoError>,
    /// The members that were skipped.
    pub(super) left_out: Vec<usize>,
}

impl VirtualRepository {
    /// Asks the members that may answer for a package, in order of priority, and keeps the answers that count.
    pub(super) async fn shares(
        &self,
        view: &View,
        name: &PackageName,
        routing: &NameRouting,
        context: RequestContext,
    ) -> Result<MemberAnswers, RepoError> {
        let rules = &self.options.rules;
        let claims = |member: usize| routing.is_claimant(member);
        let patience = RequestContext { deadline: self.patience(routing.order.len(), context), ..context };
        let order = routing.order.iter().copied();
        let mut answers: FuturesOrdered<_> = order
            .map(async |member| {
                let context = if claims(member) { context } else { patience };
                (member, self.share(view, member, name, routing, context).await)
            })
            .collect();
        let (mut choice, mut list) = (MemberChoice::new(rules.merge), Vec::new());
        let (mut skipped, mut absent, mut left_out) = (None, None, Vec::new());
        // Members behind the one that decides are not waited for.
        while let Some((member, answer)) = answers.next().await {
            let share = match answer {
                Ok(Some(heard)) => {
                    let share = if heard.answer.is_some() { MemberShare::Has } else { MemberShare::Withheld };
                    list.push((member, heard));
                    share
                }
                Ok(None) => MemberShare::Absent,
                Err(error) if error.is_absence() && !claims(member) => {
                    // The error of the last one is kept: most packages come from the last member.
                    absent = Some(error);
                    MemberShare::Absent
                }
                Err(error) if claims(member) || rules.on_failure == OnFailure::Fail => return Err(error),
                Err(error) => {
                    self.say_skipped(member, &error);
                    skipped.get_or_insert(error);
                    left_out.push(member);
                    MemberShare::Absent
                }
            };
            if choice.add_member(member, claims(member), share).is_break() {
                break;
            }
        }
        let owners = choice.owners().map_err(|Withheld| RepoError::Withheld)?;
        list.retain(|(member, heard)| owners.contains(member) || heard.answer.is_none());
        Ok(MemberAnswers { list, skipped, absent, left_out })
    }

    /// The answer of one member for this view.
    async fn share(
        &self,
        view: &View,
        at: usize,
        name: &PackageName,
        routing: &NameRouting,
        context: RequestContext,
    ) -> Result<Option<MemberAnswer>, RepoError> {
        let Some(member) = self.members().get(at).filter(|member| member.names.allows(name.as_str())) else {
            return Ok(None);
        };
        if !view.reads(at, name.as_str()) {
            return if routing.is_claimant(at) { self.withheld(at, name, context).await } else { Ok(None) };
        }
        let heard = match (&member.repository, view.below(at)) {
            (Repository::Virtual(below), Some(seen)) => below.package(seen, name, context).await.map(|served| {
                let verdicts = served.value.verdicts.iter().filter(|verdict| !below.is_own_verdict(verdict));
                let verdicts = verdicts.map(|verdict| verdict.through(at, &served.value.merged)).collect();
                let hidden = served.value.merged.left_out().map(Into::into).collect();
                MemberAnswer { answer: Some(served.map(ResourceContent::from)), verdicts, hidden }
            }),
            (repository, _) => self.judged(view, at, repository, name, context).await,
        };
        match heard {
            Ok(heard) => Ok(Some(heard)),
            Err(RepoError::Withheld) => self.withheld(at, name, context).await,
            Err(RepoError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer of a member that claims the name, if the caller may not see it. With `merge: release` its versions
    /// still count: no other member may answer for them, for any caller.
    async fn withheld(
        &self,
        at: usize,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<Option<MemberAnswer>, RepoError> {
        let mut hidden = BTreeSet::new();
        if let (Merge::Release, Some(member)) = (self.options.rules.merge, self.members().get(at)) {
            let resource = RegistryResource::Package(name.clone());
            match member.repository.unheld(&resource, context).await {
                Ok(served) => hidden = self.versions_in(served.value.0, resource).await?,
                Err(RepoError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(MemberAnswer { answer: None, verdicts: Vec::new(), hidden }))
    }

    /// The versions of a package.
    async fn versions_in(&self, package: Payload, resource: RegistryResource) -> Result<BTreeSet<Box<str>>, RepoError> {
        let read = self.shared.blocking(move |_| {
            let index = Index::decode(&resource, &package.bytes()?)
                .map_err(|source| CacheError::untrusted(VerifyError::Schema { resource, source }))?;
            let releases = index.as_package().map(|package| package.releases.as_slice()).unwrap_or_default();
            Ok::<_, CacheError>(releases.iter().map(|release| release.version.clone()).collect())
        });
        Ok(read.await??)
    }

    /// The answer of a repository that is not virtual, with the decisions of the view's policies.
    async fn judged(
        &self,
        view: &View,
        at: usize,
        repository: &Repository,
        name: &PackageName,
        context: RequestContext,
    ) -> Result<MemberAnswer, RepoError> {
        let resource = RegistryResource::Package(name.clone());
        if view.is_unheld() {
            let answer = Some(repository.unheld(&resource, context).await?.map(ResourceContent::from));
            return Ok(MemberAnswer { answer, verdicts: Vec::new(), hidden: BTreeSet::new() });
        }
        let source = PackageSource { repository, package: name, context };
        let policies: Vec<_> = view.policies().iter().filter(|one| one.rules(repository.key()).is_some()).collect();
        // Read before the package is requested, so that it is not newer than the package.
        let now = self.shared.clock.now();
        let confirmed_at = if policies.is_empty() { now } else { source.confirmed_at(now).await? };
        let (answer, hidden) = match repository {
            Repository::Remote(remote) => remote.share(name, context).await?,
            Repository::Local(_) | Repository::Virtual(_) => {
                (repository.whole(&resource, None, context).await?.map(ResourceContent::from), BTreeSet::new())
            }
        };
        let mut verdicts = Vec::new();
        for enforcer in policies {
            let judgement = source.judge(enforcer, &answer.value.payload, confirmed_at).await?;
            verdicts.push(Verdict::new(enforcer, repository.key(), at, judgement));
        }
        Ok(MemberAnswer { answer: Some(answer), verdicts, hidden })
    }

    /// The deadline for a public member if others can answer without it: some time has to be left for them.
    pub(super) fn patience(&self, members: usize, context: RequestContext) -> Instant {
        if members < 2 || self.options.rules.on_failure == OnFailure::Fail {
            return context.deadline;
        }
        let left = context.deadline.saturating_duration_since(Instant::now());
        context.deadline - left.mul_f32(0.25).max(Duration::from_millis(1)).min(left)
    }

    pub(super) fn say_skipped(&self, member: usize, error: &RepoError) {
        let member = self.members().get(member).map(|member| member.repository.key().as_str());
        let error = error as &dyn std::error::Error;
        tracing::warn!(repository = %self.key(), member, error, "a public member failed and is left out of the answer");
    }
}
