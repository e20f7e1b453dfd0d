//! `packages/NAME` of a view: who answers, with what, and the bytes that are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;

use super::claims::Claims;
use super::listing::{Kind, Listing};
use super::origins::ViewOrigins;
use super::policy::{Held, Source, Verdict};
use super::rules::{Choice, OnFailure, Share, Withheld};
use super::served::Story;
use super::view::View;
use super::{Merge, Stamp, VirtualRepository};
use crate::cache::CacheError;
use crate::hex::envelope::Envelope;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::policy::merge::{self, Conflict, Part};
use crate::repository::{Context, Keep, RepoError, Repository, Served};
use crate::trust::SignedResource;

/// A package of a view.
#[derive(Debug)]
pub(super) struct Merged {
    stamp: Stamp,
    /// What is sent.
    pub(super) signed: SignedResource,
    /// The members that answer, in order of priority.
    pub(super) parts: Vec<usize>,
    /// For each version the member whose release it is.
    pub(super) owners: BTreeMap<Box<str>, usize>,
    /// Those of them that the repository's policy holds.
    pub(super) held: BTreeSet<Box<str>>,
    /// Releases that are not shown for others of the same version, by members.
    pub(super) conflicts: Vec<Conflict>,
}

impl Merged {
    /// The versions that are to be had.
    pub(super) fn shown(&self) -> impl Iterator<Item = &str> {
        self.owners.keys().map(AsRef::as_ref).filter(|version| !self.held.contains(*version))
    }

    /// Whether a version is to be had from this member.
    pub(super) fn shows(&self, version: &str, member: usize) -> bool {
        self.owners.get(version) == Some(&member) && !self.held.contains(version)
    }
}

/// A package as a view has it now.
pub(super) struct Found {
    pub(super) merged: Arc<Merged>,
    /// How long it may be kept.
    pub(super) keep: Keep,
    /// What the view's policies say of it.
    pub(super) verdicts: Vec<Verdict>,
    /// Why a public member was left out.
    pub(super) skipped: Option<RepoError>,
}

/// A member's resource, and how long it may be kept.
type Answer = Served<(SignedResource, Keep)>;

/// What a member has for a view, and what the view's policies say of it.
pub(super) struct Heard {
    answer: Answer,
    verdicts: Vec<Verdict>,
}

/// What members have for a view.
pub(super) struct Shares {
    pub(super) list: Vec<(usize, Heard)>,
    /// Why a public member was left out.
    pub(super) skipped: Option<RepoError>,
    /// What an offline member has not heard of.
    absent: Option<RepoError>,
    /// Those that were.
    left_out: Vec<usize>,
}

/// The payload of a resource that was signed here. Blocks for a moment.
pub(super) fn payload(signed: &SignedResource, resource: &RegistryResource) -> Result<Bytes, CacheError> {
    let envelope = Envelope::open(signed.body().clone(), resource.max_payload()).map_err(CacheError::untrusted)?;
    Ok(envelope.payload)
}

