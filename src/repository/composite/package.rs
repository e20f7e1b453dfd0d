//! `packages/NAME` of a view: asks the members and merges their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};

use super::listing::{Kind, Listing};
use super::member_answers::{MemberAnswer, MemberAnswers};
use super::member_order::OnFailure;
use super::member_statuses::MemberStatuses;
use super::name_routing::NameRouting;
use super::origins::ViewOrigins;
use super::policy::{HeldByMember, Verdict};
use super::view::View;
use super::{Merge, Stamp, VirtualRepository};
use crate::cache::CacheError;
use crate::cache::payload::Payload;
use crate::hex::name::PackageName;
use crate::hex::resource::RegistryResource;
use crate::policy::merge::{self, Conflict, MemberPart};
use crate::repository::hidden_releases::HiddenReleases;
use crate::repository::{CacheLifetime, RepoError, RequestContext, Served};

/// A merged package of a view.
#[derive(Debug)]
pub(in crate::repository) struct Merged {
    stamp: Stamp,
    /// The members whose releases count, in order of priority.
    members: Vec<usize>,
    /// The merged index.
    pub(in crate::repository) payload: Payload,
    /// The members that answer, in order of priority.
    pub(super) parts: Vec<usize>,
    /// The member that owns each version.
    pub(super) owners: BTreeMap<Box<str>, usize>,
    /// The versions that are held by this repository's policy.
    held: BTreeSet<Box<str>>,
    /// The versions that are hidden by the member that owns them.
    hidden: BTreeSet<Box<str>>,
    /// Releases that are hidden because another member has the same version.
    pub(super) conflicts: Vec<Conflict>,
}

impl Merged {
    /// The available versions.
    pub(in crate::repository) fn shown(&self) -> impl Iterator<Item = &str> {
        self.owners.keys().map(AsRef::as_ref).filter(|version| !self.leaves_out(version))
    }

    /// Whether a version is available.
    pub(super) fn is_shown(&self, version: &str) -> bool {
        self.owners.contains_key(version) && !self.leaves_out(version)
    }

    /// The versions that exist and are not available.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.held.union(&self.hidden).map(AsRef::as_ref)
    }

    /// Whether a version is hidden by the member that owns it.
    pub(super) fn hides(&self, version: &str) -> bool {
        self.hidden.contains(version)
    }

    fn leaves_out(&self, version: &str) -> bool {
        self.held.contains(version) || self.hidden.contains(version)
    }

    /// Whether a version is available from this member.
    pub(super) fn shows(&self, version: &str, member: usize) -> bool {
        self.owners.get(version) == Some(&member) && !self.leaves_out(version)
    }
}

/// What a member contributes to a merged package.
struct Share {
    /// The releases that may be shown, if any may.
    payload: Option<Payload>,
    hidden: BTreeSet<Box<str>>,
    /// Whether the member claims the name.
    is_private: bool,
}

/// A package as a view has it now.
#[derive(Debug)]
pub(in crate::repository) struct ViewPackage {
    pub(in crate::repository) merged: Arc<Merged>,
    /// How long clients may cache it.
    pub(in crate::repository) keep: CacheLifetime,
    /// The decisions of the view's policies.
    pub(super) verdicts: Vec<Verdict>,
    /// The releases that the members' own policies hide.
    pub(super) below: Vec<HiddenReleases>,
    /// The error of a public member that was skipped.
    pub(super) skipped: Option<RepoError>,
    /// The members that were asked.
    pub(super) routing: NameRouting,
}