impl VirtualRepository {
    /// A package of a view.
    pub(super) fn package<'a>(
        self: &'a Arc<Self>,
        view: &'a View,
        name: &'a PackageName,
        context: Context,
    ) -> BoxFuture<'a, Result<Served<Found>, RepoError>> {
        Box::pin(async move {
            if !self.options.identity.names.allows(name.as_str()) {
                return Err(RepoError::NotFound);
            }
            let claims = self.claims_on(name, context).await?;
            let claimants = self.claimants(name, &claims, context).await?;
            let Shares { list, skipped, absent, left_out } = self.shares(view, name, &claimants, context).await?;
            if list.is_empty() {
                // That nobody has it is not known while somebody was not heard.
                return Err(skipped.or(absent).unwrap_or(RepoError::NotFound));
            }
            let mut story = Story::new();
            for (_, heard) in &list {
                story.add(&heard.answer, heard.answer.value.1);
            }
            let now = self.shared.clock.now();
            let changes = list.iter().flat_map(|(_, heard)| &heard.verdicts).filter_map(|one| one.until());
            changes.for_each(|change| story.changes_in(change.since(now)));
            if skipped.is_some() {
                story.skipped();
            }
            let private = list.iter().any(|(member, _)| claimants.get(*member) == Some(&true));
            let last = if private { self.members().len() } else { list.iter().map(|(at, _)| *at).max().unwrap_or(0) };
            let public = self.public_listings(view, last, &left_out, context).await?;
            let merged = self.merged(view, name, &list, claims, public, context).await?;
            let verdicts = list.into_iter().flat_map(|(_, heard)| heard.verdicts).collect();
            let told = story.tell(merged);
            Ok(told.map(|(merged, keep)| Found { merged, keep, verdicts, skipped }))
        })
    }

    /// What the members that may answer have of a package, in order of priority, as far as they count.
    pub(super) async fn shares(
        &self,
        view: &View,
        name: &PackageName,
        claimants: &[bool],
        context: Context,
    ) -> Result<Shares, RepoError> {
        let rules = &self.options.rules;
        let order = rules.order(name.as_str(), claimants);
        let claims = |member: usize| claimants.get(member) == Some(&true);
        let patience = Context { deadline: self.patience(order.len(), context), ..context };
        let mut answers: FuturesOrdered<_> = order
            .into_iter()
            .map(async |member| {
                let context = if claims(member) { context } else { patience };
                (member, self.share(view, member, name, context).await)
            })
            .collect();
        let (mut choice, mut list) = (Choice::new(rules.merge), Vec::new());
        let (mut skipped, mut absent, mut left_out) = (None, None, Vec::new());
        // Those behind the one that decides are not waited for.
        while let Some((member, answer)) = answers.next().await {
            let share = match answer {
                Ok(Some(answer)) => {
                    list.push((member, answer));
                    Share::Has
                }
                Ok(None) if claims(member) && !view.reads(member, name.as_str()) => Share::Withheld,
                Ok(None) => Share::Absent,
                Err(RepoError::Withheld) => Share::Withheld,
                Err(error) if error.is_absence() && !claims(member) => {
                    // The last of them is where most packages are.
                    absent = Some(error);
                    Share::Absent
                }
                Err(error) if claims(member) || rules.on_failure == OnFailure::Fail => return Err(error),
                Err(error) => {
                    self.say_skipped(member, &error);
                    skipped.get_or_insert(error);
                    left_out.push(member);
                    Share::Absent
                }
            };
            if choice.hear(member, claims(member), share).is_break() {
                break;
            }
        }
        let owners = choice.owners().map_err(|Withheld| RepoError::Withheld)?;
        list.retain(|(member, _)| owners.contains(member));
        Ok(Shares { list, skipped, absent, left_out })
    }

    /// What one member has of a package for this view.
    async fn share(
        &self,
        view: &View,
        at: usize,
        name: &PackageName,
        context: Context,
    ) -> Result<Option<Heard>, RepoError> {
        let Some(member) = self.members().get(at) else { return Ok(None) };
        if !member.names.allows(name.as_str()) || !view.reads(at, name.as_str()) {
            return Ok(None);
        }
        let heard = match (&member.repository, view.below(at)) {
            (Repository::Virtual(below), Some(seen)) => below.package(seen, name, context).await.map(|served| {
                let verdicts = served.value.verdicts.iter().filter(|verdict| !below.gave(verdict));
                let verdicts = verdicts.map(|verdict| verdict.through(at, &served.value.merged)).collect();
                Heard { verdicts, answer: served.map(|found| (found.merged.signed.clone(), found.keep)) }
            }),
            (repository, _) => self.judged(view, at, repository, name, context).await,
        };
        match heard {
            Ok(heard) => Ok(Some(heard)),
            Err(RepoError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a repository that is not virtual has, and what the view's policies say of it.
    async fn judged(
        &self,
        view: &View,
        at: usize,
        repository: &Repository,
        name: &PackageName,
        context: Context,
    ) -> Result<Heard, RepoError> {
        let resource = RegistryResource::Package(name.clone());
        if view.is_unheld() {
            let answer = repository.unheld(&resource, context).await?;
            return Ok(Heard { answer, verdicts: Vec::new() });
        }
        let source = Source { repository, package: name, context };
        let policies: Vec<_> = view.policies().iter().filter(|one| one.rules(repository.key()).is_some()).collect();
        // Before what it is about is asked for, so that it is not newer.
        let now = self.shared.clock.now();
        let confirmed_at = if policies.is_empty() { now } else { source.confirmed_at(now).await? };
        let answer = repository.whole(&resource, None, context).await?;
        let mut verdicts = Vec::new();
        for enforcer in policies {
            let judgement = source.judge(enforcer, &answer.value.0, confirmed_at).await?;
            verdicts.push(Verdict::new(enforcer, repository.key(), at, judgement));
        }
        Ok(Heard { answer, verdicts })
    }

    /// Until when a public member is waited for, where the others answer without it: some time has to be left for them.
    pub(super) fn patience(&self, members: usize, context: Context) -> Instant {
        if members < 2 || self.options.rules.on_failure == OnFailure::Fail {
            return context.deadline;
        }
        let left = context.deadline.saturating_duration_since(Instant::now());
        context.deadline - left.mul_f32(0.25).max(Duration::from_millis(1)).min(left)
    }

    pub(super) fn say_skipped(&self, member: usize, error: &RepoError) {
        let member = self.members().get(member).map(|member| member.repository.key().as_str());
        let error = error as &dyn std::error::Error;
        tracing::warn!(repository = %self.key(), member, error, "a public member is left out of an answer");
    }

    /// What public members before `last` list, as far as it decides from whom a dependency is answered: where the first
    /// that has a package owns it, and dependencies live in a later one.
    async fn public_listings(
        &self,
        view: &View,
        last: usize,
        left_out: &[usize],
        context: Context,
    ) -> Result<Vec<Option<Arc<Listing>>>, RepoError> {
        let is_public = |at: usize| view.sees(at) && self.members().get(at).is_some_and(|member| !member.private);
        let mut public: Vec<usize> = (0..self.members().len()).filter(|at| is_public(*at)).collect();
        // The last of all decides nothing.
        public.pop();
        public.retain(|at| *at < last && !left_out.contains(at));
        if self.options.rules.merge == Merge::Release || public.is_empty() {
            return Ok(Vec::new());
        }
        let listings = join_all((0..self.members().len()).map(async |at| {
            if !public.contains(&at) {
                return Ok(None);
            }
            // Who owns a name does not depend on what is held of it.
            let listing = match (self.members().get(at), view.unheld_below(at)) {
                (Some(member), None) => self.unheld_listing(at, member, Kind::Names, context).await,
                (_, below) => self.listing(at, Kind::Names, below, context).await,
            };
            match listing {
                Ok(served) => Ok(Some(served.value.0)),
                Err(RepoError::NotFound) => Ok(None),
                Err(_) if self.options.rules.on_failure == OnFailure::Skip => Ok(None),
                Err(error) => Err(error),
            }
        }));
        listings.await.into_iter().collect()
    }

    /// Merges and signs, or takes what was made of the same before.
    async fn merged(
        self: &Arc<Self>,
        view: &View,
        name: &PackageName,
        list: &[(usize, Heard)],
        claims: Arc<Claims>,
        public: Vec<Option<Arc<Listing>>>,
        context: Context,
    ) -> Result<Arc<Merged>, RepoError> {
        let parts: Vec<usize> = list.iter().map(|(member, _)| *member).collect();
        let shares: Vec<SignedResource> = list.iter().map(|(_, heard)| heard.answer.value.0.clone()).collect();
        let held = self.held(list.iter().flat_map(|(_, heard)| &heard.verdicts));
        let mut stamp: Stamp = shares.iter().map(|share| *share.digest()).collect();
        claims.digests(&mut stamp);
        stamp.extend(public.iter().flatten().map(|listing| listing.names_digest));
        stamp.extend(held.digest());
        let key = (Arc::clone(&view.scope), name.clone());
        let current = |merged: &Arc<Merged>| merged.stamp == stamp && merged.parts == parts;
        if let Some(merged) = self.packages.get(&key).filter(current) {
            return Ok(merged);
        }
        let resource = RegistryResource::Package(name.clone());
        let origins = ViewOrigins {
            options: Arc::clone(&self.options),
            view: view.clone(),
            claims,
            public,
            parts: parts.clone(),
        };
        let making = (Arc::clone(&view.scope), resource.clone(), stamp.clone());
        let ticket = self.merging.join(making, || {
            let (repository, view) = (Arc::clone(self), view.clone());
            async move {
                let shared = repository.shared.clone();
                let made = shared.blocking(move |_| {
                    let merged = Arc::new(repository.merge(&view, &resource, &shares, &origins, &held, stamp)?);
                    repository.packages.insert(key, Arc::clone(&merged));
                    repository.recent.insert(Arc::clone(&view.scope), view);
                    Ok(merged)
                });
                made.await?
            }
        });
        Ok(ticket.wait(context.deadline).await.map_err(CacheError::from)??)
    }

    fn merge(
        &self,
        view: &View,
        resource: &RegistryResource,
        shares: &[SignedResource],
        origins: &ViewOrigins,
        held: &Held,
        stamp: Stamp,
    ) -> Result<Merged, CacheError> {
        let payloads: Vec<Bytes> = shares.iter().map(|share| payload(share, resource)).collect::<Result<_, _>>()?;
        let parts: Vec<Part<'_>> = payloads.iter().map(|payload| Part { payload }).collect();
        let merged = merge::package(&self.options.identity.name, &parts, origins).map_err(CacheError::untrusted)?;
        let member = |part: usize| origins.parts.get(part).copied().unwrap_or_default();
        let left = merged.without(&|part, version| held.has(member(part), version));
        let (shown, held) = left.map_err(CacheError::untrusted)?;
        let signed = self.seal(view, resource, &shown)?;
        if !merged.conflicts.is_empty() {
            let versions: Vec<&str> = merged.conflicts.iter().map(|conflict| &*conflict.version).collect();
            tracing::warn!(
                repository = %self.key(), package = resource.name(), versions = versions.join(", "),
                "members have different releases of the same version"
            );
        }
        let owners = merged.owners.into_iter().map(|(version, part)| (version, member(part))).collect();
        let conflicts = merged.conflicts.into_iter().map(|conflict| Conflict {
            winner: member(conflict.winner),
            loser: member(conflict.loser),
            ..conflict
        });
        Ok(Merged { stamp, signed, parts: origins.parts.clone(), owners, held, conflicts: conflicts.collect() })
    }
}