impl VirtualRepository {
    /// A package of a view.
    pub(super) fn package<'a>(
        self: &'a Arc<Self>,
        view: &'a View,
        name: &'a PackageName,
        context: RequestContext,
    ) -> BoxFuture<'a, Result<Served<ViewPackage>, RepoError>> {
        Box::pin(async move {
            if !self.options.identity.names.allows(name.as_str()) {
                return Err(RepoError::NotFound);
            }
            let routing = self.route_name(name, context).await?;
            let MemberAnswers { list, skipped, absent, left_out } = self.shares(view, name, &routing, context).await?;
            if list.is_empty() {
                // If a member was skipped, it is unknown whether the package exists.
                return Err(skipped.or(absent).unwrap_or(RepoError::NotFound));
            }
            let mut story = MemberStatuses::new();
            for answer in list.iter().filter_map(|(_, heard)| heard.answer.as_ref()) {
                story.add(answer, answer.value.keep);
            }
            let now = self.shared.clock.now();
            let changes = list.iter().flat_map(|(_, heard)| &heard.verdicts).filter_map(|one| one.until());
            changes.for_each(|change| story.changes_in(change.since(now)));
            if skipped.is_some() {
                story.skipped();
            }
            let private = list.iter().any(|(member, _)| routing.is_claimant(*member));
            let last = if private { self.members().len() } else { list.iter().map(|(at, _)| *at).max().unwrap_or(0) };
            let public = self.public_listings(view, last, &left_out, context).await?;
            let merged = self.merged(view, name, &list, &routing, public, context).await?;
            self.check_silence(name, &routing).await?;
            let (mut verdicts, mut below) = (Vec::new(), Vec::new());
            for (_, heard) in list {
                verdicts.extend(heard.verdicts);
                below.extend(heard.answer.map(|answer| answer.value.hidden));
            }
            let told = story.into_served(merged);
            Ok(told.map(|(merged, keep)| ViewPackage { merged, keep, verdicts, below, skipped, routing }))
        })
    }

    /// The lists of public members before `last`, if they decide which member answers for a dependency. They do so with
    /// `merge: package`, if a dependency is in a later member.
    async fn public_listings(
        &self,
        view: &View,
        last: usize,
        left_out: &[usize],
        context: RequestContext,
    ) -> Result<Vec<Option<Arc<Listing>>>, RepoError> {
        let is_public = |at: usize| view.sees(at) && self.members().get(at).is_some_and(|member| !member.private);
        let mut public: Vec<usize> = (0..self.members().len()).filter(|at| is_public(*at)).collect();
        // The last member decides nothing.
        public.pop();
        public.retain(|at| *at < last && !left_out.contains(at));
        if self.options.rules.merge == Merge::Release || public.is_empty() {
            return Ok(Vec::new());
        }
        let listings = join_all((0..self.members().len()).map(async |at| {
            if !public.contains(&at) {
                return Ok(None);
            }
            // Held releases do not change the owner of a name.
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

    /// Merges the answers, or returns the result of the same answers.
    async fn merged(
        self: &Arc<Self>,
        view: &View,
        name: &PackageName,
        list: &[(usize, MemberAnswer)],
        routing: &NameRouting,
        public: Vec<Option<Arc<Listing>>>,
        context: RequestContext,
    ) -> Result<Arc<Merged>, RepoError> {
        let members: Vec<usize> = list.iter().map(|(member, _)| *member).collect();
        let payload = |heard: &MemberAnswer| heard.answer.as_ref().map(|answer| answer.value.payload.clone());
        let share = |(member, heard): &(usize, MemberAnswer)| Share {
            payload: payload(heard),
            hidden: heard.hidden.clone(),
            is_private: routing.is_claimant(*member),
        };
        let shares: Vec<Share> = list.iter().map(share).collect();
        let held = self.held(list.iter().flat_map(|(_, heard)| &heard.verdicts));
        let mut stamp: Stamp = Vec::new();
        list.iter().for_each(|(_, heard)| heard.digests(&mut stamp));
        routing.claims.digests(&mut stamp);
        stamp.extend(public.iter().flatten().map(|listing| listing.names_digest));
        stamp.extend(held.digest());
        let key = (Arc::clone(&view.scope), name.clone());
        let current = |merged: &Arc<Merged>| merged.stamp == stamp && merged.members == members;
        if let Some(merged) = self.packages.get(&key).filter(current) {
            return Ok(merged);
        }
        let resource = RegistryResource::Package(name.clone());
        let origins = ViewOrigins {
            options: Arc::clone(&self.options),
            view: view.clone(),
            claims: Arc::clone(&routing.claims),
            public,
            package: name.clone(),
            parts: members.clone(),
        };
        let making = (Arc::clone(&view.scope), resource.clone(), stamp.clone());
        let ticket = self.merging.join(making, || {
            let (repository, view) = (Arc::clone(self), view.clone());
            async move {
                let shared = repository.shared.clone();
                let made = shared.blocking(move |_| {
                    let merged = Arc::new(repository.merge(&resource, &shares, &origins, &held, stamp)?);
                    repository.packages.insert(key, Arc::clone(&merged));
                    repository.keep_recent(view);
                    Ok(merged)
                });
                made.await?
            }
        });
        Ok(ticket.wait(context.deadline).await.map_err(CacheError::from)??)
    }

    fn merge(
        &self,
        resource: &RegistryResource,
        shares: &[Share],
        origins: &ViewOrigins,
        held: &HeldByMember,
        stamp: Stamp,
    ) -> Result<Merged, CacheError> {
        let bytes = |share: &Share| share.payload.as_ref().map_or_else(|| Ok(Bytes::new()), Payload::bytes);
        let payloads: Vec<Bytes> = shares.iter().map(bytes).collect::<Result<_, _>>()?;
        let part = |(payload, share)| {
            let Share { hidden, is_private, .. }: &Share = share;
            let payload: &Bytes = payload;
            MemberPart { payload, hidden, is_private: *is_private }
        };
        let parts: Vec<MemberPart<'_>> = payloads.iter().zip(shares).map(part).collect();
        let merged = merge::package(&self.options.identity.name, &parts, origins).map_err(CacheError::untrusted)?;
        let member = |part: usize| origins.parts.get(part).copied().unwrap_or_default();
        let left = merged.without(&|part, version| held.has(member(part), version));
        let (shown, held) = left.map_err(CacheError::untrusted)?;
        let payload = Payload::new(shown.into_owned());
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
        let (members, hidden) = (origins.parts.clone(), merged.hidden);
        let answers = members.iter().zip(shares).filter(|(_, share)| share.payload.is_some());
        let parts = answers.map(|(member, _)| *member).collect();
        Ok(Merged { stamp, members, payload, parts, owners, held, hidden, conflicts: conflicts.collect() })
    }
}
